"""One bundle for every test of the guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle import Bundle
from tests.world import make_world, write_world


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A planted bundle."""
    return write_world(make_world(items=60), tmp_path_factory.mktemp("guard") / "planted")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """Where a test puts its tokens."""
    return tmp_path / "tokens.yaml"
