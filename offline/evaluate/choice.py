"""How many users and which concepts are steered, from the size of the problem: never from the clock, so runs repeat."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bundle import Concept
from offline.evaluate.config import EvaluateConfig


def chosen_concepts(offered: Sequence[Concept], most: int, only: Collection[str] | None = None) -> list[Concept]:
    """At most ``most`` of the offered concepts, the largest of each family in turn; in the order of their rows."""
    families: dict[str, list[Concept]] = {}
    for concept in sorted((c for c in offered if only is None or c.family in only), key=lambda c: -c.items):
        families.setdefault(concept.family, []).append(concept)
    turns = [(place, family) for family, members in families.items() for place in range(len(members))]
    taken = [families[family][place] for place, family in sorted(turns, key=lambda turn: turn[0])[:most]]
    return sorted(taken, key=lambda c: c.row or 0)


def chosen_users(items: int, concepts: int, config: EvaluateConfig) -> int:
    """Users to steer: as configured, fewer where the work would exceed ``config.work``, not below ``fewest_users``."""
    affordable = int(config.work / max(1, items * concepts * len(config.methods)))
    return min(config.steering_users, max(config.fewest_users, affordable))
