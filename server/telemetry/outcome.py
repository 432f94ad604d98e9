"""What steering did to the lists: rules and policies that acted, shares before and after, overlap, short lists."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, Summary

from bundle import LATENT_FAMILY
from server.subject import kind_of
from server.telemetry.children import Children
from server.telemetry.tally import CounterTally
from server.types import REQUEST, Answer, Effect, Status

MOST_CONCEPTS = 200
MOST_POLICIES = 100
"""Concepts and policies that are told apart; what comes after is counted under "other"."""

OVERLAPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

POLICY = "policy:"
NO_POLICIES = "none"


def _observing(child: Summary) -> Summary:
    """Shares are sampled: they are observed at once."""
    return child


class OutcomeMetrics:
    """One server's answers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        rules = Counter(
            "tiller_rules_total", "Rules considered for answered calls.", ("action", "status", "source_kind"),
            registry=registry,
        )  # fmt: skip
        self._rules = Children(rules, CounterTally)
        self._evaluated = CounterTally(
            Counter(
                "tiller_policy_evaluations_total", "Answers whose request was held against every enabled policy.",
                registry=registry,
            )
        )  # fmt: skip
        fired = Counter(
            "tiller_policy_fired_total", "Answers in which a policy acted, or in shadow mode would have.",
            ("policy", "mode"), registry=registry,
        )  # fmt: skip
        self._fired = Children(fired, CounterTally, MOST_POLICIES)
        shares = Summary(
            "tiller_concept_share", "Share of the list that belongs to a steered concept, without and with steering.",
            ("concept", "action", "when"), registry=registry,
        )  # fmt: skip
        self._shares = Children(shares, _observing, MOST_CONCEPTS)
        policy_shares = Summary(
            "tiller_policy_share", "Share of the list that belongs to a policy's concepts, without and with steering.",
            ("policy", "action", "when"), registry=registry,
        )  # fmt: skip
        self._policy_shares = Children(policy_shares, _observing, MOST_POLICIES)
        self._overlap = Histogram(
            "tiller_overlap", "Share of the unsteered list that is still in a steered one.", buckets=OVERLAPS,
            registry=registry,
        )  # fmt: skip
        self._short = Counter(
            "tiller_short_lists_total", "Answers for which fewer items passed than were asked for.", registry=registry
        )
        self._filled = Counter(
            "tiller_filled_places_total", "Places that would be empty, filled as a filter's fallback says.",
            registry=registry,
        )  # fmt: skip

    def answered(self, answer: Answer) -> None:
        """One answer; shares and overlap where it has its baseline."""
        if answer.eligible is not None:
            self._short.inc()
        if answer.filled:
            self._filled.inc(answer.filled)
        if answer.policy_revision != NO_POLICIES:
            self._evaluated.count += 1
        if not answer.effects:
            return
        steered = False
        fired: set[tuple[str, str]] = set()
        counted: set[tuple[str, str]] = set()
        for effect in answer.effects:
            rule, status = effect.considered.rule, effect.considered.status
            source = rule.source
            self._rules(rule.action.value, status.value, "request" if source == REQUEST else "policy").count += 1
            applied = status is Status.APPLIED
            steered |= applied
            if source != REQUEST and (applied or status is Status.SHADOW):
                fired.add((source.removeprefix(POLICY), "enforce" if applied else "shadow"))
            if applied and effect.share_before is not None and not (answer.filled and rule.fills):
                # Where a filter's fallback filled places its owner wants its items rather than empty places: no broken
                # promise, and counted above.
                self._share(effect, counted)
        for policy, mode in fired:
            self._fired(policy, mode).count += 1
        if steered and answer.overlap is not None:
            self._overlap.observe(answer.overlap)

    def hand_over(self) -> None:
        """Add to the metrics what was counted since the last time; from any thread."""
        for tally in (self._evaluated, *self._rules.all(), *self._fired.all()):
            tally.hand_over()

    def _share(self, effect: Effect, counted: set[tuple[str, str]]) -> None:
        """The shares of one applied rule; a list counts once per concept, however many rules steer it."""
        rule, before, after = effect.considered.rule, effect.share_before or 0.0, effect.share_after or 0.0
        action = rule.action.value
        if rule.source != REQUEST:
            policy = rule.source.removeprefix(POLICY)
            self._policy_shares(policy, action, "before").observe(before)
            self._policy_shares(policy, action, "after").observe(after)
        if (rule.concept, action) in counted:
            return
        counted.add((rule.concept, action))
        latent = rule.concept.partition(":")[0] == LATENT_FAMILY
        concept = LATENT_FAMILY if latent else rule.concept if rule.subject is None else kind_of(rule.subject)
        self._shares(concept, action, "before").observe(before)
        self._shares(concept, action, "after").observe(after)
