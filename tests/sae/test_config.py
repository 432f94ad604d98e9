import pytest
from pydantic import ValidationError

from sae.config import SaeConfig, StageConfig

pytestmark = pytest.mark.train

STAGE = {"steps": 10, "learning_rate": 1e-3, "k_users": 2, "k_items": 2}


def config(**changes):
    return SaeConfig(**{"latents": 8, "towers": "shared", "stage1": STAGE, **changes})


def test_every_field_is_documented():
    for model in (SaeConfig, StageConfig):
        undocumented = [name for name, field in model.model_fields.items() if not field.description]
        assert undocumented == []


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="latent_count"):
        config(latent_count=8)


def test_it_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        config().latents = 9


def test_stages_follow_the_towers():
    with pytest.raises(ValidationError, match="untied needs a stage2"):
        config(towers="untied")
    for towers in ("untied", "shared", "separate"):
        assert config(towers=towers, stage2=STAGE).stage2.steps == 10


def test_tied_weights_have_no_norm_of_their_own():
    with pytest.raises(ValidationError, match="tied weights cannot be held at unit norm: set unit_decoder to false"):
        config(tied=True)
    assert config(tied=True, stage1={**STAGE, "unit_decoder": False}).tied


@pytest.mark.parametrize("widths", [(4, 4), (6, 2), (8,), (0, 4)])
def test_matryoshka_prefixes_ascend_below_the_width(widths):
    with pytest.raises(ValidationError, match="matryoshka must be ascending widths below latents = 8"):
        config(matryoshka=widths)


def test_a_stage_has_something_to_learn():
    with pytest.raises(ValidationError, match="needs reconstruction or one of the prediction terms above 0"):
        StageConfig(**STAGE, reconstruction=0.0, l1=1.0)


def test_sparsity_fits_the_width():
    with pytest.raises(ValidationError, match="k_users and k_items must not exceed latents = 8"):
        config(stage1={**STAGE, "k_users": 9})


@pytest.mark.parametrize("activation", ["relu", "topk", "batchtopk"])
@pytest.mark.parametrize("dim", [8, 16, 50, 64, 128, 384, 1024])
@pytest.mark.parametrize(("n_items", "n_users"), [(200, 50), (500, 1_000), (3_706, 6_040), (1_000_000, 5_000_000)])
def test_for_data_needs_no_flag(dim, n_items, n_users, activation):
    derived = SaeConfig.for_data(dim, n_items, n_users, activation=activation)
    assert 16 <= derived.latents <= max(16, min(1024, n_items // 4))
    assert derived.latents % 8 == 0
    for stage in (derived.stage1, derived.stage2):
        assert stage.k_items <= stage.k_users or stage is derived.stage1
        assert 2 <= stage.k_items <= 32
        assert stage.k_users < derived.latents
    assert (derived.stage1.l1 > 0) == (activation == "relu")


def test_a_network_keeps_more_of_the_embeddings():
    of = {network: SaeConfig.for_data(64, 3_706, 6_040, network=network) for network in (False, True)}
    assert [of[network].stage2.reconstruction for network in (False, True)] == [0.13, 0.5]
    assert [of[network].temperature for network in (False, True)] == [0.155, 0.25]


def test_for_data_of_the_reference_run():
    derived = SaeConfig.for_data(64, 3_706, 6_040)
    assert (derived.latents, derived.stage2.k_items, derived.stage2.k_users) == (256, 14, 32)
