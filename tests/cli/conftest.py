"""A planted bundle that the commands are run on, and the commands themselves, run as a person runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import run
from cli.server_process import served
from tests.world import World, make_world, write_world


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Tiller = Callable[..., Ran]


@pytest.fixture
def tiller(capfd: pytest.CaptureFixture[str]) -> Tiller:
    """Run `tiller` in this process; the exit code and everything that was printed."""

    def call(*arguments: object) -> Ran:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def planted(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the planted world's bundle."""
    return write_world(world, tmp_path_factory.mktemp("cli") / "planted").path


@pytest.fixture(scope="session")
def address(planted: Path) -> Iterator[str]:
    """A real server on the planted bundle."""
    with served(planted) as where:
        yield where
