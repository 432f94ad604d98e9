"""A metric's children, kept: looking labels up takes longer than counting, and no label may grow without bound."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

OTHER = "other"
"""What every value beyond a label's first so many is counted under."""


class _Labelled(Protocol):
    def labels(self, *values: str) -> object: ...


M = TypeVar("M", bound=_Labelled)


class Children(Generic[M]):
    """``children(*labels)`` is the child of those labels.

    Args:
        metric: with at least one label.
        most: values of the *first* label that keep their name; later ones share ``other``. Every other label must be
            bounded by itself.
    """

    def __init__(self, metric: M, most: int = 1000) -> None:
        self._metric = metric
        self._most = most
        self._named: set[str] = set()
        self._known: dict[tuple[str, ...], M] = {}

    def __call__(self, *labels: str) -> M:
        """The child; made where it is the first of its labels."""
        child = self._known.get(labels)
        return self._make(labels) if child is None else child

    def _make(self, labels: tuple[str, ...]) -> M:
        first = labels[0]
        if first not in self._named:
            if len(self._named) >= self._most:
                return self._kept((OTHER, *labels[1:]))
            self._named.add(first)
        return self._kept(labels)

    def _kept(self, labels: tuple[str, ...]) -> M:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._metric.labels(*labels)  # type: ignore[assignment]
        return child  # type: ignore[return-value]
