"""The health check of the image: exit 0 only for a server that serves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from client.probe import main
from tests.live import live
from tests.world import make_world, write_world

ROOT = Path(__file__).parent.parent.parent


def test_serving(tmp_path: Path) -> None:
    bundle = write_world(make_world(), tmp_path / "b")
    with live(bundle.path) as server:
        done = subprocess.run(
            [sys.executable, "-m", "client.probe", server.addresses.grpc],
            cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{server.addresses.grpc}: serving\n")


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: whoever connects is refused
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main([target]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{target}: not serving: ")
    assert "DEADLINE_EXCEEDED" in error
