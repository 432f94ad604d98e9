"""Whether a bundle could be served: checksums, index and graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bundle import Bundle


def verified(folder: Path) -> Bundle:
    """A bundle that was proved whole.

    Raises:
        BundleError: it is not.
    """
    from bundle import load_bundle
    from server.encoder import Encoder
    from server.retrieval import open_retriever

    bundle = load_bundle(folder)
    open_retriever(bundle)
    Encoder(bundle)
    return bundle
