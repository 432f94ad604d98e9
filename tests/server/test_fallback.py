"""Empty places filled as a filter's owner says: after everything that passes, with nothing another filter forbids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from server.policy import compile_files
from server.steer import Engine
from server.telemetry import Telemetry
from server.types import Action, Answer, Membership, Query, Rule
from tests.live import read_metrics
from tests.server.worlds import APPROXIMATE, KINDS, engine

FILTERS = """policies:
  - name: first
    owner: safety
    rules:
      - {{action: filter, concept: "genre:horror", fallback: {first}}}
      - {{action: filter, concept: "genre:comedy", membership: either, fallback: {second}}}
"""


def under(kind: str, *, first: str = "short", second: str = "short") -> Engine:
    text = FILTERS.format(first=first, second=second)
    return replace(engine(kind), policies=compile_files({"a.yaml": text.encode()}, "policies"))


def members(served: Engine, concept: str, membership: Membership = Membership.DEFAULT) -> set[int]:
    packed = served.catalogue.find(concept).members(membership)
    return set(np.flatnonzero(np.unpackbits(packed, count=len(served.catalogue.item_ids), bitorder="little")).tolist())


def rows(answer: Answer) -> list[int]:
    return answer.ranking.items.tolist()


SOFT = [(), (Rule(Action.PROMOTE, "genre:western", 0.8),), (Rule(Action.DEMOTE, "genre:documentary", 1.0),)]


@pytest.mark.parametrize("kind", [*KINDS, *APPROXIMATE[:2]])
@given(user=st.integers(0, 11), k=st.integers(1, 240), soft=st.sampled_from(SOFT), excluded=st.integers(0, 40))
def test_what_passes_keeps_its_places_and_only_what_may_fills_the_rest(
    kind: str, user: int, k: int, soft: tuple[Rule, ...], excluded: int
) -> None:
    exclude = tuple(f"i{n}" for n in range(excluded))
    query = Query(k=k, user_id=f"u{user}", rules=soft, exclude=exclude)
    short, filled = under(kind).recommend(query), under(kind, first="fill").recommend(query)
    assert rows(filled)[: len(rows(short))] == rows(short)
    fill = rows(filled)[len(rows(short)) :]
    served = under(kind)
    comedy, horror = members(served, "genre:comedy", Membership.EITHER), members(served, "genre:horror")
    left_out = {served.catalogue.item_rows[item] for item in exclude if item in served.catalogue.item_rows}
    assert set(fill) <= horror - comedy - left_out
    assert len(rows(filled)) == min(k, len(rows(short)) + len(horror - comedy - left_out))
    assert filled.filled == len(fill)
    assert (filled.eligible, bool(filled.short_reason)) == (short.eligible, short.eligible is not None)
    if not fill:
        assert (filled.ranking.scores.tolist(), filled.effects) == (short.ranking.scores.tolist(), filled.effects)


def test_the_best_of_what_is_left_out_fills_first() -> None:
    served = under("dot", first="fill", second="fill")
    answer = served.recommend(Query(k=240, user_id="u1"))
    assert sorted(rows(answer)) == list(range(240))
    fill = answer.ranking.scores[-answer.filled :]
    assert (np.diff(fill) <= 0).all()
    assert answer.filled > 10


def test_every_answer_that_makes_use_of_it_says_so() -> None:
    served = under("dot", first="fill")
    passing = 240 - len(members(served, "genre:horror") | members(served, "genre:comedy", Membership.EITHER))
    answer = served.recommend(Query(k=passing + 3, user_id="u1", baseline=True))
    notes = {effect.considered.rule.concept: effect.note for effect in answer.effects}
    assert notes == {
        "genre:horror": "fallback fill: 3 places that would be empty hold items of genre:horror, after everything that "
        "passes",
        "genre:comedy": "",
    }
    assert (answer.eligible, answer.filled) == (passing, 3)
    assert answer.short_reason.startswith(f"{passing} of 240 items are eligible, {passing + 3} were asked for")
    one = served.recommend(Query(k=passing + 1, user_id="u1"))
    assert "1 place that would be empty holds an item of genre:horror" in one.effects[1].note + one.effects[0].note


def test_a_filled_list_is_counted_and_is_no_broken_promise() -> None:
    telemetry = Telemetry()
    telemetry.answered(under("dot", first="fill").recommend(Query(k=240, user_id="u1", baseline=True)))
    metrics = read_metrics(generate_latest(telemetry.registry).decode())
    assert metrics["tiller_filled_places_total"] > 0
    assert metrics["tiller_short_lists_total"] == 1
    after = 'tiller_concept_share_sum{{action="filter",concept="genre:{}",when="after"}}'
    assert after.format("horror") not in metrics
    assert metrics[after.format("comedy")] >= 0


def test_a_request_s_own_filter_on_the_same_concept_holds() -> None:
    served = under("dot", first="fill", second="fill")
    own = Rule(Action.FILTER, "genre:horror", 1.0)
    answer = served.recommend(Query(k=240, user_id="u1", rules=(own,)))
    assert not set(rows(answer)) & members(served, "genre:horror")


def test_explanations_cover_the_filled_places() -> None:
    served = under("dot", first="fill")
    answer = served.recommend(Query(k=240, user_id="u1", explain=True, rules=SOFT[1]))
    assert len(answer.explanations) == len(rows(answer))
    for score, why in zip(answer.ranking.scores, answer.explanations, strict=True):
        assert why.base_score + sum(part.value for part in why.contributions) == pytest.approx(
            score, rel=1e-4, abs=1e-4
        )
