"""Columns of names, a million long, without holding the interpreter for as long as that takes.

A server reads a bundle on a thread while its event loop answers calls. One ``to_pylist()`` of a million names holds the
interpreter for 90 ms, and a set of them as long again; in slices, or inside Arrow, the loop goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

SLICE = 10_000


def to_list(column: pa.ChunkedArray) -> list[str]:
    """The strings of a column."""
    found: list[str] = []
    for start in range(0, len(column), SLICE):
        found.extend(column.slice(start, SLICE).to_pylist())
    return found


def all_distinct(column: pa.ChunkedArray) -> bool:
    """Whether no string comes twice, and none is missing."""
    return not column.null_count and pc.count_distinct(column).as_py() == len(column)


def each_once(names: Sequence[str]) -> bool:
    """Whether no name comes twice."""
    seen: set[str] = set()
    for start in range(0, len(names), SLICE):
        seen.update(names[start : start + SLICE])
    return len(seen) == len(names)
