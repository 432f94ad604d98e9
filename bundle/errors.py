"""Errors of the disk contract, and the form of every Tiller error message.

TillerError                 what was wrong, what was found, what was expected, what to do next
├── BundleError             a bundle cannot be written or read
│   ├── BundleMissing       no folder, no manifest, or a file of it is gone
│   ├── BundleVersion       another format version
│   ├── BundleCorrupt       checksum, size, JSON, dtype or shape is off
│   ├── BundleExists        the target folder is there already
│   └── SignatureRefused    it is not signed with the key that is asked for
├── KeyRefused              a key for signatures cannot be used
├── DataError               an input table, array or archive is refused (raised by offline.datasets)
├── TrainingError           a training run cannot start, resume or finish (raised by sae and offline)
└── SteeringError           a request or policy is refused (server.errors)
"""

from __future__ import annotations


class TillerError(Exception):
    """An error a person has to act on.

    Args:
        what: what was wrong, naming the file, row, field or argument.
        found: what was there.
        expected: what should have been there.
        hint: what to do next.
    """

    def __init__(self, what: str, *, found: object = None, expected: object = None, hint: str | None = None) -> None:
        self.what = what
        self.found = found
        self.expected = expected
        self.hint = hint
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """``what: found X, expected Y. Hint.``"""
        middle = []
        if self.found is not None:
            middle.append(f"found {self.found}")
        if self.expected is not None:
            middle.append(f"expected {self.expected}")
        text = self.what + (": " + ", ".join(middle) if middle else "")
        if not text.endswith((".", "?", "!")):
            text += "."
        return f"{text} {self.hint}" if self.hint else text


class BundleError(TillerError):
    """A bundle cannot be written or read."""


class BundleMissing(BundleError):
    """The folder, its manifest or one of its files is not there."""


class BundleVersion(BundleError):
    """The bundle has a format version that this Tiller does not read."""


class BundleCorrupt(BundleError):
    """A checksum, size, document, dtype or shape differs from what the manifest says."""


class BundleExists(BundleError):
    """The target of a write is there already."""


class DataError(TillerError):
    """An input table, array or archive is refused."""


class TrainingError(TillerError):
    """A training run cannot start, resume or finish."""


class SignatureRefused(BundleError):
    """A bundle is not signed with the key that is asked for."""


class KeyRefused(TillerError):
    """A key for signatures cannot be used."""
