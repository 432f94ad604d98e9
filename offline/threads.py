"""How many threads a training run takes: half of the cores, or what the person said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

GIVEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def wanted() -> int:
    """Half of the cores this process may use, at least 1.

    The matrices of a step are small: a second thread makes training 1.5 times as fast where its core is idle, and five
    to twelve times slower where it is not, because each step waits for the slower of the two (docs/decisions/003).
    """
    return max(1, len(os.sched_getaffinity(0)) // 2) if hasattr(os, "sched_getaffinity") else 1


@contextmanager
def few_threads() -> Iterator[None]:
    """Torch with ``wanted()`` threads, and as before afterwards; nothing where the environment says a number."""
    if any(os.environ.get(name) for name in GIVEN):
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(wanted())
    try:
        yield
    finally:
        torch.set_num_threads(before)
