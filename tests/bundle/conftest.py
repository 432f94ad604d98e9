"""One small bundle, written once and copied for every test that breaks it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.world import World, make_world, write_world


@pytest.fixture(scope="session")
def world() -> World:
    """With an item bias and users, so that every optional file but the evaluation is there."""
    return make_world(items=60, users=8, dim=8, latents=12, bias=True)


@pytest.fixture(scope="session")
def pristine(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never written to: copy it."""
    target = tmp_path_factory.mktemp("pristine") / "bundle"
    write_world(world, target)
    return target


@pytest.fixture
def bundle(pristine: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(pristine, tmp_path / "bundle"))
