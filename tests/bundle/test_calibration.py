"""The dial: units at any strength and list length, what is refused, and how it is written."""

from __future__ import annotations

import json
import math

import pytest
from pydantic import ValidationError

from bundle import Calibration, Curve, DialCheck

STRENGTHS = (0.0, 0.5, 1.0)


def curve(concept: str = "genre:horror", k: int = 10, units: tuple[float, ...] = (0, 1, 4), **changes: object) -> Curve:
    given: dict[str, object] = {
        "concept": concept, "channel": "item", "action": "promote", "k": k, "base": 0.1, "units": units,
        "shares": (0.1, 0.5, 0.9),
    }  # fmt: skip
    return Curve.model_validate(given | changes)


def calibration(*curves: Curve) -> Calibration:
    return Calibration(strengths=STRENGTHS, users=250, curves=curves)


def test_between_strengths_the_units_are_linear() -> None:
    dial = calibration(curve()).dial
    units = [dial.units("genre:horror", "item", "promote", k=10, strength=s) for s in (0, 0.25, 0.5, 0.75, 1)]
    assert units == [0, 0.5, 1, 2.5, 4]


def test_between_lengths_they_are_linear_in_log_k_and_outside_the_nearest_ones() -> None:
    dial = calibration(curve(k=10), curve(k=40, units=(0, 2, 8))).dial

    def units(k: int) -> float:
        return dial.units("genre:horror", "item", "promote", k=k, strength=1)

    assert [units(1), units(10), units(40), units(500)] == [4, 4, 8, 8]
    assert units(20) == pytest.approx(6)
    assert units(30) == pytest.approx(4 + 4 * math.log(3) / math.log(4))


def test_what_was_not_calibrated_takes_the_median_of_those_that_were() -> None:
    dial = calibration(*(curve(f"g:{n}", units=(0, n, 2 * n)) for n in (1, 2, 9))).dial
    assert dial.units("latent:3", "item", "promote", k=10, strength=1) == 4
    # Of demotions nothing is known: the common curve, 2 s^2.
    assert dial.units("latent:3", "item", "demote", k=10, strength=0.5) == 0.5


def test_a_bundle_without_curves_follows_the_common_curve() -> None:
    dial = Calibration().dial
    assert dial.units("genre:horror", "item", "promote", k=10, strength=0.5) == 1
    assert dial.units("genre:horror", "query", "demote", k=10, strength=1) == 2
    assert dial.curve("genre:horror", "item", "promote", 10) is None


def test_the_nearest_curve_is_the_one_that_is_shown() -> None:
    dial = calibration(curve(k=10), curve(k=40, units=(0, 2, 8))).dial
    near = dial.curve("genre:horror", "item", "promote", 19)
    far = dial.curve("genre:horror", "item", "promote", 21)
    assert near is not None
    assert far is not None
    assert (near.k, far.k) == (10, 40)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shares": (0.1, 0.5, 0.2)}, "promote 1 brings genre:horror to 20% of the list on the item channel"),
        ({"shares": (0.1, 0.5, 0.3)}, ""),
        ({"base": 0.4, "shares": (0.4, 0.4, 0.3)},
         "promote 1 brings genre:horror to 30% of the list on the item channel"),
        ({"action": "demote", "shares": (0.1, 0.05, 0.03)}, "demote 1 leaves 30% of genre:horror on the item channel"),
        ({"action": "demote", "shares": (0.1, 0.05, 0.02)}, ""),
        ({"action": "demote", "base": 0, "shares": (0, 0, 0)}, ""),
    ],
)  # fmt: skip
def test_a_poor_reach_says_so(changes: dict[str, object], said: str) -> None:
    assert curve(**changes).poor == said


def test_the_dial_tells_a_poor_reach_at_the_nearest_length() -> None:
    dial = calibration(curve(k=10), curve(k=40, shares=(0.1, 0.1, 0.2))).dial
    assert dial.poor("genre:horror", "item", "promote", k=12) == ""
    assert dial.poor("genre:horror", "item", "promote", k=35).startswith("promote 1 brings genre:horror to 20%")
    assert dial.poor("latent:3", "item", "promote", k=10) == ""


@pytest.mark.parametrize("units", [(0, 2, 1), (1, 2, 3), (0, 1), (0, -1, 2), (0, 1, math.nan)])
def test_units_start_at_0_and_never_fall(units: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        curve(units=units)


@pytest.mark.parametrize("strengths", [(0.0, 1.0, 0.5), (0.1, 0.5, 1.0), (0.0, 0.5, 0.9), (0.0, 1.0)])
def test_strengths_rise_from_0_to_1_one_per_unit(strengths: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Calibration(strengths=strengths, curves=(curve(),))


def check() -> DialCheck:
    rows = [
        {"concept": concept, "channel": "item", "action": "promote", "k": k, "dial": (0.2, 0.4),
         "measured": (0.2 + off, 0.4 - off), "segments": (off, 2 * off)}
        for concept, k, off in (("g:a", 10, 0.1), ("g:a", 40, 0.0), ("g:b", 10, 0.05))
    ]  # fmt: skip
    return DialCheck.model_validate({"users": 9, "strengths": (0.5, 1), "segments": ("light", "heavy"), "rows": rows})


def test_errors_are_means_over_what_is_asked_for() -> None:
    assert check().error("item") == pytest.approx(0.05)
    assert check().error("item", {"g:a"}) == pytest.approx(0.05)
    assert check().error("item", {"g:b"}) == pytest.approx(0.05)
    assert check().error("item", k=10) == pytest.approx(0.075)
    assert check().segment_errors("item", {"g:a"}) == pytest.approx({"light": 0.05, "heavy": 0.1})
    assert check().channels == ["item"]


def test_written_a_curve_per_line_and_read_again() -> None:
    whole = calibration(curve(), curve(k=40, units=(0, 2, 8))).model_copy(update={"check": check()})
    text = whole.to_json()
    assert Calibration.model_validate(json.loads(text)) == whole
    assert sum('"genre:horror"' in line for line in text.splitlines()) == 2
    assert Calibration.model_validate_json(Calibration().to_json()) == Calibration()
