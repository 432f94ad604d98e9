"""The concepts of the planted world: how many items carry each, and which go together.

``AT_5000`` are the sizes in a catalogue of 5,000 items; other catalogues scale them and keep at least ``FLOOR``.
An item has one leading genre, then whatever else its draw and the affinities give it: a horror film is likely dark,
a western likely plays in the desert. Sizes are exact, so tests can count.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

REFERENCE_ITEMS = 5_000
FLOOR = 10

AT_5000: dict[str, dict[str, int]] = {
    "genre": {
        "Drama": 1500,
        "Comedy": 1150,
        "Thriller": 800,
        "Romance": 650,
        "Action": 600,
        "Adventure": 450,
        "Crime": 400,
        "Family": 330,
        "Science Fiction": 260,
        "Fantasy": 210,
        "Horror": 190,
        "Documentary": 130,
        "Western": 80,
        "Noir": 40,
    },
    "mood": {"Dark": 900, "Light-hearted": 850, "Bittersweet": 350, "Dreamlike": 120},
    "setting": {"Big City": 900, "Small Town": 500, "The Sea": 160, "Outer Space": 110, "Desert": 90},
}
"""Family -> concept -> items. ``genre`` and ``mood`` overlap freely; an item plays in one ``setting`` or in none."""

_AFFINITY: dict[str, dict[str, float]] = {
    "Drama": {"Romance": 1.0, "Bittersweet": 1.5, "Small Town": 0.8},
    "Comedy": {"Romance": 1.2, "Light-hearted": 2.5, "Family": 0.8, "Big City": 0.5},
    "Thriller": {"Crime": 2.0, "Action": 1.5, "Dark": 1.8, "Big City": 0.8},
    "Romance": {"Drama": 1.5, "Comedy": 1.2, "Bittersweet": 1.5, "Light-hearted": 0.8},
    "Action": {"Thriller": 1.8, "Adventure": 1.8, "Crime": 0.8, "Big City": 0.6},
    "Adventure": {"Action": 1.8, "Fantasy": 1.2, "Family": 1.0, "The Sea": 2.0, "Light-hearted": 0.6},
    "Crime": {"Thriller": 2.0, "Drama": 1.0, "Dark": 1.5, "Big City": 1.5},
    "Family": {"Comedy": 1.5, "Fantasy": 1.2, "Light-hearted": 2.0, "Small Town": 0.8},
    "Science Fiction": {"Action": 1.5, "Thriller": 1.0, "Outer Space": 4.0, "Dreamlike": 1.2},
    "Fantasy": {"Adventure": 1.8, "Family": 1.2, "Dreamlike": 2.5},
    "Horror": {"Thriller": 1.8, "Dark": 3.0, "Small Town": 1.5, "Dreamlike": 1.0},
    "Documentary": {"The Sea": 1.2, "Big City": 0.5},
    "Western": {"Action": 1.2, "Adventure": 1.2, "Desert": 4.0, "Small Town": 1.0},
    "Noir": {"Crime": 3.0, "Thriller": 1.5, "Dark": 3.0, "Big City": 2.0},
}
"""Leading genre -> concept -> how much likelier, in logits."""

ERA: dict[str, int] = {"Western": 1964, "Noir": 1951, "Science Fiction": 1998, "Horror": 1989, "Documentary": 2003}
"""Middle of a genre's release years; 1990 for the others."""


class Planted(NamedTuple):
    """``members`` bool [N, C], ``leading`` int64 [N] (column of the leading genre), ``families``/``names`` [C]."""

    members: BoolArray
    leading: IntArray
    families: tuple[str, ...]
    names: tuple[str, ...]


def plant(items: int, rng: np.random.Generator) -> Planted:
    """Give every item its concepts; concept c gets exactly ``size_of(c, items)`` of them."""
    families = tuple(family for family, concepts in AT_5000.items() for _ in concepts)
    names = tuple(name for concepts in AT_5000.values() for name in concepts)
    sizes = np.array([size_of(size, items) for concepts in AT_5000.values() for size in concepts.values()])
    genres = len(AT_5000["genre"])
    leading = _leading(sizes[:genres], items, rng)
    affinity = np.array([[_AFFINITY[name].get(other, 0.0) for other in names] for name in names[:genres]])
    wish = affinity[leading] + rng.gumbel(size=(items, len(names)))
    members = np.zeros((items, len(names)), bool)
    members[np.arange(items), leading] = True
    settings = np.array([family == "setting" for family in families])
    for concept in np.flatnonzero(~settings).tolist():
        _add(members, concept, ~members[:, concept], wish, int(sizes[concept]))
    # One setting each, so the rarest choose first: the desert takes its westerns before the small towns do.
    for concept in sorted(np.flatnonzero(settings).tolist(), key=lambda concept: int(sizes[concept])):
        homeless = members[:, settings].sum(axis=1) == 0
        _add(members, concept, homeless, wish, int(sizes[concept]))
    return Planted(members, leading, families, names)


def size_of(at_reference: int, items: int) -> int:
    """Items that carry a concept of ``at_reference`` items per 5,000, in a catalogue of ``items``."""
    return max(FLOOR, round(at_reference * items / REFERENCE_ITEMS))


def _leading(sizes: npt.NDArray[np.int64], items: int, rng: np.random.Generator) -> IntArray:
    """Column of each item's leading genre: shares as the sizes, never more than the genre may have, at least one."""
    quota = np.maximum(1, sizes * items // sizes.sum())
    quota[0] += items - quota.sum()
    return rng.permutation(np.repeat(np.arange(len(sizes)), quota))


def _add(members: BoolArray, concept: int, free: BoolArray, wish: npt.NDArray[np.float64], size: int) -> None:
    """Let the items that wish for ``concept`` most join it, until it has ``size``."""
    lacking = size - int(members[:, concept].sum())
    candidates = np.flatnonzero(free)
    members[candidates[np.argsort(-wish[candidates, concept], kind="stable")[:lacking]], concept] = True
