import numpy as np
import pytest

from bundle.errors import TrainingError
from sae.config import SaeConfig
from sae.presets import PRESETS, preset
from sae.train import train_sae
from tests.sae.networks import SmallNcf
from tests.sae.planted import plant

pytestmark = pytest.mark.train

WORLD = plant(dim=12, directions=16, n_items=160, n_users=200)
PAIRS = (np.arange(200) % 200, np.arange(200) * 7 % 160)


def short(config):
    first = config.stage1.model_copy(update={"steps": 60})
    second = config.stage2.model_copy(update={"steps": 20}) if config.stage2 else None
    return config.model_copy(
        update={"stage1": first, "stage2": second, "batch_users": 64, "batch_items": 64, "report_every": 1}
    )


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("dim", [8, 20, 64])
def test_every_preset_is_a_valid_configuration(name, dim):
    config = preset(name, dim, 400, 600, seed=3)
    assert SaeConfig.model_validate(config.model_dump()) == config
    assert config.seed == 3


def test_the_papers_own_form():
    """Numbers of the public code of arXiv 2511.18024: 22 latents of 20 dimensions, weights .1 / .01 / 1, target .05."""
    config = preset("arviv2025", 20, 3706, 6040)
    assert (config.latents, config.activation, config.tied, config.towers) == (22, "relu", True, "shared")
    stage = config.stage1
    assert (stage.reconstruction, stage.kl_sparsity, stage.prediction_block, stage.l1) == (0.1, 0.01, 1.0, 0.0)
    assert (config.kl_target, config.kl_squash, config.units, stage.schedule) == (0.05, False, "raw", "constant")
    network = preset("arviv2025", 20, 3706, 6040, network=True, beta=5.0).stage1
    assert (network.prediction_block, network.prediction_cross_entropy) == (0.0, 5.0)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "klenitskiy2025"])
def test_every_preset_of_two_towers_trains(name):
    config = short(preset(name, 12, 160, 200))
    result = train_sae(WORLD.items, WORLD.users, None, "dot", PAIRS, config)
    first = [row["loss"] for row in result.history if row["stage"] == "stage1"]
    assert np.mean(first[-5:]) < np.mean(first[:5])
    assert result.metrics["explained_variance_items"] > 0
    if name == "arviv2025":
        for tower in (result.weights.user, result.weights.item):
            assert np.array_equal(tower.w_dec, tower.w_enc.T)


def test_the_papers_form_trains_through_a_network():
    config = short(preset("arviv2025", 12, 160, 200, network=True))
    network = SmallNcf(12)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    result = train_sae(WORLD.items, WORLD.users, None, "dot", PAIRS, config, scorer=network)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    for name, tensor in network.state_dict().items():
        assert np.array_equal(tensor, before[name])


def test_the_papers_form_needs_interactions():
    with pytest.raises(TrainingError, match=r"^pair_sampling interactions: found no interactions"):
        train_sae(WORLD.items, WORLD.users, None, "dot", None, short(preset("arviv2025", 12, 160, 200)))


def test_token_states_alone_train_one_tower():
    rows = np.concatenate([WORLD.items, WORLD.users])
    config = preset("klenitskiy2025", 12, len(rows), 0)
    assert (config.latents, config.stage1.k_items, config.activation) == (96, 24, "topk")
    config = short(config).model_copy(
        update={"stage1": config.stage1.model_copy(update={"steps": 300, "k_items": 6, "learning_rate": 5e-3})}
    )
    result = train_sae(rows, None, None, "dot", None, config)
    assert np.array_equal(result.weights.user.w_enc, result.weights.item.w_enc)
    assert result.metrics["explained_variance_items"] == result.metrics["explained_variance_users"] > 0.8
    assert result.metrics["l0_items"] <= 6
