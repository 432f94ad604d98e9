"""Certificates on real ports: who may talk to whom, what changed files do, what keeps a server from starting."""

from __future__ import annotations

import socket
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from bundle import Bundle
from client import Security, TillerClient, TillerRpcError
from client.admin import TillerAdmin
from client.security import SecurityRefused
from server.guard import GuardRefused
from server.guard.certificates import CertificateRefused, Certificates
from tests.live import Live, live
from tests.pki import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@contextmanager
def _served(bundle: Bundle, pair: Pair, **settings: object) -> Iterator[Live]:
    with live(bundle.path, tls_cert=pair.cert, tls_key=pair.key, admin_port=0, **settings) as server:
        yield server


def _ask(address: str, **security: object) -> int:
    with TillerClient(address, timeout=5, security=Security(**security)) as client:  # type: ignore[arg-type]
        return len(client.recommend(user_id="u1", k=3).items)


def _refused(address: str, **security: object) -> grpc.StatusCode:
    with pytest.raises(TillerRpcError) as caught:
        _ask(address, **security)
    return caught.value.code


def test_both_ports_speak_tls_and_nothing_else(bundle: Bundle, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other", "stranger")
    with _served(bundle, authority.issue("server")) as server:
        assert _ask(server.addresses.grpc, ca=authority.ca) == 3
        with TillerAdmin(server.addresses.admin, security=Security(ca=authority.ca)) as admin:
            assert admin.status().items == 60
        assert _refused(server.addresses.grpc) is grpc.StatusCode.UNAVAILABLE
        assert _refused(server.addresses.grpc, ca=stranger.ca) is grpc.StatusCode.UNAVAILABLE
        with (
            TillerAdmin(server.addresses.admin, security=Security()) as plain,
            pytest.raises(TillerRpcError, match="UNAVAILABLE"),
        ):
            plain.status()


def test_mutual_tls_asks_the_caller_for_a_certificate(bundle: Bundle, authority: Authority, tmp_path: Path) -> None:
    ours, theirs = authority.issue("caller"), Authority(tmp_path / "other", "stranger").issue("caller")
    with _served(bundle, authority.issue("server"), tls_client_ca=authority.ca) as server:
        address = server.addresses.grpc
        assert _ask(address, ca=authority.ca, cert=ours.cert, key=ours.key) == 3
        assert _refused(address, ca=authority.ca) is grpc.StatusCode.UNAVAILABLE
        assert _refused(address, ca=authority.ca, cert=theirs.cert, key=theirs.key) is grpc.StatusCode.UNAVAILABLE


def test_a_new_certificate_is_taken_without_a_restart_and_a_bad_one_is_not(
    bundle: Bundle, authority: Authority
) -> None:
    pair = authority.issue("server")
    with _served(bundle, pair) as server:
        first = _shown(server.addresses.grpc)
        authority.issue("server")
        second = _shown(server.addresses.grpc)
        assert first != second == ssl.PEM_cert_to_DER_cert(pair.cert.read_text())
        pair.key.write_bytes(authority.issue("another").key.read_bytes())
        assert _shown(server.addresses.grpc) == second
        assert _ask(server.addresses.grpc, ca=authority.ca) == 3
    (loaded,) = [line for line in server.lines() if line["event"] == "certificate loaded"]
    (refused,) = [line for line in server.lines() if line["event"] == "certificate refused"]
    assert loaded["level"] == "info"
    assert "do not belong together" in refused["message"]


def _shown(address: str) -> bytes:
    """The certificate that a new connection sees."""
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection((host, int(port)), 10) as raw, context.wrap_socket(raw) as wrapped:
        shown = wrapped.getpeercert(binary_form=True)
    assert shown is not None
    return shown


def test_metrics_over_https(bundle: Bundle, authority: Authority) -> None:
    with _served(bundle, authority.issue("server"), metrics_tls=True) as server:
        assert server.addresses.metrics.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(authority.ca))
        with urllib.request.urlopen(server.addresses.metrics, timeout=10, context=trusting) as page:
            assert b"tiller_bundle_info" in page.read()


def test_a_pair_that_cannot_be_used_is_refused_by_name(authority: Authority, tmp_path: Path) -> None:
    ours, other, text = authority.issue("ours"), authority.issue("other"), tmp_path / "text.pem"
    text.write_text("hello")
    for cert, key, said in (
        (tmp_path / "none.pem", ours.key, f"cannot read {tmp_path}/none.pem: found No such file or directory"),
        (text, ours.key, f"--tls-cert {text}: found no PEM block, expected a file in PEM form"),
        (ours.cert, text, f"--tls-key {text}: found no PEM block, expected a file in PEM form"),
        (ours.cert, other.key, f"--tls-cert {ours.cert} and --tls-key {other.key} do not belong together"),
        (ours.key, ours.key, f"--tls-cert {ours.key} and --tls-key {ours.key} cannot be used"),
    ):
        with pytest.raises(CertificateRefused) as caught:
            Certificates(cert, key, None)
        assert str(caught.value).startswith(said)
    with pytest.raises(CertificateRefused, match=r"--tls-client-ca .*text\.pem"):
        Certificates(ours.cert, ours.key, text)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_cert": Path("a.pem")}, "--tls-key: not given, expected: beside --tls-cert"),
        ({"tls_key": Path("a.key")}, "--tls-cert: not given, expected: beside --tls-key"),
        ({"tls_client_ca": Path("ca.pem")}, "--tls-client-ca: given without --tls-cert"),
        ({"metrics_tls": True}, "--metrics-tls: given without --tls-cert"),
        ({"admin_port": 0, "admin_host": "0.0.0.0"}, "--admin-host: found '0.0.0.0' without --tls-cert and --tokens"),
    ],
)
def test_settings_that_contradict_each_other_start_no_server(
    bundle: Bundle, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(GuardRefused) as caught, live(bundle.path, **settings):
        pass
    assert str(caught.value).startswith(said)


def test_the_admin_service_beyond_loopback_only_on_ones_word(bundle: Bundle) -> None:
    with live(bundle.path, admin_port=0, admin_host="0.0.0.0", insecure_admin=True) as server:
        port = server.addresses.admin.rpartition(":")[2]
        with TillerAdmin(f"127.0.0.1:{port}", security=Security()) as admin:
            assert admin.status().items == 60


def test_what_a_client_cannot_read_is_said_at_once(tmp_path: Path) -> None:
    for security, said in (
        (Security(ca=tmp_path / "none"), f"cannot read {tmp_path}/none: No such file or directory"),
        (Security(cert=tmp_path / "c"), "a client certificate and its key are given together, or neither"),
        (Security(token_file=tmp_path / "t"), f"cannot read the token file {tmp_path}/t: No such file or directory"),
    ):
        with pytest.raises(SecurityRefused) as caught:
            TillerClient("127.0.0.1:1", security=security)
        assert str(caught.value) == said
