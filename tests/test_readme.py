"""Every command of README.md and docs/quickstart.md is run, in the order in which a reader types it.

What differs from what is printed there, and nothing else:

- port 50051 becomes a free one, and the metrics' port is free too (``TILLER_METRICS_PORT``, docs/cli.md);
- training gets ``--config`` with fewer steps and ``--no-evaluate`` (both in docs/cli.md), because these tests ask
  whether the commands work and not how good the bundle is;
- ``make demo`` and ``make test`` would run this suite inside itself: instead make is asked what it would do
  (``make -n``), the `tiller demo` line in it is checked against the real command (tests/test_demo.py runs that for
  real), and pytest collects a file the way `make test` calls it;
- ``. .venv/bin/activate`` is what this test's interpreter has already done;
- where grpcurl is not installed, tests/reflection.py does what it does: learns the method by reflection, and calls it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer.main

from cli.main import app
from tests.docs_reader import ROOT, Block, blocks, commands, lines, words
from tests.reflection import grpcurl

pytestmark = pytest.mark.train

QUICK = "sae:\n  stage1: {steps: 120}\n  stage2: {steps: 60}\n"

# README.md takes the reader's own arrays: this is a reader.
OWN_ARRAYS = """
import numpy as np
rng = np.random.default_rng(0)
kinds = ["Western", "Horror", "Comedy"]
has = rng.random((400, 3)) < 0.3
axes = rng.normal(size=(3, 16))
item_ids = [f"i{n}" for n in range(400)]
titles = [f"Film {n}" for n in range(400)]
genres = [[kind for kind, own in zip(kinds, row) if own] for row in has]
years = rng.integers(1960, 2020, 400)
item_vectors = (has @ axes + 0.3 * rng.normal(size=(400, 16))).astype(np.float32)
user_ids = [f"u{n}" for n in range(600)]
user_vectors = (rng.normal(size=(600, 3)) @ axes / 3 + 0.3 * rng.normal(size=(600, 16))).astype(np.float32)
"""


@dataclass
class Reader:
    """Somebody who types what a page says, in a folder of their own."""

    folder: Path
    port: int
    said: dict[str, str] = field(default_factory=dict)
    server: subprocess.Popen[str] | None = None

    def read(self, page: Path) -> None:
        """Do what every block of the page says."""
        for block in blocks(page):
            if block.language == "python":
                self.python(block)
            elif block.language == "console":
                for command in lines(block.text):
                    self.type(command)

    def python(self, block: Block) -> None:
        """Run a Python block; one that takes the reader's own arrays gets them."""
        own = OWN_ARRAYS if "item_vectors" in block.text else ""
        code = self._ported(own + block.text)
        self.said[block.text] = self._run([sys.executable, "-c", code])

    def type(self, command: str) -> None:
        """Run one line."""
        typed = words(self._ported(command))
        handler: dict[str, Callable[[list[str]], str]] = {
            "make": self._make,
            "tiller": self._tiller,
            "grpcurl": self._grpcurl,
            ".": self._activate,
        }
        self.said[command] = handler[typed[0]](typed[1:])

    def close(self) -> None:
        """Stop the server."""
        if self.server is not None:
            with self.server:  # closes its pipe and waits
                self.server.terminate()
            self.server = None

    def _tiller(self, arguments: list[str]) -> str:
        if arguments[0] == "serve":
            return self._serve(arguments)
        if arguments[0] == "train":
            arguments = [*arguments, "--config", "quick.yaml", "--no-evaluate"]
        return self._run([sys.executable, "-m", "cli", *arguments])

    def _serve(self, arguments: list[str]) -> str:
        self.close()
        self.server = subprocess.Popen(
            [sys.executable, "-m", "cli", *arguments], cwd=self.folder, env=self._environment(), text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.server.stderr is not None
        line = self.server.stderr.readline()
        assert line.startswith("tiller serves "), line + self.server.stderr.read()
        return line

    def _grpcurl(self, arguments: list[str]) -> str:
        if shutil.which("grpcurl"):
            return self._run(["grpcurl", *arguments])
        return json.dumps(grpcurl(arguments))

    def _make(self, arguments: list[str]) -> str:
        planned = subprocess.run(
            ["make", "--no-print-directory", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        last = words(planned.stdout.strip().splitlines()[-1])
        if arguments[0] == "demo":
            assert last[0].endswith("bin/tiller")
            options = {option for parameter in demo_command().params for option in parameter.opts}
            assert {word for word in last[2:] if word.startswith("--")} <= options
            wanted = dict(word.split("=") for word in arguments[1:])
            assert ("--data" in last) == ("DATA" in wanted)
            assert last[last.index("--dataset") + 1] == wanted.get("DATASET", "synthetic")
            return planned.stdout
        assert arguments == ["test"]
        assert "pytest" in last
        return self._run([sys.executable, "-m", "pytest", "--collect-only", "-q", str(ROOT / "tests" / "test_docs.py")])

    def _activate(self, arguments: list[str]) -> str:
        assert arguments == [".venv/bin/activate"]
        return ""

    def _ported(self, text: str) -> str:
        return text.replace("50051", str(self.port))

    def _run(self, command: list[str]) -> str:
        ran = subprocess.run(
            command, cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "TILLER_METRICS_PORT": "0"}


def demo_command() -> typer.core.TyperCommand:
    """`tiller demo` as typer has it."""
    command = typer.main.get_command(app).commands["demo"]  # type: ignore[attr-defined]
    assert isinstance(command, typer.core.TyperCommand)
    return command


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    typist = Reader(tmp_path, port)
    yield typist
    typist.close()


def test_readme(reader: Reader) -> None:
    page = ROOT / "README.md"
    reader.read(page)
    assert set(commands(page)) <= set(reader.said)
    asked = next(said for command, said in reader.said.items() if command.startswith("grpcurl"))
    assert len(json.loads(asked)["items"]) == 5
    table = next(said for command, said in reader.said.items() if command.startswith("tiller recommend"))
    assert "promote genre:western" in table


def test_quickstart(reader: Reader) -> None:
    page = ROOT / "docs" / "quickstart.md"
    reader.read(page)
    shown = reader.said["tiller concepts show style:jazz --bundle bundles/mine"]
    assert "carry the label" in shown
    asked = next(said for command, said in reader.said.items() if command.startswith("grpcurl"))
    answer = json.loads(asked)
    assert len(answer["items"]) == 5
    assert answer["rules"][0]["status"] == "RULE_STATUS_APPLIED"
    client = next(said for block, said in reader.said.items() if "TillerClient" in block)
    assert "filter style:metal" in client
    assert client.splitlines()[-1].startswith("promote style:jazz")
    policies = reader.said["tiller policy validate examples/policies"]
    assert policies.rstrip().endswith(": valid")


def test_every_own_command_of_the_readme_is_run() -> None:
    known = {"make", "tiller", "grpcurl", "."}
    for page in (ROOT / "README.md", ROOT / "docs" / "quickstart.md"):
        assert {words(command)[0] for command in commands(page)} <= known


def test_the_listing_in_the_readme_is_what_the_demo_prints() -> None:
    """Its form at least: the figures are those of the day it was made, on the full catalogue."""
    listing = next(block.text for block in blocks(ROOT / "README.md") if block.language == "text")
    assert "without those the user has taken" in listing
    assert "unsteered" in listing
    assert "forbidden items among the" in listing
    assert len([line for line in listing.splitlines() if line.split()[:1] and line.split()[0].isdigit()]) == 10
