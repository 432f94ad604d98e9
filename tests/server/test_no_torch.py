"""The serving side stays free of the training side, at run time too."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.live import ROOT

TRAINING = ("torch", "sklearn", "scipy", "onnx", "matplotlib", "sae", "offline", "pandas")


def _imported(modules: str, unwanted: tuple[str, ...]) -> str:
    code = f"import sys, {modules}\nprint(sorted(set({unwanted!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["server.app", "server.__main__", "client", "bundle"])
def test_importing_it_leaves_the_training_side_alone(module: str) -> None:
    assert _imported(module, TRAINING) == "[]"


def test_the_client_needs_neither_the_server_nor_its_libraries() -> None:
    unwanted = ("server", "bundle", "numpy", "faiss", "onnxruntime", "pyarrow", "pydantic", "prometheus_client")
    assert _imported("client", unwanted) == "[]"
