"""Counts and times for Prometheus, on a port of their own. The only module that knows prometheus_client.

The core returns facts (server.types.Answer); this turns them into metrics of low cardinality: concepts are the bundle's
offered ones, latents are pooled under "latent", sources are "request" or "policy". docs/monitoring.md explains every
name and label, and a test holds the two equal.
"""

from __future__ import annotations

import time
from types import TracebackType

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    start_http_server,
)

from bundle import LATENT_FAMILY, Manifest, __version__
from bundle.errors import TillerError
from server.policy import PolicySet
from server.types import REQUEST, Answer, Status

SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the latency buckets; a flat search takes 0.02 ms over 4,000 items and 8 ms over a million."""

STAGES = ("decode", "user", "plan", "search", "edit", "explain", "encode")


class Telemetry:
    """The metrics of one server, in a registry of its own. An Observer for server.rpc."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "tiller_requests_total", "Calls answered, refused or given up, by status code.", ("method", "code"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "tiller_request_seconds", "Time a call took inside the server.", ("method",), buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._methods: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        stages = Histogram(
            "tiller_stage_seconds", "Time of each stage of an answered Recommend.", ("stage",), buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self._stages = {stage: stages.labels(stage) for stage in STAGES}
        self._in_flight = Gauge("tiller_in_flight", "Calls being answered now.", registry=registry)
        self._shed = Counter(
            "tiller_shed_total", "Calls refused at once because there were too many, by reason.", ("reason",),
            registry=registry,
        )  # fmt: skip
        self._sheds: dict[str, Counter] = {}
        self._rules = Counter(
            "tiller_rules_total", "Rules considered for answered calls.", ("action", "status", "source_kind"),
            registry=registry,
        )  # fmt: skip
        self._shares = Summary(
            "tiller_concept_share", "Share of the list that belongs to a steered concept, without and with steering.",
            ("concept", "action", "when"), registry=registry,
        )  # fmt: skip
        self._short = Counter(
            "tiller_short_lists_total", "Answers for which fewer items passed than were asked for.", registry=registry
        )
        self._filled = Counter(
            "tiller_filled_places_total", "Places that would be empty, filled as a filter's fallback says.",
            registry=registry,
        )  # fmt: skip
        self._bundle = Gauge(
            "tiller_bundle_info", "The bundle being served; always 1.", ("bundle_id", "name", "tiller_version"),
            registry=registry,
        )  # fmt: skip
        self._bundle_loaded = Gauge(
            "tiller_bundle_loaded_timestamp_seconds", "When the bundle was loaded.", registry=registry
        )
        self._items = Gauge("tiller_bundle_items", "Items in the bundle.", registry=registry)
        self._concepts = Gauge("tiller_bundle_concepts", "Concepts the bundle offers.", registry=registry)
        self._policy = Gauge(
            "tiller_policy_info", "The policies being served; always 1.", ("revision",), registry=registry
        )
        self._policies_loaded = Gauge(
            "tiller_policies_loaded_timestamp_seconds", "When the policies were loaded.", registry=registry
        )
        self._policies = Gauge("tiller_policies", "Policies loaded, by mode.", ("mode",), registry=registry)
        self._reloads = Counter(
            "tiller_policy_reloads_total", "Policy revisions brought into force or refused since the start.",
            ("result",), registry=registry,
        )  # fmt: skip
        self._stale = Gauge(
            "tiller_policies_stale", "1 while the policy folder is refused and an earlier revision serves.",
            registry=registry,
        )  # fmt: skip
        self._checked = Gauge(
            "tiller_policies_checked_timestamp_seconds", "When the policy folder was last looked at.",
            registry=registry,
        )  # fmt: skip
        self._decisions = Counter(
            "tiller_decisions_total", "Sampled answers written to the decision log, or dropped.", ("result",),
            registry=registry,
        )  # fmt: skip
        for result in ("loaded", "refused"):
            self._reloads.labels(result)
        self._decided = {result: self._decisions.labels(result) for result in ("written", "dropped")}

    def serving(self, manifest: Manifest, policies: PolicySet) -> None:
        """A bundle and its policies are loaded, now."""
        self._bundle.clear()
        self._bundle.labels(manifest.bundle_id, manifest.name, __version__).set(1)
        self._bundle_loaded.set(now := time.time())
        self._items.set(manifest.dims.items)
        self._concepts.set(manifest.dims.concepts)
        self._in_force(policies, now)

    def _in_force(self, policies: PolicySet, now: float) -> None:
        self._policy.clear()
        self._policy.labels(policies.revision).set(1)
        self._policies_loaded.set(now)
        self._checked.set(now)
        for mode in ("enforce", "shadow", "disabled"):
            self._policies.labels(mode).set(0)
        for policy in policies.policies:
            mode = "disabled" if not policy.enabled else "shadow" if policy.shadow else "enforce"
            self._policies.labels(mode).inc()

    def policies_loaded(self, policies: PolicySet) -> None:
        """Another revision of the policies is in force, now."""
        self._reloads.labels("loaded").inc()
        self._in_force(policies, time.time())

    def policies_refused(self) -> None:
        """What lies in the policy folder is refused."""
        self._reloads.labels("refused").inc()

    def policies_checked(self, *, stale: bool) -> None:
        """The policy folder was looked at, now."""
        self._checked.set_to_current_time()
        self._stale.set(int(stale))

    def decided(self, result: str) -> None:
        """A sampled answer was "written" to the decision log, or "dropped"; called from any thread."""
        self._decided[result].inc()

    def started(self, method: str) -> None:  # noqa: ARG002 - in flight is one number
        """A call came in."""
        self._in_flight.inc()

    def finished(self, method: str, code: str, seconds: float) -> None:
        """A call was answered, refused or given up."""
        self._in_flight.dec()
        known = self._methods.get((method, code))
        if known is None:  # looking labels up takes longer than counting
            known = self._requests.labels(method, code), self._seconds.labels(method)
            self._methods[method, code] = known
        known[0].inc()
        known[1].observe(seconds)

    def shed(self, reason: str) -> None:
        """A call was refused at once because there were too many; ``reason`` is one of the few words in the code."""
        known = self._sheds.get(reason)
        if known is None:
            known = self._sheds[reason] = self._shed.labels(reason)
        known.inc()

    def answered(self, answer: Answer) -> None:
        """What Recommend answered: times, rules, and shares where the answer has its baseline."""
        for stage, seconds in answer.timings.items():
            self._stages[stage].observe(seconds)
        if answer.eligible is not None:
            self._short.inc()
        if answer.filled:
            self._filled.inc(answer.filled)
        counted: set[tuple[str, str]] = set()
        for effect in answer.effects:
            rule, status = effect.considered.rule, effect.considered.status
            kind = "request" if rule.source == REQUEST else "policy"
            self._rules.labels(rule.action.value, status.value, kind).inc()
            if answer.filled and rule.fills:
                continue  # its owner wants its items rather than empty places: no broken promise, counted above
            if status is not Status.APPLIED or effect.share_before is None or effect.share_after is None:
                continue
            latent = rule.concept.partition(":")[0] == LATENT_FAMILY
            concept, action = LATENT_FAMILY if latent else rule.concept, rule.action.value
            if (rule.concept, action) not in counted:  # a list counts once, however many rules steer its concept
                counted.add((rule.concept, action))
                self._shares.labels(concept, action, "before").observe(effect.share_before)
                self._shares.labels(concept, action, "after").observe(effect.share_after)


class MetricsServer:
    """``/metrics`` over HTTP, on threads of its own, until it is closed."""

    def __init__(self, telemetry: Telemetry, host: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, host, telemetry.registry)
        except OSError as error:
            raise TillerError(
                f"cannot serve /metrics on {host}:{port}", found=error.strerror or str(error),
                hint="Is another server running? Choose another --metrics-port, or 0 for a free one.",
            ) from error  # fmt: skip
        self.port = int(self._server.server_port)

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and wait for the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
