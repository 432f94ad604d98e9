"""Sparse codes, by hand and as a property."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bundle import SparseCodes

#       latent  0    1    2    3
DENSE = np.array([[0.0, 2.0, 0.0, 1.0],
                  [0.0, 0.0, 0.0, 0.0],
                  [3.0, 0.5, 0.0, 0.0]], np.float32)  # fmt: skip


def test_compressed_by_hand() -> None:
    codes = SparseCodes.from_dense(DENSE)
    assert codes.indptr.tolist() == [0, 2, 2, 4]
    assert codes.indices.tolist() == [1, 3, 0, 1]
    assert codes.values.tolist() == [2, 1, 3, 0.5]
    assert (len(codes), codes.latents) == (3, 4)


def test_row_and_posting_by_hand() -> None:
    codes = SparseCodes.from_dense(DENSE)
    assert [part.tolist() for part in codes.row(2)] == [[0, 1], [3, 0.5]]
    assert [part.tolist() for part in codes.row(1)] == [[], []]
    assert [part.tolist() for part in codes.posting(1)] == [[0, 2], [2, 0.5]]
    assert [part.tolist() for part in codes.posting(2)] == [[], []]


def test_latent_scale_is_the_90th_percentile_of_the_active() -> None:
    # 0.5 and 2: 0.5 + 0.9 x 1.5 = 1.85; one value is its own percentile; a dead latent has scale 1.
    assert SparseCodes.from_dense(DENSE).latent_scale().tolist() == pytest.approx([3, 1.85, 1, 1])


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 9)),
        elements=st.just(0.0) | st.floats(np.float32(1e-3), np.float32(1e3), width=32),
    )
)
def test_dense_and_back(dense: np.ndarray) -> None:
    codes = SparseCodes.from_dense(dense)
    assert np.array_equal(codes.dense(), dense)
    for latent in range(dense.shape[1]):
        items, values = codes.posting(latent)
        assert np.array_equal(items, np.nonzero(dense[:, latent])[0])
        assert np.array_equal(values, dense[items, latent])
