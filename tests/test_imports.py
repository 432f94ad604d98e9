"""The floors of docs/architecture.md hold: the contracts of pyproject.toml, and once more at run time."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINTER = Path(sys.executable).parent / "lint-imports"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

HEAVY = ("torch", "sklearn", "scipy", "onnx", "matplotlib", "pandas")


def test_every_contract_is_kept() -> None:
    done = subprocess.run(
        [LINTER, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in done.stdout


def test_a_broken_contract_is_found(tmp_path: Path) -> None:
    """The linter bites: a contract that the code does break is reported as broken."""
    config = tmp_path / "contracts.toml"
    config.write_text(
        '[tool.importlinter]\nroot_packages = ["server", "bundle"]\n[[tool.importlinter.contracts]]\n'
        'name = "never"\ntype = "forbidden"\nsource_modules = ["server"]\nforbidden_modules = ["bundle"]\n'
    )
    done = subprocess.run(
        [LINTER, "--no-cache", "--no-logo", "--config", config], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Contracts: 0 kept, 1 broken." in done.stdout


@pytest.mark.parametrize("module", ["bundle", "client", "cli.main", "server.app", "server.__main__"])
def test_nothing_heavy_is_imported_to_serve(module: str) -> None:
    """What a contract cannot see (lazy and indirect imports at run time): torch is installed here, and stays out."""
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_contract_is_documented() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert [contract["name"] for contract in CONTRACTS if f"- {contract['name']}\n" not in page] == []
