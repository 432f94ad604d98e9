"""docs/concepts.md says what the code does."""

from __future__ import annotations

import re

import pytest

from offline.label import intervals
from offline.label.config import KINDS, LEFT_OUT, LabelConfig
from offline.label.halves import chance_deviation
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "concepts.md").read_text()
DEFAULTS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \| ", PAGE, re.MULTILINE))


def test_every_key_is_documented_with_its_default() -> None:
    config = LabelConfig()
    documented = {name: value.replace("`", "") for name, value in DEFAULTS.items() if name in LabelConfig.model_fields}
    assert set(documented) == set(LabelConfig.model_fields)
    told = {"columns": "all", "seed": "the run's"}
    for name, value in documented.items():
        default = getattr(config, name)
        words = ", ".join(map(str, default)) if isinstance(default, tuple) else default
        shown = f"{words:,}" if isinstance(words, int) else f"{words:g}" if isinstance(words, float) else str(words)
        assert value == told.get(name, shown), name


def test_every_kind_of_readout_is_documented() -> None:
    assert all(f"| `{kind}` |" in PAGE for kind in (*LEFT_OUT, *KINDS))


def test_the_rules_of_intervals_are_as_documented() -> None:
    assert f"numbers, at most {intervals.FEW} different" in PAGE
    assert f"at least {intervals.HEAVY:.0%} of the sum".replace("%", " %") in PAGE
    assert (intervals.HEAD_MASS, intervals.TORSO_MASS) == (0.5, 0.8)
    assert f"{intervals.FIRST_YEAR} to {intervals.LAST_YEAR}" in PAGE


@pytest.mark.parametrize(("members", "needed"), [(20, 0.78), (10, 0.89), (70, 0.65)])
def test_the_bounds_told_are_the_bounds(members: int, needed: float) -> None:
    config = LabelConfig()
    bound = max(config.min_auc, 0.5 + config.chance_deviations * chance_deviation(members, 3706))
    assert bound == pytest.approx(needed, abs=0.006)
