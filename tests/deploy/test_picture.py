"""The picture of the dashboard: every panel can be drawn, in its unit, with the legend that Grafana would write."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.reader import dashboard

pytestmark = pytest.mark.train  # matplotlib comes with the train extra


def test_every_panel_is_drawn(tmp_path: Path) -> None:
    from benchmarks.dashboard.picture import UNITS, Drawn, Line, draw

    panels = dashboard()["panels"]
    assert {panel["fieldConfig"]["defaults"]["unit"] for panel in panels} <= set(UNITS)
    lines = [Line(f"line {number}", [0.0, 1.0], [0.0, float(number)]) for number in range(10)]
    drawn = [Drawn(panel, lines if place % 2 else []) for place, panel in enumerate(panels)]
    draw(drawn, tmp_path / "made" / "all.svg", "a day")
    text = (tmp_path / "made" / "all.svg").read_text()
    for panel in panels:
        assert f"<!-- {panel['title']} -->" in text.replace("&#x27;", "'").replace("&apos;", "'")
    assert text.count("<!-- No data -->") == len(panels) - len(panels) // 2
    assert "<!-- the highest 8 of 10 -->" in text


def test_legends_are_filled_in() -> None:
    from benchmarks.dashboard.picture import legend

    assert legend("{{concept}} {{action}}, after", {"concept": "genre:horror", "action": "filter"}) == (
        "genre:horror filter, after"
    )
    assert legend("p50", {"le": "1"}) == "p50"
    assert legend("{{gone}}", {}) == ""
