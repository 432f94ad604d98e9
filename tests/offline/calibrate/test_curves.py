"""Shares at a ladder of doses, turned round into the dose of every strength; worked by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offline.calibrate.config import CalibrateConfig
from offline.calibrate.curves import dose_for_fans, shares_at, turned_round
from offline.evaluate.doses import Base
from offline.evaluate.methods import Line

LADDER = (0.0, 1.0, 2.0, 4.0)


def test_shares_are_those_of_the_steered_lists() -> None:
    # Two users, top 2 of 4, item 3 is the concept: user 0 needs a dose above 2, user 1 above 1.
    scores = np.array([[3, 2, 1, 0], [3, 2, 1, 1]], np.float32)
    line = Line(scores, np.array([0, 0, 0, 1], np.float32), np.ones(2, np.float32))
    found = shares_at(line, Base.of(scores, 2), np.arange(4) == 3, (0, 1.5, 2.5))
    assert found.tolist() == [0, 0.25, 0.5]


def test_a_promotion_read_off_backwards() -> None:
    doses, shares = turned_round(LADDER, np.array([0.2, 0.4, 0.8, 1.0]), (0, 0.25, 0.5, 1), falling=False, near=0.001)
    # From .2 to 1: half-way is .6, between the doses 1 and 2.
    assert doses.tolist() == pytest.approx([0, 1, 1.5, 4])
    assert shares.tolist() == pytest.approx([0.2, 0.4, 0.6, 1.0])


def test_a_demotion_read_off_backwards() -> None:
    doses, shares = turned_round(LADDER, np.array([0.4, 0.2, 0.1, 0.0]), (0, 0.5, 0.75, 1), falling=True, near=0.001)
    assert doses.tolist() == pytest.approx([0, 1, 2, 4])
    assert shares.tolist() == pytest.approx([0.4, 0.2, 0.1, 0.0])


def test_strength_1_is_the_smallest_dose_near_the_reach() -> None:
    measured = np.array([0.2, 0.4, 0.899, 0.9])
    assert turned_round(LADDER, measured, (0, 1), falling=False, near=0.005)[0].tolist() == [0, 2]
    assert turned_round(LADDER, measured, (0, 1), falling=False, near=0.0001)[0].tolist() == [0, 4]


def test_noise_that_takes_effect_back_is_not_given_to_the_dial() -> None:
    doses, shares = turned_round(LADDER, np.array([0.2, 0.6, 0.5, 1.0]), (0, 0.5, 1), falling=False, near=0.001)
    assert doses.tolist() == pytest.approx([0, 1, 4])
    assert shares[1] == pytest.approx(0.6)


def test_fans_decide_how_far_a_demotion_goes() -> None:
    members = np.arange(4) >= 2

    def lists(gone: float) -> Callable[[float], np.ndarray]:
        """Twenty-five users, of whom one is shown two members until a dose and another one member until dose .5."""

        def at(dose: float) -> np.ndarray:
            out = np.tile([0, 1], (25, 1))
            out[3] = [2, 3] if dose < gone else [0, 1]
            out[7] = [2, 0] if dose < 0.5 else [0, 1]
            return out

        return at

    # Gone at 2: one rung more; at 4: there is none; never: the least that is left, at once.
    assert dose_for_fans(lists(2), members, LADDER, least=1.0, left=0.01) == 4
    assert dose_for_fans(lists(4), members, LADDER, least=1.0, left=0.01) == 4
    assert dose_for_fans(lists(1), members, LADDER, least=1.0, left=0.01) == 2
    assert dose_for_fans(lists(9), members, LADDER, least=1.0, left=0.01) == 1


def test_what_nothing_moves_keeps_its_share() -> None:
    doses, shares = turned_round(LADDER, np.full(4, 0.3), (0, 0.5, 1), falling=True, near=0.003)
    assert shares.tolist() == [0.3, 0.3, 0.3]
    assert doses.tolist() == [0, 0, 0]


@given(
    st.lists(st.floats(0, 1), min_size=4, max_size=4), st.booleans(), st.sampled_from([0.001, 0.05])
)  # fmt: skip
def test_doses_start_at_0_never_fall_and_stay_on_the_ladder(measured: list[float], falling: bool, near: float) -> None:
    strengths = (0.0, 0.1, 0.5, 0.9, 1.0)
    doses, shares = turned_round(LADDER, np.array(measured), strengths, falling=falling, near=near)
    assert doses[0] == 0
    assert (np.diff(doses) >= 0).all()
    assert doses[-1] <= LADDER[-1]
    assert (np.diff(shares) <= 1e-12).all() if falling else (np.diff(shares) >= -1e-12).all()


def test_the_ladder_starts_at_0_and_ends_at_the_largest_dose() -> None:
    ladder = CalibrateConfig(doses=5, smallest_dose=0.5, largest_dose=4).ladder
    assert ladder == pytest.approx((0, 0.5, 1, 2, 4))


def test_users_give_way_to_the_work() -> None:
    config = CalibrateConfig(work=1e6, fewest_users=10)
    assert config.affordable(250, items=1000, curves=10) == 100
    assert config.affordable(250, items=100, curves=10) == 250
    assert config.affordable(250, items=10**6, curves=100) == 10
    assert config.affordable(7, items=10**6, curves=100) == 7


@pytest.mark.parametrize("wrong", [{"lengths": (10, 5)}, {"lengths": ()}, {"lengths": (0,)}, {"smallest_dose": 20}])
def test_what_cannot_be_calibrated_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"lengths|smallest_dose"):
        CalibrateConfig.model_validate(wrong)
