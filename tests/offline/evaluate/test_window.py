"""Exact lists over a range of doses: whatever is left out could not be in any list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offline.evaluate.panel import best_lists
from offline.evaluate.window import Window, share_of

K = 5


def problem(seed: int, items: int, sign: float, hidden: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(7, items)).astype(np.float32)
    scores[rng.random(scores.shape) < hidden] = -np.inf
    column = (rng.random(items) * (rng.random(items) < 0.4)).astype(np.float32)
    return scores, column, (sign * rng.uniform(0.5, 2, 7)).astype(np.float32)


def brute(scores: np.ndarray, column: np.ndarray, unit: np.ndarray, dose: float) -> np.ndarray:
    return best_lists(scores + np.float32(dose) * (unit[:, None] * column), K)


problems = st.builds(
    problem,
    st.integers(0, 10**6),
    st.integers(K, 60),
    st.sampled_from([-1.0, 1.0]),
    st.sampled_from([0.0, 0.3, 0.95]),
)


@given(made=problems, low=st.floats(0, 3), width=st.floats(0, 5), part=st.floats(0, 1))
def test_lists_equal_brute_force_anywhere_in_the_interval(
    made: tuple[np.ndarray, np.ndarray, np.ndarray], low: float, width: float, part: float
) -> None:
    scores, column, unit = made
    high = low + width
    window = Window.between(scores, column, unit, best_lists(scores, 8), k=K, low=low, high=high)
    middle = min(low + part * width, high)
    wanted = brute(scores, column, unit, middle)
    assert window.lists(middle).tolist() == wanted.tolist()
    assert window.narrowed(low, middle).lists(middle).tolist() == wanted.tolist()


def test_a_window_is_small_where_the_catalogue_is_large() -> None:
    scores, column, unit = problem(0, 5000, -1, 0)
    window = Window.between(scores, column, unit, best_lists(scores, 100), k=K, low=0, high=1)
    assert window.items.shape[1] < 60


def test_share_counts_what_a_list_has() -> None:
    members = np.array([True, False, True])
    # 1 of 2, and 1 of the 1 item that is there: (.5 + 1) / 2.
    assert share_of(np.array([[0, 1], [2, -1]]), members) == 0.75
