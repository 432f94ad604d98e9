"""A training run takes half of the cores, unless the person said a number, and gives torch back as it was."""

from __future__ import annotations

import os

import pytest
import torch

from offline.threads import few_threads, wanted

pytestmark = pytest.mark.train


def test_half_of_the_cores_at_least_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, threads in ((1, 1), (2, 1), (3, 1), (8, 4)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        assert wanted() == threads


def test_torch_is_given_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with few_threads():
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_the_person_says_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    with few_threads():
        assert torch.get_num_threads() == before
