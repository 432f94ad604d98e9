import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from offline.datasets.types import Interactions
from offline.recommenders import sasrec, tied_loss
from offline.recommenders.histories import Histories
from offline.recommenders.sasrec import SasRec, SasRecConfig, SasRecTower
from offline.recommenders.tied_loss import tied_cross_entropy

pytestmark = pytest.mark.train

CONFIG = SasRecConfig(dim=8, max_length=5, dropout=0.0)


@pytest.fixture
def tower():
    made = SasRecTower(20, CONFIG)
    made.initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.items.weight[1:] *= 10  # so that what is seen makes a difference that rounding cannot
    return made.eval().requires_grad_(False)


def test_a_position_sees_nothing_that_comes_later(tower):
    first, other = torch.tensor([[1, 2, 3, 4, 5]]), torch.tensor([[1, 2, 3, 9, 9]])
    assert torch.allclose(tower.states(first)[:, :3], tower.states(other)[:, :3], atol=1e-6)
    assert not torch.allclose(tower.states(first)[:, 3:], tower.states(other)[:, 3:], atol=1e-2)


def test_the_last_position_sees_the_first(tower):
    assert not torch.allclose(tower(torch.tensor([[1, 2, 3, 4, 5]])), tower(torch.tensor([[7, 2, 3, 4, 5]])), atol=1e-3)


def test_the_residual_stream_after_a_block(tower):
    history = torch.tensor([[0, 2, 3, 4, 5]])
    mask = torch.ones(5, 5).tril().bool()
    mask = ((mask & (history > 0)) | torch.eye(5).bool())[None, None]
    by_hand = tower.blocks[0](tower.items(history) + tower.positions, mask)
    assert torch.equal(tower.residual(history), by_hand)
    assert tower.residual(history).shape == (1, 5, 8)
    assert torch.equal(tower.norm(tower.residual(history, after=1)), tower.states(history))
    assert torch.equal(tower.states(history)[:, -1], tower(history))


def test_attention_by_hand():
    """One head, one block: softmax(q k / sqrt(D)) v over what the mask leaves."""
    block = sasrec.Block(4, 1, 0.0).requires_grad_(False)
    x = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 3).tril().bool()[None, None]
    q, k, v = block.qkv(block.norm_attention(x))[0].chunk(3, dim=1)
    seen = torch.stack([(q[t] @ k[: t + 1].T / 2).softmax(0) @ v[: t + 1] for t in range(3)])
    h = x[0] + block.out(seen)
    expected = h + block.feed(block.norm_feed(h))
    assert torch.allclose(block(x, mask)[0], expected, atol=1e-6)


@pytest.mark.parametrize("chunk", [2, 3, 50])
def test_the_tied_cross_entropy_is_torch_s(monkeypatch, chunk):
    monkeypatch.setattr(tied_loss, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    states, items = (torch.randn(rows, 4, generator=generator, requires_grad=True) for rows in (7, 9))
    target = torch.tensor([0, 8, 3, 3, 1, 2, 5])
    expected = functional.cross_entropy(states @ items.T, target)
    wanted = torch.autograd.grad(expected * 3, [states, items])
    loss = tied_cross_entropy(states, items, target)
    found = torch.autograd.grad(loss * 3, [states, items])
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def of(lengths):
    user = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    item = np.concatenate([np.arange(length) for length in lengths]).astype(np.int32)
    return Interactions(user, item, np.arange(len(user)), np.ones(len(user), np.float32))


def test_every_user_who_can_be_learned_from_has_one_window():
    lengths = [0, 1, 2, 3, 6, 9, 20]
    histories = Histories.of(of(lengths), len(lengths))
    batches = list(sasrec._windows(histories, SasRecConfig(max_length=5), np.random.default_rng(0)))
    windows = [row[row > 0] for batch in batches for row in batch]
    assert sorted(len(window) for window in windows) == [2, 3, 6, 6, 6]
    for window in windows:
        assert (np.diff(window) == 1).all()  # consecutive items of one history


def test_long_histories_are_cut_at_random_places():
    histories = Histories.of(of([30]), 1)
    config = SasRecConfig(max_length=5)
    ends = {
        int(next(iter(sasrec._windows(histories, config, np.random.default_rng(seed))))[0, -1]) for seed in range(200)
    }
    assert ends == set(range(6, 31))


def test_batches_hold_as_many_positions_as_asked():
    lengths = np.random.default_rng(0).integers(2, 30, 300).tolist()
    histories = Histories.of(of(lengths), 300)
    batches = list(
        sasrec._windows(histories, SasRecConfig(max_length=20, batch_positions=100), np.random.default_rng(0))
    )
    assert sum(len(batch) for batch in batches) == 300
    assert max(batch[:, 1:].size for batch in batches) <= 100
    # Users of similar length stand together: little of a batch is padding.
    assert np.mean([(batch[:, :-1] > 0).mean() for batch in batches]) > 0.9


def test_it_learns_what_comes_next():
    """Item v is always followed by item v + 1: what nothing but a sequence can tell."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, 14, 60)
    user = np.repeat(np.arange(60), 6).astype(np.int32)
    item = (start[:, None] + np.arange(6)).ravel().astype(np.int32)
    data = Interactions(user, item, np.arange(360), np.ones(360, np.float32))
    config = SasRecConfig(dim=16, max_length=5, epochs=60, batch_positions=100, learning_rate=0.01)
    made = SasRec().fit(data, 60, 20, config)
    histories = torch.tensor([[0, 0, v, v + 1, v + 2] for v in range(1, 15)])
    best = (made.user_tower(histories) @ torch.from_numpy(made.embeddings.items).T).argmax(1)
    assert best.tolist() == [v + 2 for v in range(1, 15)]


def test_the_item_table_is_the_tower_s():
    made = SasRec().fit(of([4, 4, 4]), 3, 6, SasRecConfig(dim=8, max_length=4, epochs=1))
    assert np.array_equal(made.embeddings.items, made.user_tower.items.weight[1:].numpy())
    assert not made.user_tower.items.weight[0].any()
    assert (made.scorer, made.embeddings.item_bias, made.history_length) == (None, None, 4)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValidationError, match="heads 3 do not divide dim 64"):
        SasRecConfig(heads=3)
