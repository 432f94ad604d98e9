"""A folder on the disk -> an engine that is verified, opened and warm; the one way in, at start and at a swap."""

from __future__ import annotations

from pathlib import Path

from bundle import load_bundle
from bundle.signature import verify_signature
from server.policy import PolicySet
from server.settings import Settings
from server.steer import Engine


def load_engine(path: Path, policies: PolicySet | None, settings: Settings) -> Engine:
    """Verify a bundle and open what it needs to be served; not warm yet.

    A path that is a link is followed first, once: it may lead elsewhere while the files are read.

    Raises:
        BundleError: the bundle is missing, not what it claims, or not signed as the settings ask.
        KeyRefused: the key for signatures cannot be used.
    """
    path = path.resolve() if path.exists() else path
    if settings.bundle_public_key is not None:
        verify_signature(path, settings.bundle_public_key)
    return Engine.open(load_bundle(path), policies, settings.limits)
