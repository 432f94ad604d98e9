"""A metric's children, kept: looking labels up takes longer than counting, and no label may grow without bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from prometheus_client.metrics import MetricWrapperBase

OTHER = "other"
"""What every value beyond a label's first so many is counted under."""


C = TypeVar("C")


class Children(Generic[C]):
    """``children(*labels)`` is the child of those labels.

    Args:
        metric: with at least one label.
        make: what is kept of a child of the metric.
        most: values of the *first* label that keep their name; later ones share ``other``. Every other label must be
            bounded by itself.
    """

    def __init__(self, metric: MetricWrapperBase, make: Callable[[Any], C], most: int = 1000) -> None:
        self._metric = metric
        self._make = make
        self._most = most
        self._named: set[str] = set()
        self._known: dict[tuple[str, ...], C] = {}

    def __call__(self, *labels: str) -> C:
        """The child; made where it is the first of its labels."""
        child = self._known.get(labels)
        return self._new(labels) if child is None else child

    def all(self) -> tuple[C, ...]:
        """The children so far; from any thread."""
        return tuple(self._known.values())

    def _new(self, labels: tuple[str, ...]) -> C:
        first = labels[0]
        if first not in self._named:
            if len(self._named) >= self._most:
                return self._kept((OTHER, *labels[1:]))
            self._named.add(first)
        return self._kept(labels)

    def _kept(self, labels: tuple[str, ...]) -> C:
        child = self._known.get(labels)
        if child is None:
            child = self._known[labels] = self._make(self._metric.labels(*labels))
        return child
