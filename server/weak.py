"""A bound method that does not keep its object alive.

An object that holds its own method, in a cache say, is a cycle: only a full garbage collection frees it. A bundle that
was swapped out would keep its memory for hours, and the collection would hold every call up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakMethod

_P = ParamSpec("_P")
_T = TypeVar("_T")


def weakly(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """``method`` of an object that whoever calls it holds."""
    held = WeakMethod(method)

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        bound = held()
        assert bound is not None, "called after its object was released"
        return bound(*args, **kwargs)

    return call
