"""What to raise when an index is under its gate: found by trying, on the queries that failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bundle import PARAMS, IndexKind, IndexParams, RecallRow

KNOBS: dict[IndexKind, tuple[str, ...]] = {
    "hnsw": ("ef_search",),
    "hnsw-sq8": ("ef_search",),
    "ivf": ("nprobe",),
    "ivf-sq8": ("nprobe", "candidates"),
    "ivf-pq": ("nprobe", "candidates"),
}
"""Parameters that a search obeys without another build."""

TRIES = 4

LAST_RESORT: dict[IndexKind, str] = {
    "hnsw": "On inner products a graph can leave items out of any reach. Try --kind ivf or --kind flat.",
    "hnsw-sq8": "Try --kind hnsw, --kind ivf-sq8 or --kind flat.",
    "ivf": "Try fewer lists (--param nlist=...), --kind hnsw or --kind flat.",
    "ivf-sq8": "Try --kind ivf or --kind flat.",
    "ivf-pq": "Try --kind ivf-sq8 or --kind flat.",
}

Remeasure = Callable[[IndexParams], Sequence[RecallRow]]


def advise(kind: IndexKind, params: IndexParams, gate: float, items: int, remeasure: Remeasure) -> str:
    """One or two sentences for the refusal.

    Doubles, step by step, the parameter that helps most, until the gate is reached or TRIES are over.

    Args:
        kind: the index that failed.
        params: what it failed with.
        gate: what it has to reach.
        items: N; no parameter is raised beyond what a catalogue of that size can use.
        remeasure: asks the failed queries again with other search parameters.
    """
    raised: dict[str, int] = {}
    current, best = params, 0.0
    for _ in range(TRIES):
        attempts = []
        for knob in KNOBS[kind]:
            after = _doubled(kind, current, knob, items)
            if after is not None:
                recall = min(row.lowest for row in remeasure(after))
                attempts.append((recall, knob, after))
        if not attempts:
            break
        best, knob, current = max(attempts, key=lambda attempt: attempt[0])
        raised[knob] = current.model_dump()[knob]
        if best >= gate:
            options = " ".join(f"--param {name}={value}" for name, value in raised.items())
            return f"Raise {' and '.join(raised)}: {options} reached {best:.3f} on the same queries."
    tried = " and ".join(f"{name}={value}" for name, value in raised.items())
    return (f"Even {tried} reached only {best:.3f}. " if tried else "") + LAST_RESORT[kind]


def _doubled(kind: IndexKind, params: IndexParams, knob: str, items: int) -> IndexParams | None:
    """``params`` with twice the ``knob``; None where it is at its end."""
    values = params.model_dump()
    most = values["nlist"] if knob == "nprobe" else items
    if values[knob] >= most:
        return None
    return PARAMS[kind].model_validate(values | {knob: min(2 * values[knob], most)})
