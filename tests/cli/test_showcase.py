from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from bundle import Concept, Quality
from cli.showcase import Clocked, Subject, Titles, also_worth, choose, labelled, share, survey
from client import Rule

QUALITY = Quality(auc=1, precision=1, recall=1, base_rate=0.1)


def concept(name: str) -> Concept:
    return Concept(id=name, family=name.partition(":")[0], display_name=name, items=1, row=0, readout="logistic",
                   threshold=0.5, quality=QUALITY)  # fmt: skip


def test_membership_comes_from_text_columns_of_offered_concepts() -> None:
    items = pa.table(
        {
            "item_id": ["a", "b", "c"],
            "title": ["Horror", "B", "C"],
            "genre": [["Film-Noir", "Horror"], ["Horror"], None],
            "country": ["New Zealand", None, "Chile"],
            "year": [1990, 1991, 1992],
        }
    )
    offered = [concept("genre:horror"), concept("genre:film-noir"), concept("country:new-zealand")]
    assert labelled(items, offered) == {
        "genre:horror": {"a", "b"},
        "genre:film-noir": {"a"},
        "country:new-zealand": {"a"},
    }


def titles(*ids: str) -> Titles:
    return [(item, item.upper()) for item in ids]


def test_share() -> None:
    assert share(titles("a", "b", "c", "d"), {"a", "d"}) == 0.5
    assert share([], {"a"}) == 0


def test_the_chosen_list_is_mixed() -> None:
    carriers = {"genre:horror": frozenset("ab"), "genre:comedy": frozenset("cd"), "genre:all": frozenset("abcdefgh")}
    lists = {
        "none": titles(*"ijklmnopqr"),
        "mixed": titles(*"abcdijklmn"),
        "one": titles(*"aijklmnopq"),
    }
    assert choose(lists, carriers, catalogue=20) == Subject("mixed", "genre:comedy")
    assert choose(dict(reversed(lists.items())), carriers, catalogue=20) == Subject("mixed", "genre:comedy")


def test_concepts_too_common_or_too_rare_are_shown_only_when_there_is_nothing_else() -> None:
    carriers = {"genre:all": frozenset("abcdefgh")}
    assert choose({"u": titles("a", "z")}, carriers, catalogue=10).concept == "genre:all"
    with pytest.raises(ValueError, match="no lists, or no concept with a label"):
        choose({}, carriers, catalogue=10)


def test_other_concepts_spread_over_the_sizes() -> None:
    carriers = {f"genre:{n}": frozenset(str(i) for i in range(n)) for n in (1, 2, 3, 4, 5, 6)}
    assert also_worth(carriers, "genre:3", 3) == ["genre:3", "genre:6", "genre:1"]
    assert also_worth({"genre:3": frozenset()}, "genre:3", 3) == ["genre:3"]


def test_survey_counts_forbidden_items_and_mean_shares() -> None:
    carriers = {"genre:horror": frozenset("ab")}

    def ask(user_id: str, rules: Sequence[Rule], k: int) -> Titles:
        if not rules:
            return titles("a", "x") if user_id == "u1" else titles("x", "y")
        return titles("b", "x") if user_id == "u1" else titles("x", "y")  # a filter that fails one user in two

    clocked = Clocked(ask)
    columns = {"unsteered": lambda _: [], "filter": lambda c: [Rule("filter", c)]}
    steps: list[int] = []
    outcome = survey(
        clocked, ["u1", "u2"], ["genre:horror"], carriers, columns=columns, k=2, step=lambda: steps.append(1)
    )
    assert outcome.shares == {"genre:horror": {"unsteered": 0.25, "filter": 0.25}}
    assert (outcome.users, outcome.filtered, outcome.forbidden) == (2, 4, 1)
    assert (len(clocked.plain), len(clocked.steered), len(steps)) == (2, 2, 2)
    assert clocked.summary().startswith("p50 as the client sees it, one call at a time: unsteered ")
