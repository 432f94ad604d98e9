import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.sae import Activation
from sae import activations

pytestmark = pytest.mark.train

PRE = torch.tensor([[3.0, -1.0, 2.0, 0.5], [0.1, 0.2, -5.0, 0.0]])


def test_relu_by_hand():
    assert activations.relu(PRE).tolist() == [[3.0, 0.0, 2.0, 0.5], [pytest.approx(0.1), pytest.approx(0.2), 0.0, 0.0]]


def test_topk_keeps_the_k_largest_of_each_row():
    assert activations.topk(PRE, 2).tolist() == [[3.0, 0.0, 2.0, 0.0], [pytest.approx(0.1), pytest.approx(0.2), 0, 0]]
    assert activations.topk(PRE, 1).tolist() == [[3.0, 0.0, 0.0, 0.0], [0.0, pytest.approx(0.2), 0, 0]]


def test_topk_never_keeps_a_negative_entry():
    assert activations.topk(torch.tensor([[-3.0, -1.0, 2.0]]), 2).tolist() == [[0.0, 0.0, 2.0]]


def test_batch_topk_shares_the_budget_between_rows():
    # 2 rows x k = 1: the two largest of the batch, both in row 0.
    assert activations.batch_topk(PRE, 1).tolist() == [[3.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("form", [activations.topk, activations.batch_topk])
def test_a_budget_as_wide_as_the_row_is_relu(form):
    assert torch.equal(form(PRE, 4), torch.relu(PRE))


@pytest.mark.parametrize("form", [activations.topk, activations.batch_topk])
def test_gradient_flows_through_the_kept_entries_only(form):
    pre = PRE.clone().requires_grad_()
    form(pre, 1).sum().backward()
    kept = (form(PRE, 1) > 0).float()
    assert torch.equal(pre.grad, kept)


def test_threshold_keeps_what_is_above():
    assert activations.threshold(PRE, 0.5).tolist() == [[3.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


def test_batch_threshold_by_hand():
    # Budget 1 x 2 rows; sorted entries 3, 2, .5, ...: the bar is half-way between the second and the third.
    assert activations.batch_threshold(PRE, 1) == 1.25
    # Budget 3 x 2 = 6 entries, but five only are positive: everything positive stays.
    assert activations.batch_threshold(PRE, 3) == 0.0
    assert activations.batch_threshold(PRE, 4) == 0.0


def distinct(seed, rows, latents):
    """Pre-activations without ties, a good half of them positive."""
    order = np.random.default_rng(seed).permutation(rows * latents)
    return ((order - 0.4 * order.size) / 8).astype(np.float32).reshape(rows, latents)


SHAPES = {"seed": st.integers(0, 2**32 - 1), "rows": st.integers(1, 30), "latents": st.integers(1, 40)}


@settings(max_examples=80, deadline=None)
@given(**SHAPES, k=st.integers(1, 45))
def test_threshold_keeps_exactly_what_the_batch_form_keeps(seed, rows, latents, k):
    pre = torch.from_numpy(distinct(seed, rows, latents))
    assert torch.equal(activations.batch_topk(pre, k), activations.threshold(pre, activations.batch_threshold(pre, k)))


@settings(max_examples=80, deadline=None)
@given(**SHAPES, k=st.integers(1, 45))
def test_every_form_equals_the_numpy_reference(seed, rows, latents, k):
    pre = distinct(seed, rows, latents)
    tensor = torch.from_numpy(pre)
    assert np.array_equal(activations.relu(tensor).numpy(), Activation("relu")(pre))
    assert np.array_equal(activations.topk(tensor, k).numpy(), Activation("topk", k=k)(pre))
    bar = activations.batch_threshold(tensor, k)
    assert np.array_equal(activations.threshold(tensor, bar).numpy(), Activation("threshold", threshold=bar)(pre))
