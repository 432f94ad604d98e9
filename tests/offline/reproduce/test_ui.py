"""One bar for many stages."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from offline.progress import Lines
from offline.reproduce.ui import OneBar, make_ui

pytestmark = pytest.mark.train


def test_only_stages_that_took_time_leave_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("offline.reproduce.ui.time.monotonic", lambda: now)
    out = io.StringIO()
    ui = OneBar(Console(file=out, force_terminal=False, width=100))
    ui.stage("training [mf]")
    ui.step(3, 10, {"loss": 0.5})
    now = 2.5
    ui.stage("measuring")
    now = 2.6
    ui.say("a sentence")
    ui.close()
    lines = [line for line in out.getvalue().splitlines() if line.strip()]
    assert lines[:2] == ["training [mf]: 2.5 s", "a sentence"]
    assert not any("measuring:" in line for line in lines)


def test_a_bar_on_a_terminal_and_lines_in_a_log() -> None:
    bar = make_ui(Console(file=io.StringIO(), force_terminal=True))
    assert isinstance(bar, OneBar)
    bar.close()
    assert isinstance(make_ui(Console(file=io.StringIO(), force_terminal=False)), Lines)
