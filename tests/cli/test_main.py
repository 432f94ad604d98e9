"""The entry point: quick, lazy, one sentence per refusal, and the same programs behind both names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main
from tests.cli.conftest import Tiller
from tests.docs_reader import ROOT


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_help_imports_nothing_heavy() -> None:
    ran = python(
        "import sys; from cli.main import run; code = run(['--help']);"
        "print([m for m in ('torch', 'numpy', 'pyarrow', 'grpc', 'faiss', 'rich.table') if m in sys.modules]);"
        "sys.exit(code)"
    )
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "[]"
    for group in ("demo", "train", "serve", "recommend", "concepts", "bundle", "policy"):
        assert f"  {group} " in ran.stdout


def test_serving_never_meets_torch() -> None:
    ran = python(
        "import sys; from cli.main import run; code = run(['serve', '--bundle', 'nowhere', '--port', '0']);"
        "print(code, [m for m in ('torch', 'sklearn', 'scipy', 'offline') if m in sys.modules])"
    )
    assert ran.stdout.splitlines()[-1] == "2 []"
    assert ran.stderr.startswith("error: no bundle at nowhere.")
    assert "Traceback" not in ran.stderr


def test_serve_hands_its_arguments_on(tiller: Tiller) -> None:
    with pytest.raises(SystemExit) as end:
        tiller("serve", "--help")
    assert end.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["sing"], "'sing'"),
        (["demo", "--songs"], "--songs"),
        (["concepts", "list", "--family"], "--family"),
        (["concepts", "show", "x:y", "--top", "0"], "--top"),
        (["concepts", "show"], "CONCEPT"),
    ],
)
def test_usage_errors_are_one_sentence(tiller: Tiller, arguments: list[str], named: str) -> None:
    ran = tiller(*arguments)
    assert (ran.code, ran.out) == (2, "")
    # The words between are typer's and change with its releases.
    assert re.fullmatch(rf"tiller: .*{re.escape(named)}.*\. See: tiller[a-z ]* --help\n", ran.err, re.IGNORECASE)


def test_interrupted(tiller: Tiller, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupt)
    ran = tiller("demo")
    assert (ran.code, ran.err) == (130, "tiller: interrupted\n")


def test_an_unforeseen_error_keeps_its_traceback(tiller: Tiller, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main, "app", stumble)
    with pytest.raises(ZeroDivisionError):
        tiller("demo")


def test_a_reader_that_leaves_early_is_no_error(planted: Path) -> None:
    command = f"{sys.executable} -m cli concepts list --family latent --bundle {planted} --json | head -1"
    shell = ["bash", "-o", "pipefail", "-c", command]
    ran = subprocess.run(shell, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[\n", "")
