"""What `tiller reproduce` refuses, and that its options arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offline.reproduce import command
from tests.cli.conftest import Tiller

pytestmark = pytest.mark.train


def test_an_unknown_paper(tiller: Tiller) -> None:
    ran = tiller("reproduce", "smith2020")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "tiller: paper: found 'smith2020', expected one of arviv2025, klenitskiy2025.\n"


@pytest.mark.parametrize("seeds", ["", "a", "0,,1", "1,1", "-1"])
def test_seeds_that_are_none(tiller: Tiller, seeds: str) -> None:
    ran = tiller("reproduce", "arviv2025", f"--seeds={seeds}")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"tiller: --seeds: found {seeds!r}, expected whole numbers with commas, each once, like 0,1,2.\n"
    )


def test_a_folder_without_the_archives(tiller: Tiller, tmp_path: Path) -> None:
    ran = tiller("reproduce", "arviv2025", "--fast", "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert ran.code == 2
    assert "found none like ml-1m*, expected one archive of ml-1m" in ran.err


def test_options_arrive_and_the_bars_are_printed(
    tiller: Tiller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def done(config: Any, ui: object) -> dict[str, Any]:
        asked.append(config)
        row = {"on": "ML-1M, MF", "metric": "RBO", "published": "0.543", "bar": "at least 0.750", "percent": False}
        return {"bars": [row | {"ours": 0.76, "reached": True}, row | {"metric": "tau", "ours": None, "reached": None}]}

    monkeypatch.setattr(command, "reproduce", done)
    ran = tiller("reproduce", "klenitskiy2025", "--seeds", "3, 4", "--device", "cuda:1", "--out", str(tmp_path))
    assert ran.code == 0
    config = asked[0]
    assert (config.paper, config.all_seeds, config.device, config.out) == (
        "klenitskiy2025", (3, 4), "cuda:1", tmp_path,
    )  # fmt: skip
    assert "1 of 1 bars reached." in ran.out
    assert "not measured" in ran.out


def test_the_default_folder_and_seeds_of_a_fast_run(monkeypatch: pytest.MonkeyPatch, tiller: Tiller) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(command, "reproduce", lambda config, _: asked.append(config) or {"bars": []})
    for flags in (("--fast",), ()):
        assert tiller("reproduce", "arviv2025", *flags).code == 0
    assert [(str(config.out), config.all_seeds) for config in asked] == [
        ("runs/arviv2025-fast", (0,)),
        ("runs/arviv2025", (0, 1, 2)),
    ]
