from __future__ import annotations

import io

import pytest
from rich.console import Console

from offline.progress import Bars, Lines, make_progress, told

pytestmark = pytest.mark.train

FIGURES = {"loss": 0.12345, "explained_variance": 0.9, "l0": 8.04, "dead_share": 0.0041, "l0_users": 9.0}


def test_told_shows_what_matters() -> None:
    assert told(FIGURES) == "loss 0.1235  EV 0.9  L0 8.0  dead 0.4%"
    assert told({"loss": 7.0}) == "loss 7"
    assert told({}) == ""


def test_lines() -> None:
    stream = io.StringIO()
    lines = Lines(stream, every=0)
    lines.stage("training")
    lines.step(1, 2, {"loss": 0.5})
    lines.step(7, None, {})
    lines.say("A sentence.")
    lines.stage("next")
    lines.close()
    lines.close()
    written = stream.getvalue().splitlines()
    assert written[:4] == ["training ...", "training: 1/2 loss 0.5", "training: 7", "A sentence."]
    assert [line.rpartition(" in ")[0] for line in written[4:]] == ["training: done", "", "next: done"]
    assert written[5] == "next ..."


def test_lines_are_few() -> None:
    stream = io.StringIO()
    lines = Lines(stream, every=3600)
    lines.stage("training")
    for step in range(100):
        lines.step(step, 100, {})
    assert stream.getvalue() == "training ...\n"


def test_bars_on_a_terminal_lines_elsewhere() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=160)
    bars = make_progress(screen)
    assert isinstance(bars, Bars)
    bars.stage("reading [bold]")
    bars.stage("training")
    bars.step(3, 10, FIGURES)
    bars.say("A [sentence].")
    bars.close()
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "reading [bold]" in shown
    assert "loss 0.1235  EV 0.9  L0 8.0  dead 0.4%" in shown
    assert "A [sentence]." in shown
    assert isinstance(make_progress(Console(file=io.StringIO())), Lines)
