"""A plan with everything that a request under it would look up again, made once for as long as its rules come again.

The same rules come with many requests: a surface sends them with every call, and a policy's are always the same
objects. So what depends on the rules and the catalogue alone is kept: the plan, what it names, what its filters let
through, its dials. Nothing of a user is, and an answer has the same bits whether its plan was kept or made.
"""

from __future__ import annotations

from typing import Literal

from server.bits import BitArray
from server.catalogue import Catalogue
from server.steerable import Steerable
from server.subject import Toward
from server.types import Action, Channel, FloatArray, Plan, Rule


class Ready:
    """``plan`` for the bundle and the concepts of ``catalogue``. Legend: N items, G given soft rules.

    ``soft``: the applied soft rules; of these ``given`` have a strength and ``shares`` a share to bring about.
    ``kept``: whether it is for more than one request.
    """

    def __init__(self, plan: Plan, catalogue: Catalogue) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.kept = False
        self.filters: list[Rule] = []
        self.soft: list[Rule] = []
        self.given: list[Rule] = []
        self.shares: list[Rule] = []
        self.steerables: list[Steerable] = []
        """What each given rule names, [G]."""
        self.down: list[int] = []
        """Places of the given demotions."""
        self.up: list[int] = []
        """Places of the given promotions that raise scores; what moves items has no dose of its own."""
        self.demoted: list[FloatArray] = []
        """Read-outs [N] of what is demoted, which shield from promotions."""
        self._filtered: BitArray | None = None
        self._passing: BitArray | None = None
        self._dialled: tuple[int, list[tuple[float, str]]] | None = None
        for rule in plan.applied:
            self._add(rule)

    def _add(self, rule: Rule) -> None:
        steerable = self.catalogue.of(rule)
        if rule.action is Action.FILTER:
            self.filters.append(rule)
            members = steerable.members(rule.membership)
            self._filtered = members if self._filtered is None else self._filtered | members
            return
        self.soft.append(rule)
        if rule.share is not None:
            self.shares.append(rule)
            return
        place, pushes = len(self.given), isinstance(rule.subject, Toward)
        self.given.append(rule)
        self.steerables.append(steerable)
        if rule.action is Action.DEMOTE:
            self.demoted.append(steerable.gain)
        if not pushes:
            (self.down if rule.action is Action.DEMOTE else self.up).append(place)

    @property
    def lasts(self) -> bool:
        """Whether all that it holds stays in memory anyway: the catalogue forgets latents and subjects."""
        return all(rule.subject is None and self.catalogue.is_named(rule.concept) for rule in self.plan.applied)

    @property
    def is_slight(self) -> bool:
        """Whether it only takes away from scores: what is not among the best then stays out, most often."""
        return len(self.down) == len(self.soft) and all(rule.channel is Channel.ITEM for rule in self.given)

    def allowed(self, excluded: BitArray | None) -> BitArray | None:
        """Items that may be returned; None: all of them."""
        if excluded is not None:
            return ~excluded if self._filtered is None else ~(excluded | self._filtered)
        if self._passing is None and self._filtered is not None:
            self._passing = ~self._filtered
        return self._passing

    def dialled(self, k: int) -> list[tuple[float, str]]:
        """Of each given rule the dose in units of a user, for a list of ``k``, and a remark on its dial, [G]."""
        known = self._dialled
        if known is None or known[0] != k:
            known = self._dialled = k, [self._dial(place, k) for place in range(len(self.given))]
        return known[1]

    def _dial(self, place: int, k: int) -> tuple[float, str]:
        rule, dial = self.given[place], self.catalogue.dial
        if isinstance(rule.subject, Toward):
            return 0.0, ""
        action: Literal["promote", "demote"] = "demote" if rule.action is Action.DEMOTE else "promote"
        units = dial.units(rule.concept, rule.channel.value, action, k=k, strength=rule.strength)
        note = dial.poor(rule.concept, rule.channel.value, action, k=k)
        return units / self.steerables[place].lift, note
