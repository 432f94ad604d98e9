"""Reading a reproduction's document: settings picked out, figures over seeds as mean and spread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from offline.evaluate.html import DASH, Cell
from offline.reproduce.worlds import TITLES

RECOMMENDER_NAMES = {"mf": "MF", "ncf": "NCF", "sasrec": "SASRec"}


@dataclass(frozen=True)
class Figure:
    """A mean over seeds; ``spread``: half of the range, None with one seed."""

    mean: float
    spread: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Figure | None:
        """None where no seed has the figure."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return cls(float(np.mean(known)), (max(known) - min(known)) / 2 if len(known) > 1 else None)


def cell(figure: Figure | None, digits: int = 3, *, percent: bool = False) -> Cell:
    """``0.745 ± 0.003``, or a dash."""
    if figure is None:
        return Cell(DASH, None)
    factor, unit = (100, " %") if percent else (1, "")
    shown = f"{figure.mean * factor:.{digits}f}"
    if figure.spread is not None:
        shown += f" ± {figure.spread * factor:.{digits}f}"
    return Cell(f"{shown}{unit}", figure.mean)


def groups(document: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Settings that differ in their seed alone, with a title, in order."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for setting in document["settings"]:
        key = (setting["dataset"], setting["recommender"], setting.get("protocol", ""))
        found.setdefault(key, []).append(setting)
    several = len({setting.get("protocol") for setting in document["settings"]}) > 1
    out = []
    for (dataset, name, protocol), own in found.items():
        title = f"{TITLES.get(dataset, dataset)}, {RECOMMENDER_NAMES[name]}"
        out.append((f"{title}, {protocol} split" if several else title, own))
    return out


def first_protocol(document: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The groups under the first protocol, where everything is measured."""
    protocol = document["settings"][0].get("protocol")
    return [(title, own) for title, own in groups(document) if own[0].get("protocol") == protocol]


def saes(settings: Sequence[dict[str, Any]], form: str, beta: float | None = None) -> list[dict[str, Any]]:
    """The SAEs of a form over the seeds."""
    return [sae for own in settings for sae in own["saes"] if sae["form"] == form and sae["beta"] == beta]


def over(parts: Iterable[Any], read: Callable[[Any], float | None]) -> Figure | None:
    """``read`` of every part, as one figure; a part that lacks it does not count."""

    def values() -> Iterator[float | None]:
        for part in parts:
            try:
                yield read(part)
            except (KeyError, IndexError, TypeError, StopIteration):
                yield None

    return Figure.of(values())


def at(*path: Any) -> Callable[[Any], float | None]:
    """Reads ``part[path[0]][path[1]]...``."""

    def read(part: Any) -> float | None:
        for key in path:
            part = part[key]
        return None if part is None else float(part)

    return read
