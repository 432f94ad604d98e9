"""A little of each part, against real processes: the commands run, and find nothing on a sound tree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.reliability.__main__ import PARTS, main

SHORT = {
    "requests": ["--count", "1500", "--clients", "1"],
    "policies": ["--count", "120"],
    "bundles": ["--count", "60", "--forged", "10"],
}


@pytest.mark.parametrize("part", SHORT)
def test_a_short_run_finds_nothing(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["reliability", part, "--out", str(tmp_path), *SHORT[part]])
    assert main() == 0
    figures = json.loads((tmp_path / f"{part}.json").read_text())
    assert figures["examples"] == []
    assert figures["refused"] > 0


def test_every_part_teaches(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for part in PARTS:
        monkeypatch.setattr("sys.argv", ["reliability", part, "--help"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        assert f"python -m benchmarks.reliability {part}" in capsys.readouterr().out
