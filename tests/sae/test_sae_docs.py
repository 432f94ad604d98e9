import re
from pathlib import Path

import pytest

from sae.config import SaeConfig, StageConfig
from sae.presets import PRESETS

pytestmark = pytest.mark.train

PAGE = (Path(__file__).parents[2] / "docs" / "sae.md").read_text()
ROWS = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
NAMES = {name for row in ROWS for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("model", [SaeConfig, StageConfig])
def test_every_field_is_in_a_table(model):
    assert set(model.model_fields) <= NAMES


def test_the_tables_name_presets_and_fields_and_nothing_else():
    assert {*PRESETS, *SaeConfig.model_fields, *StageConfig.model_fields, "preset"} == NAMES


def test_the_default_is_the_one_described():
    config = SaeConfig.for_data(64, 3706, 6040)
    assert (config.latents, config.stage1.k_items, config.stage2.k_items, config.stage2.k_users) == (256, 6, 14, 32)
    assert "256 latents, 6 active in stage 1, then 14 per item and 32 per user; 1,500 and 600 steps" in PAGE
    assert (config.stage1.steps, config.stage2.steps) == (1_500, 600)
    assert (config.norm_power, config.whitening, config.top_items) == (0.75, 0.6, 50)
    assert "`|x| ** 0.75`" in PAGE
    assert config.stage2.item_encoder_rate == 0.5
