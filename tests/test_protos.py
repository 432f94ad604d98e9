"""The committed stubs are what the proto files give, byte by byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROTOS = sorted(path.relative_to(ROOT) for path in ROOT.glob("protos/**/*.proto"))
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of newly written stubs: what `make protos` does."""
    out = tmp_path_factory.mktemp("stubs")
    plugins = str(Path(sys.executable).parent)
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I", ".",
         f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}", f"--mypy_grpc_out={out}",
         *map(str, PROTOS)],
        cwd=ROOT, env={**os.environ, "PATH": f"{plugins}{os.pathsep}{os.environ['PATH']}"}, check=True,
    )  # fmt: skip
    return out


def test_there_are_proto_files() -> None:
    assert [path.name for path in PROTOS] == ["admin.proto", "concepts.proto", "recommend.proto", "rules.proto"]


@pytest.mark.parametrize("proto", PROTOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_stub_is_fresh(fresh: Path, proto: Path, suffix: str) -> None:
    stub = proto.with_name(proto.stem + suffix)
    assert (ROOT / stub).read_text() == (fresh / stub).read_text(), f"{stub} is stale: run `make protos`"


def test_no_stub_without_its_proto_file() -> None:
    stubs = {
        path.relative_to(ROOT) for pattern in ("*_pb2*.py", "*_pb2*.pyi") for path in ROOT.glob(f"protos/**/{pattern}")
    }
    assert stubs == {proto.with_name(proto.stem + suffix) for proto in PROTOS for suffix in SUFFIXES}
