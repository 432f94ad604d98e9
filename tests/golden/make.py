"""Writes the golden bundles of the current format version: once per version, never again for an old one.

    python -m tests.golden.make tests/golden/v2

They are kept so that every later Tiller proves that it still reads them (tests/bundle/test_golden.py).
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from bundle import Activation
from tests.world import make_world, write_world


def main(folder: Path) -> None:
    """One bundle with everything optional, one with nothing of it."""
    full = make_world(items=40, users=6, dim=8, latents=12, bias=True)
    write_world(full, folder / "full")
    bare = make_world(
        items=40, dim=8, latents=12, metric="cosine", normalise=False, activation=Activation("threshold", threshold=0.1)
    )
    contents = dataclasses.replace(bare.contents, user_ids=None, user_vectors=None)
    write_world(dataclasses.replace(bare, contents=contents), folder / "bare")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
