"""Words of a refusal: the nearest known word, and a value as a sentence shows it."""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import fuzz, process

from server.policy.document import SHOWN

NEAR = 70.0  # of 100, rapidfuzz ratio: one or two slips in a word of these lengths


def nearest(word: str, known: Iterable[str], *, limit: int = 1) -> tuple[str, ...]:
    """The known words that look most like ``word``, best first; none where nothing is near."""
    found = process.extract(word, sorted(known), scorer=fuzz.ratio, score_cutoff=NEAR, limit=limit)
    return tuple(match for match, _, _ in found)


def show(value: object) -> str:
    """A value as a sentence shows it: text quoted and cut, ``nothing`` for null, words for mappings and lists."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN else value[: SHOWN - 3] + "...")
    return str(value)
