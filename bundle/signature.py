"""A detached signature over manifest.json, which holds the checksum of every other file: Ed25519 (RFC 8032).

``manifest.sig`` lies beside the manifest: 64 bytes in base 64, over the manifest's bytes. A checksum proves that a
bundle is whole; a signature, that somebody with the private key made it. Needs tiller[sign].
"""

from __future__ import annotations

import base64
import binascii
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import BundleMissing, KeyRefused, SignatureRefused
from bundle.manifest import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def new_key() -> tuple[bytes, bytes]:
    """A private key (PKCS 8) and its public half (SubjectPublicKeyInfo), both PEM.

    Raises:
        KeyRefused: cryptography is not installed.
    """
    _needed()
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    return private, public


def sign_bundle(path: Path, private_key: Path) -> Path:
    """Sign the bundle at ``path``; the signature's file. It should have been verified before.

    Raises:
        BundleMissing: there is no manifest.
        KeyRefused: the key cannot be used.
    """
    signature = _private(private_key).sign(_manifest(path))
    file = path / SIGNATURE
    temporary = path.parent / f".{path.name}.{SIGNATURE}"  # not in the folder: a bundle with a stranger is refused
    temporary.write_bytes(base64.b64encode(signature) + b"\n")
    temporary.replace(file)
    return file


def verify_signature(path: Path, public_key: Path) -> None:
    """The manifest at ``path`` is signed with the private half of ``public_key``.

    Raises:
        SignatureRefused: there is no signature, or it is not of this key over this manifest.
        KeyRefused: the key cannot be used.
    """
    key = _public(public_key)
    from cryptography.exceptions import InvalidSignature

    file = path / SIGNATURE
    manifest = _manifest(path)
    try:
        signature = base64.b64decode(file.read_bytes().strip(), validate=True)
    except FileNotFoundError as error:
        raise SignatureRefused(
            f"{path} is not signed", found=f"no {SIGNATURE}", expected=f"one that {public_key} proves",
            hint="Sign it: tiller bundle sign DIR --key KEY",
        ) from error  # fmt: skip
    except (OSError, binascii.Error) as error:
        raise SignatureRefused(f"{file} cannot be read", found=str(error), expected="64 bytes in base 64") from error
    try:
        key.verify(signature, manifest)
    except InvalidSignature as error:
        raise SignatureRefused(
            f"{file}: this is not what {public_key} signs {MANIFEST} with",
            hint="The manifest was changed, or somebody else signed it: do not serve it.",
        ) from error  # fmt: skip


def _manifest(path: Path) -> bytes:
    try:
        return (path / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleMissing(f"cannot read {path / MANIFEST}", found=error.strerror) from error


def _private(file: Path) -> Ed25519PrivateKey:
    data = _key_bytes(file)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise _unusable(file) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(file)
    return key


def _public(file: Path) -> Ed25519PublicKey:
    data = _key_bytes(file)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(data)
    except ValueError as error:
        raise _unusable(file) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _unusable(file)
    return key


def _key_bytes(file: Path) -> bytes:
    _needed()
    try:
        return file.read_bytes()
    except OSError as error:
        hint = "Make a pair: tiller bundle keygen"
        raise KeyRefused(f"cannot read the key {file}", found=error.strerror, hint=hint) from error


def _unusable(file: Path) -> KeyRefused:
    """Without what was found: it may be somebody's key."""
    return KeyRefused(
        f"the key {file} cannot be used", expected="an Ed25519 key in PEM form, the right half, without a password",
        hint="Make a pair: tiller bundle keygen",
    )  # fmt: skip


def _needed() -> None:
    if find_spec("cryptography") is None:
        raise KeyRefused("signatures need the package cryptography", hint="pip install 'tiller[sign]'")
