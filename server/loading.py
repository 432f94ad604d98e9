"""A folder on the disk -> an engine that is verified, opened and warm; the one way in, at start and at a swap."""

from __future__ import annotations

from pathlib import Path

from bundle import load_bundle
from server.policy import PolicySet
from server.settings import Settings
from server.steer import Engine


def load_engine(path: Path, policies: PolicySet | None, settings: Settings) -> Engine:
    """Verify a bundle and open what it needs to be served; not warm yet.

    A path that is a link is followed first, once: it may lead elsewhere while the files are read.

    Raises:
        BundleError: the bundle is missing or not what it claims.
    """
    return Engine.open(load_bundle(path.resolve() if path.exists() else path), policies, settings.limits)
