"""``--check``: a summary and 0, or every fault and 2; nothing is served."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bundle import Bundle
from bundle.signature import new_key, sign_bundle
from server.app import main
from server.guard.tokens import new_token
from tests.docs_reader import ROOT
from tests.pki import Authority
from tests.world import make_world, write_world

POLICIES = ROOT / "examples" / "policies"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(items=60), tmp_path_factory.mktemp("check") / "planted")


def test_a_server_that_would_start(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair, authority = _pair(tmp_path)
    tokens = tmp_path / "tokens.yaml"
    entry = f"name: page, sha256: '{new_token()[1]}', scopes: [recommend, preview], expires: 2020-01-02T00:00:00Z"
    tokens.write_text(f"tokens:\n  - {{{entry}}}\n")
    private, public = (tmp_path / name for name in ("key", "key.pub"))
    for file, content in zip((private, public), new_key(), strict=True):
        file.write_bytes(content)
    sign_bundle(bundle.path, private)
    config = tmp_path / "tiller.yaml"
    config.write_text(
        f"bundle: {bundle.path}\npolicies: {POLICIES}\nport: 0\nmetrics-port: 0\nadmin-port: 0\ntokens: {tokens}\n"
        f"tls-cert: {pair[0]}\ntls-key: {pair[1]}\ntls-client-ca: {authority}\nbundle-public-key: {public}\n"
    )
    assert main(["--config", str(config), "--check"]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line[:7] != "warning")
    assert told.pop("policies").startswith(f"6 from {POLICIES}, revision ")
    assert told.pop("bundle").endswith("planted: 60 items, 6 concepts, checksums proved, signature proved")
    assert told == {
        "transport": "mutual TLS",
        "token": "page: preview recommend, expired 2020-01-02 00:00 UTC",
        "gRPC": "127.0.0.1:0",
        "metrics": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "A": "server would start.",
    }


def _pair(folder: Path) -> tuple[tuple[Path, Path], Path]:
    authority = Authority(folder / "pki")
    pair = authority.issue("server")
    return (pair.cert, pair.key), authority.ca


def test_every_fault_is_told_and_nothing_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code = main([
            "--check", "--bundle", str(tmp_path / "none"), "--policies", str(tmp_path / "nowhere"), "--port", str(port),
            "--metrics-port", "0", "--tls-cert", str(tmp_path / "c"), "--tls-key", str(tmp_path / "k"),
            "--tokens", str(tmp_path / "t"), "--decision-log", str(tmp_path / "no" / "log.jsonl"),
        ])  # fmt: skip
    captured = capsys.readouterr()
    assert code == 2
    assert "would start." not in captured.out
    head, *faults = captured.err.splitlines()
    assert head == "error: a server would not start: 6 faults"
    said = (
        "policy folder",
        "no bundle at",
        "cannot read",
        "cannot read the tokens",
        "cannot listen on",
        "cannot write",
    )
    for fault, words in zip([line for line in faults if line.startswith("  ")], said, strict=True):
        assert words in fault or "nowhere" in fault


def test_tiller_serve_check_is_the_same_program(bundle: Bundle) -> None:
    asked = ["serve", "--check", "--bundle", bundle.path, "--port", "0", "--metrics-port", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "cli", *asked],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("A server would start.\n")
    assert "callers     anybody who reaches the port" in done.stdout
