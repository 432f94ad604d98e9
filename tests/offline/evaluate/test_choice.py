"""Which concepts, and how many users, from sizes alone."""

from __future__ import annotations

from bundle import Concept, Quality
from offline.evaluate.choice import chosen_concepts, chosen_users
from offline.evaluate.config import EvaluateConfig


def concept(name: str, items: int, row: int) -> Concept:
    quality = Quality(auc=0.9, precision=0.5, recall=0.5, base_rate=0.1)
    return Concept(
        id=name,
        family=name.partition(":")[0],
        display_name=name,
        items=items,
        row=row,
        readout="logistic",
        threshold=0.5,
        quality=quality,
    )


OFFERED = [
    concept("genre:a", 5, 0),
    concept("genre:b", 50, 1),
    concept("genre:c", 20, 2),
    concept("year:1980s", 9, 3),
    concept("year:1990s", 7, 4),
]


def test_families_take_turns_and_the_largest_come_first() -> None:
    assert [c.id for c in chosen_concepts(OFFERED, 3)] == ["genre:b", "genre:c", "year:1980s"]
    assert chosen_concepts(OFFERED, 9) == OFFERED


def test_only_the_families_asked_for() -> None:
    assert [c.id for c in chosen_concepts(OFFERED, 9, ("year",))] == ["year:1980s", "year:1990s"]


def test_users_give_way_to_the_work_but_not_below_the_fewest() -> None:
    config = EvaluateConfig(steering_users=300, fewest_users=100, work=4e6, methods=("item", "query"))
    assert chosen_users(items=1000, concepts=5, config=config) == 300
    assert chosen_users(items=1000, concepts=10, config=config) == 200
    assert chosen_users(items=10**6, concepts=10, config=config) == 100
