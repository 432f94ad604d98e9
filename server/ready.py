"""A plan with everything that a request under it would look up again, made once for as long as its rules come again.

The same rules come with many requests: a surface sends them with every call, and a policy's are always the same
objects. So what depends on the rules and the catalogue alone is kept: the plan, what it names, what its filters let
through, its dials. Nothing of a user is, and an answer has the same bits whether its plan was kept or made.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from server.bits import BitArray
from server.catalogue import Catalogue
from server.steerable import Steerable
from server.subject import Toward
from server.types import Action, Channel, FloatArray, Plan


class Ready:
    """``plan`` for the bundle and the concepts of ``catalogue``. Legend: N items, G given soft rules.

    ``soft``: the applied soft rules; of these ``given`` have a strength and ``shares`` a share to bring about.
    """

    def __init__(self, plan: Plan, catalogue: Catalogue) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.filters = tuple(rule for rule in plan.applied if rule.action is Action.FILTER)
        self.soft = tuple(rule for rule in plan.applied if rule.action is not Action.FILTER)
        self.given = tuple(rule for rule in self.soft if rule.share is None)
        self.shares = tuple(rule for rule in self.soft if rule.share is not None)
        self._dialled: tuple[int, list[tuple[float, str]]] | None = None

    @property
    def lasts(self) -> bool:
        """Whether all that it holds stays in memory anyway: the catalogue forgets latents and subjects."""
        return all(rule.subject is None and self.catalogue.is_named(rule.concept) for rule in self.plan.applied)

    @cached_property
    def steerables(self) -> tuple[Steerable, ...]:
        """What each given rule names, [G]."""
        return tuple(self.catalogue.of(rule) for rule in self.given)

    @cached_property
    def down(self) -> list[int]:
        """Places of the given demotions."""
        return [place for place in self._dosed if self.given[place].action is Action.DEMOTE]

    @cached_property
    def up(self) -> list[int]:
        """Places of the given promotions that raise scores; what moves items has no dose of its own."""
        return [place for place in self._dosed if self.given[place].action is Action.PROMOTE]

    @property
    def _dosed(self) -> list[int]:
        return [place for place, rule in enumerate(self.given) if not isinstance(rule.subject, Toward)]

    @cached_property
    def is_slight(self) -> bool:
        """Whether it only adds to scores, and raises the members of one concept at most."""
        adds = all(rule.channel is Channel.ITEM for rule in self.given) and len(self._dosed) == len(self.given)
        return adds and not self.shares and len(self.up) <= 1

    @cached_property
    def demoted(self) -> list[FloatArray]:
        """Read-outs [N] of what is demoted, which shield from promotions."""
        pairs = zip(self.given, self.steerables, strict=True)
        return [steerable.gain for rule, steerable in pairs if rule.action is Action.DEMOTE]

    def allowed(self, excluded: BitArray | None) -> BitArray | None:
        """Items that may be returned; None: all of them."""
        if excluded is None:
            return self._passing
        return ~excluded if self._filtered is None else ~(excluded | self._filtered)

    @cached_property
    def _filtered(self) -> BitArray | None:
        out: BitArray | None = None
        for rule in self.filters:
            members = self.catalogue.of(rule).members(rule.membership)
            out = members if out is None else out | members
        return out

    @cached_property
    def _passing(self) -> BitArray | None:
        return None if self._filtered is None else ~self._filtered

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
