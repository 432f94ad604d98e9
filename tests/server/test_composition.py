"""Rules on overlapping concepts: a demotion holds whatever is promoted beside it (docs/decisions/016)."""

from __future__ import annotations

import numpy as np
import pytest

from server.steer import Engine
from server.types import Action, Channel, Query, Rule
from tests.server.worlds import engine

K = 10
KINDS = ["dot", "cosine", "network"]


def overlapping(core: Engine) -> tuple[str, str]:
    """The two offered concepts that share the largest part of the smaller one's members."""
    names = [concept.id for concept in core.catalogue.named]
    gains = {name: core.catalogue.find(name).gain >= 0.5 for name in names}
    pairs = [(a, b) for a in names for b in names if a != b]
    return max(pairs, key=lambda pair: (gains[pair[0]] & gains[pair[1]]).sum() / gains[pair[0]].sum())


def mean_share(core: Engine, rules: tuple[Rule, ...], concept: str) -> float:
    """Mean read-out of a concept in the lists of all users."""
    gain = core.catalogue.find(concept).gain
    users = core.catalogue.bundle.contents.user_ids
    assert users is not None
    lists = [core.recommend(Query(k=K, user_id=user, rules=rules)).ranking.items for user in users]
    return float(np.mean([gain[items].mean() for items in lists]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channel", [Channel.ITEM, Channel.QUERY])
def test_an_item_of_a_demoted_concept_gains_nothing_from_a_promotion(kind: str, channel: Channel) -> None:
    core = engine(kind)
    promoted, demoted = overlapping(core)
    rules = (Rule(Action.PROMOTE, promoted, 0.7), Rule(Action.DEMOTE, demoted, 0.3, channel))
    gain = core.catalogue.find(demoted).gain
    readout = core.catalogue.find(promoted).gain
    shielded = 0
    for user in core.catalogue.bundle.contents.user_ids or ():
        answer = core.recommend(Query(k=60, user_id=user, rules=rules, explain=True))
        dose = next(effect.dose for effect in answer.effects if effect.considered.rule.action is Action.PROMOTE)
        for row, explanation in zip(answer.ranking.items, answer.explanations, strict=True):
            value = next(c.value for c in explanation.contributions if c.rule.action is Action.PROMOTE)
            wanted = dose * (readout[row] if readout[row] >= 0.1 else 0) * (1 - gain[row])
            assert value == pytest.approx(wanted, rel=1e-5, abs=1e-6)
            shielded += gain[row] == 1 and readout[row] > 0.5
    assert shielded, "no item carries both concepts: this shows nothing"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_a_promotion_does_not_undo_a_demotion(kind: str, strength: float) -> None:
    core = engine(kind)
    promoted, demoted = overlapping(core)
    demote = Rule(Action.DEMOTE, demoted, 0.5)
    promote = Rule(Action.PROMOTE, promoted, strength)
    alone = mean_share(core, (demote,), demoted)
    assert mean_share(core, (promote,), demoted) > alone
    # Items that are half of the demoted concept keep half of their gain, and so a little is left to them.
    assert mean_share(core, (demote, promote), demoted) <= 1.05 * alone


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_demoted_is_promoted_as_before(kind: str) -> None:
    core = engine(kind)
    promoted, demoted = overlapping(core)
    free = core.catalogue.find(demoted).gain == 0
    user = (core.catalogue.bundle.contents.user_ids or [""])[0]
    promote = Rule(Action.PROMOTE, promoted, 0.5)
    answers = [
        core.recommend(Query(k=200, user_id=user, rules=rules, explain=True))
        for rules in ((promote,), (promote, Rule(Action.DEMOTE, demoted, 0.5)))
    ]
    values = [
        {
            int(row): next(c.value for c in e.contributions if c.rule.action is Action.PROMOTE)
            for row, e in zip(answer.ranking.items, answer.explanations, strict=True)
        }
        for answer in answers
    ]
    both = [row for row in values[0] if row in values[1] and free[row] and values[0][row] > 0]
    assert both
    assert [values[1][row] for row in both] == pytest.approx([values[0][row] for row in both])
