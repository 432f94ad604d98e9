"""What an explanation shows of the concepts an item carries."""

from __future__ import annotations

import pytest

from server import explain
from server.asked import ask
from server.types import Action, Query, Rule
from tests.server.worlds import engine


def test_a_concept_that_a_rule_names_is_never_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    core = engine("dot")
    monkeypatch.setattr(explain, "CONCEPTS_SHOWN", 1)
    rule = Rule(Action.DEMOTE, "genre:comedy", strength=0)
    gain = core.catalogue.find("genre:comedy").gain
    plain = core.recommend(Query(k=50, user_id="u1", explain=True))
    asked = core.recommend(Query(k=50, user_id="u1", rules=(rule,), explain=True))
    assert [len(why.concepts) for why in plain.explanations] == [1] * 50
    for row, why in zip(asked.ranking.items, asked.explanations, strict=True):
        shown = {name: value for name, value, _ in why.concepts}
        assert shown.get("genre:comedy", 0.0) == pytest.approx(float(gain[row]))


def test_a_latent_is_shown_where_a_rule_names_it() -> None:
    core = engine("dot")
    items, _ = core.catalogue.bundle.contents.item_codes.posting(9)
    activated = set(items.tolist())
    rule = Rule(Action.PROMOTE, "latent:9", strength=1)
    answer = core.recommend(Query(k=10, user_id="u1", rules=(rule,), explain=True))
    shown = [
        row
        for row, why in zip(answer.ranking.items.tolist(), answer.explanations, strict=True)
        if any(name == "latent:9" and not labelled for name, _, labelled in why.concepts)
    ]
    assert set(shown) == activated & set(answer.ranking.items.tolist())
    assert shown


def test_a_policys_concept_that_the_bundle_lacks_is_left_out() -> None:
    core = engine("dot")
    base = core.recommend(Query(k=3, user_id="u1", explain=True))
    vectors = core.catalogue.vectors
    asked = ask(core.retriever, vectors[0], vectors[0], vectors)
    named = explain.explain(base.ranking, asked, base.ranking, (), core.catalogue,
                            named=[Rule(Action.PROMOTE, "genre:vaudeville")])  # fmt: skip
    assert [why.concepts for why in named] == [why.concepts for why in base.explanations]
