import pytest
import torch
from torch import nn

from bundle.errors import TrainingError
from offline.recommenders.epochs import EpochCheckpoint, one_cycle, set_learning_rates

pytestmark = pytest.mark.train


def made(seed):
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimiser = torch.optim.Adam([{"params": list(model.parameters()), "peak": 0.5}], lr=0.1)
    return model, optimiser


def step(model, optimiser):
    optimiser.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimiser.step()


def test_one_cycle_rises_for_a_quarter_and_falls():
    shares = [one_cycle(place, 100) for place in range(100)]
    assert max(shares) == pytest.approx(1.0)
    assert shares.index(max(shares)) == 25
    assert shares[:26] == sorted(shares[:26])
    assert shares[25:] == sorted(shares[25:], reverse=True)
    assert shares[0] < 0.01
    assert 0 < shares[-1] < 0.01


@pytest.mark.parametrize("total", [1, 2, 3])
def test_one_cycle_of_few_steps_is_positive(total):
    assert all(0 < one_cycle(place, total) <= 1 for place in range(total))


def test_every_group_gets_a_share_of_its_own_peak():
    optimiser = made(0)[1]
    optimiser.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "peak": 2.0})
    set_learning_rates(optimiser, 0.25)
    assert [group["lr"] for group in optimiser.param_groups] == [0.125, 0.5]


def test_what_is_kept_comes_back_moments_too(tmp_path):
    kept = EpochCheckpoint(tmp_path / "fit.safetensors", {"seed": 1})
    model, optimiser = made(0)
    step(model, optimiser)
    kept.save(7, model, optimiser)
    other, its = made(9)
    assert kept.load(other, its) == 7
    assert torch.equal(other.weight, model.weight)
    step(model, optimiser)
    step(other, its)
    assert torch.equal(other.weight, model.weight)


def test_without_a_path_or_a_file_a_fit_begins(tmp_path):
    for path in (None, tmp_path / "none.safetensors"):
        kept = EpochCheckpoint(path, {})
        assert kept.load(*made(0)) == 0
    EpochCheckpoint(None, {}).save(1, *made(0))
    EpochCheckpoint(None, {}).drop()


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "fit.safetensors"
    path.write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"not readable .* Delete it, or choose another file\."):
        EpochCheckpoint(path, {}).load(*made(0))
