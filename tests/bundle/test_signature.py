"""Signed bundles: what is signed is served, what is not, or is changed, is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec

from bundle import load_bundle
from bundle.errors import KeyRefused, SignatureRefused
from bundle.manifest import MANIFEST, SIGNATURE
from bundle.signature import new_key, sign_bundle, verify_signature
from tests.live import live
from tests.world import make_world, write_world


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A signed bundle, the private key and the public one."""
    private, public = _keys(tmp_path, "ours")
    path = write_world(make_world(items=40), tmp_path / "planted").path
    sign_bundle(path, private)
    return path, private, public


def _keys(folder: Path, name: str) -> tuple[Path, Path]:
    files = folder / f"{name}.pem", folder / f"{name}.pem.pub"
    for file, content in zip(files, new_key(), strict=True):
        file.write_bytes(content)
    return files


def test_a_signed_bundle_is_whole_and_proved(signed: tuple[Path, Path, Path]) -> None:
    path, _, public = signed
    verify_signature(path, public)
    assert load_bundle(path).manifest.name == "planted"
    with live(path, bundle_public_key=public) as server:
        assert server.addresses.bundle_id == load_bundle(path).manifest.bundle_id


def test_a_server_with_a_key_serves_nothing_else(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, private, public = signed
    other_private, other_public = _keys(tmp_path, "theirs")

    def refused(key: Path = public) -> str:
        with pytest.raises(SignatureRefused) as caught, live(path, bundle_public_key=key):
            pass
        return str(caught.value)

    assert refused(other_public).startswith(
        f"{path / SIGNATURE}: this is not what {other_public} signs manifest.json with"
    )
    sign_bundle(path, other_private)
    assert "The manifest was changed, or somebody else signed it: do not serve it." in refused()
    sign_bundle(path, private)
    manifest = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**manifest, "name": "another"}))
    assert f"{path / SIGNATURE}: this is not what" in refused()
    (path / SIGNATURE).write_text("no base 64!")
    assert "cannot be read" in refused()
    (path / SIGNATURE).unlink()
    assert refused().startswith(f"{path} is not signed: found no manifest.sig")


def test_a_changed_file_under_a_good_signature_is_refused_by_its_checksum(signed: tuple[Path, Path, Path]) -> None:
    path, _, public = signed
    file = path / "concepts.json"
    file.write_bytes(file.read_bytes().replace(b"Horror", b"Humour"))
    verify_signature(path, public)
    with pytest.raises(Exception, match=r"concepts\.json: sha256"), live(path, bundle_public_key=public):
        pass


def test_keys_that_cannot_be_used(signed: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, private, public = signed
    other = ec.generate_private_key(ec.SECP256R1())
    elliptic, text = tmp_path / "ec.pem", tmp_path / "text"
    elliptic.write_bytes(other.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()))
    text.write_text("my-secret")
    for key in (public, elliptic, text):
        with pytest.raises(KeyRefused, match="expected an Ed25519 key in PEM form") as caught:
            sign_bundle(path, key)
        assert "my-secret" not in str(caught.value)
    for key in (private, text):
        with pytest.raises(KeyRefused, match="expected an Ed25519 key in PEM form"):
            verify_signature(path, key)
    with pytest.raises(KeyRefused, match="cannot read the key"):
        verify_signature(path, tmp_path / "none")


def test_a_private_key_in_the_public_ones_place_stops_a_server(signed: tuple[Path, Path, Path]) -> None:
    path, private, _ = signed
    with pytest.raises(KeyRefused), live(path, bundle_public_key=private):
        pass
