"""The command line's own refusal."""

from __future__ import annotations

from bundle.errors import TillerError


class UsageRefused(TillerError):
    """What was typed cannot be done."""
