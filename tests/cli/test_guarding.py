"""`tiller token new`, `tiller bundle keygen` and `sign`, and a command line that shows a token over TLS."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bundle.signature import verify_signature
from cli.main import run
from client.security import VARIABLES
from server.guard.tokens import digest, read_tokens
from tests.live import live
from tests.pki import Authority
from tests.world import make_world, write_world


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES.values():
        monkeypatch.setenv(name, "")  # and is put back afterwards, whatever the command sets


def test_a_new_token_and_the_lines_that_let_it_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(["token", "new", "--name", 'a "page"', "--scope", "recommend", "--scope", "preview", "--days", "30"]) == 0
    )
    *lines, token = capsys.readouterr().out.splitlines()
    file = tmp_path / "tokens.yaml"
    file.write_text("tokens:\n" + "\n".join(lines) + "\n")
    (read,) = read_tokens(file)
    assert (read.name, read.sha256, read.scopes) == ('a "page"', digest(token), {"recommend", "preview"})
    assert read.expires is not None
    assert run(["token", "new", "--name", "x", "--scope", "root"]) == 2
    assert capsys.readouterr().err == "tiller: --scope root: found 'root', expected recommend | preview | admin.\n"


def test_a_bundle_is_signed_and_a_key_is_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    path, key = write_world(make_world(items=40), tmp_path / "planted").path, tmp_path / "key.pem"
    assert run(["bundle", "keygen", "--out", str(key)]) == 0
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    assert run(["bundle", "keygen", "--out", str(key)]) == 2
    assert key.read_bytes() == before
    assert run(["bundle", "sign", str(path), "--key", str(key)]) == 0
    verify_signature(path, tmp_path / "key.pem.pub")
    assert run(["bundle", "verify", str(path)]) == 0
    (path / "concepts.json").write_text("{}")
    capsys.readouterr()
    assert run(["bundle", "sign", str(path), "--key", str(key)]) == 2
    assert "concepts.json: size" in capsys.readouterr().err


def test_the_command_line_shows_a_token_over_mutual_tls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = Authority(tmp_path / "pki")
    server_pair, ours = authority.issue("server"), authority.issue("ours")
    run(["token", "new", "--name", "page", "--scope", "recommend"])
    *lines, token = capsys.readouterr().out.splitlines()
    tokens, secret = tmp_path / "tokens.yaml", tmp_path / "secret"
    tokens.write_text("tokens:\n" + "\n".join(lines) + "\n")
    secret.write_text(token)
    path = write_world(make_world(items=60), tmp_path / "planted").path
    shown = ["--ca", authority.ca, "--client-cert", ours.cert, "--client-key", ours.key]
    with live(
        path, tokens=tokens, tls_cert=server_pair.cert, tls_key=server_pair.key, tls_client_ca=authority.ca
    ) as server:
        ask = ["recommend", "--user", "u1", "--server", server.addresses.grpc]
        assert run([*map(str, shown), *ask]) == 2
        assert capsys.readouterr().err.startswith("tiller: no token: expected metadata authorization")
        assert run([*map(str, shown), "--token-file", str(secret), *ask]) == 0
        assert "Film" in capsys.readouterr().out
    assert run(["--ca", str(tmp_path / "none"), *ask]) == 2
    assert capsys.readouterr().err == f"tiller: cannot read {tmp_path}/none: No such file or directory\n"
