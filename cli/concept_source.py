"""Where `tiller concepts` reads: a running server, or a bundle on disk by the very code that answers for a server."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bundle import Steered, load_bundle
from client import Concept, TillerClient
from client.convert import to_concept
from protos.steering.v1 import concepts_pb2 as pb

PAGE = 1000


class ConceptSource(Protocol):
    """Where concepts are read from."""

    def find(self, *, family: str, words: str, everything: bool) -> list[Concept]:
        """Concepts of a family (empty: all but latents) that match the words; ``everything``: not offered ones too."""
        ...

    def get(self, concept: str, top: int) -> Concept:
        """One concept with its strongest items; an unknown name is refused with the nearest ones."""
        ...

    def steered(self, concept: str) -> Steered | None:
        """What steering it did in the bundle's evaluation; None: not known here."""
        ...


class BundleConcepts:
    """The concepts of a bundle folder."""

    def __init__(self, folder: Path) -> None:
        from server.catalogue import Catalogue

        self._catalogue = Catalogue(load_bundle(folder, verify=False))

    def find(self, *, family: str, words: str, everything: bool) -> list[Concept]:
        """See ConceptSource."""
        from server.rpc.concepts import list_concepts

        found: list[Concept] = []
        request = pb.ListConceptsRequest(family=family, query=words, page_size=PAGE, include_not_offered=everything)
        while True:
            page = list_concepts(self._catalogue, request)
            found += map(to_concept, page.concepts)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    def get(self, concept: str, top: int) -> Concept:
        """See ConceptSource."""
        from server.rpc.concepts import get_concept

        return to_concept(get_concept(self._catalogue, pb.GetConceptRequest(concept=concept, top_items=top)).concept)

    def steered(self, concept: str) -> Steered | None:
        """See ConceptSource."""
        known = self._catalogue.concept_of(concept)
        return None if known is None else known.steered


class ServerConcepts:
    """The concepts of a running server."""

    def __init__(self, address: str) -> None:
        self._address = address

    def find(self, *, family: str, words: str, everything: bool) -> list[Concept]:
        """See ConceptSource."""
        with TillerClient(self._address) as client:
            return list(client.concepts(family=family, query=words, include_not_offered=everything))

    def get(self, concept: str, top: int) -> Concept:
        """See ConceptSource."""
        with TillerClient(self._address) as client:
            return client.concept(concept, top_items=top)

    def steered(self, concept: str) -> Steered | None:  # noqa: ARG002 - the wire does not carry it
        """None: a server's answer does not say it; ask the bundle."""
        return None
