"""Order by base score, and the cap on what all rules together may move (law 10)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle import dose
from server.settings import Limits
from server.types import Action, Channel, Order, Query, Rule
from tests.server.worlds import engine

KINDS = ["dot", "cosine", "network"]
RULES = (Rule(Action.PROMOTE, "genre:horror", 0.8), Rule(Action.DEMOTE, "genre:comedy", 0.6))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_items_in_the_recommenders_order(kind: str) -> None:
    core = engine(kind)
    moved = 0
    for user in core.catalogue.bundle.contents.user_ids or ():
        asked = Query(k=12, user_id=user, rules=RULES, explain=True)
        steered, base = (core.recommend(replace(asked, order=order)) for order in (Order.STEERED, Order.BASE))
        assert set(base.ranking.items.tolist()) == set(steered.ranking.items.tolist())
        scores = dict(zip(steered.ranking.items.tolist(), steered.ranking.scores.tolist(), strict=True))
        assert [scores[item] for item in base.ranking.items.tolist()] == base.ranking.scores.tolist()
        bases = [why.base_score for why in base.explanations]
        assert bases == sorted(bases, reverse=True)
        moved += base.ranking.items.tolist() != steered.ranking.items.tolist()
    assert moved, "the rules moved nobody: this shows nothing"


def test_without_a_rule_both_orders_are_the_same_bit_for_bit() -> None:
    core = engine("dot")
    one, other = (core.recommend(Query(k=20, user_id="u1", order=order)).ranking for order in Order)
    assert one.items.tobytes() == other.items.tobytes()
    assert one.scores.tobytes() == other.scores.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channel", Channel)
def test_all_rules_together_move_no_more_than_the_cap(kind: str, channel: Channel) -> None:
    free = engine(kind)
    core = replace(free, limits=Limits(max_displacement=0.5))
    rules = tuple(replace(rule, channel=channel) for rule in RULES)
    for user in core.catalogue.bundle.contents.user_ids or ():
        asked = Query(k=10, user_id=user, rules=rules, explain=True)
        plain = free.recommend(Query(k=100, user_id=user)).ranking
        limit = 0.5 * dose.gap(plain.scores)
        wanted, answer = free.recommend(asked), core.recommend(asked)
        before, after = ([abs(effect.dose) for effect in given.effects] for given in (wanted, answer))
        if sum(before) <= limit:
            assert after == before
            continue
        assert sum(after) == pytest.approx(limit, rel=1e-4)
        # Shares of the whole stay as they were asked for.
        assert np.array(after) / sum(after) == pytest.approx(np.array(before) / sum(before))
        assert all("the server's cap of 0.5 gaps" in effect.note for effect in answer.effects)
        if channel is Channel.ITEM:
            for why in answer.explanations:
                assert sum(abs(part.value) for part in why.contributions) <= limit * (1 + 1e-4)


def test_by_default_the_cap_lies_beyond_every_strength() -> None:
    core = engine("dot")
    rules = tuple(Rule(Action.PROMOTE, concept.id, 1.0) for concept in core.catalogue.named)
    answer = core.recommend(Query(k=10, user_id="u1", rules=rules))
    assert not any("cap" in effect.note for effect in answer.effects)
