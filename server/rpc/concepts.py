"""steering.v1.ConceptService: what can be steered.

A search looks through the titles of every concept's strongest items, so these calls run on a thread of their own (one,
whatever the load) and leave the event loop to Recommend.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bundle import LATENT_FAMILY
from protos.steering.v1 import concepts_pb2 as pb
from protos.steering.v1.concepts_pb2_grpc import ConceptServiceServicer
from server.catalogue import Catalogue
from server.errors import InvalidRequest, SteeringError, UnknownConcept
from server.rpc.calls import Calls, unary
from server.rpc.convert import MAX_ID_LENGTH, put_parts
from server.steer import Engine
from server.subject import CUSTOM_FAMILY, Custom

NAME = "steering.v1.ConceptService"

PAGE, LARGEST_PAGE = 100, 1000
TOP_ITEMS, MOST_TOP_ITEMS = 10, 100


class ConceptService(ConceptServiceServicer):
    """Lists and describes the concepts and latents of the bundle that ``current`` serves."""

    def __init__(self, current: Callable[[], Engine], calls: Calls) -> None:
        self._current = current
        self._calls = calls
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="concepts")

    def close(self) -> None:
        """Let the thread end; what waits for it is dropped."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    @unary("ListConcepts", admitted=True)
    async def ListConcepts(self, request: pb.ListConceptsRequest, request_id: str) -> pb.ListConceptsResponse:  # noqa: ARG002
        """One page of concepts, in the bundle's order."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, list_concepts, self._current().catalogue, request)

    @unary("GetConcept", admitted=True)
    async def GetConcept(self, request: pb.GetConceptRequest, request_id: str) -> pb.GetConceptResponse:  # noqa: ARG002
        """One concept or latent with its strongest items."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker, get_concept, self._current().catalogue, request)


def list_concepts(catalogue: Catalogue, request: pb.ListConceptsRequest) -> pb.ListConceptsResponse:
    """Answer ListConcepts.

    Raises:
        InvalidRequest: page_size, family, query or page_token.
    """
    size = _bounded(request.page_size, PAGE, LARGEST_PAGE, "page_size")
    if len(request.query) > MAX_ID_LENGTH:
        raise InvalidRequest(
            "query is too long", field="query", found=f"{len(request.query)} characters",
            expected=f"at most {MAX_ID_LENGTH}",
        )  # fmt: skip
    families = dict.fromkeys([*(concept.family for concept in catalogue.concepts), CUSTOM_FAMILY, LATENT_FAMILY])
    if request.family and request.family not in families:
        raise InvalidRequest(
            "family", field="family", found=repr(request.family[:MAX_ID_LENGTH]), expected=" | ".join(families)
        )
    bundle_id = catalogue.bundle.manifest.bundle_id
    mark = _mark(f"{bundle_id}\n{' '.join(catalogue.customs)}", request)
    start = _read_token(request.page_token, mark) if request.page_token else 0
    ids = catalogue.search(request.query, request.family, include_not_offered=request.include_not_offered)
    end = start + size
    return pb.ListConceptsResponse(
        concepts=[describe(catalogue, concept_id) for concept_id in ids[start:end]],
        next_page_token=_token(end, mark) if end < len(ids) else "",
        bundle_id=bundle_id,
    )


def get_concept(catalogue: Catalogue, request: pb.GetConceptRequest) -> pb.GetConceptResponse:
    """Answer GetConcept; a concept that was looked for and not found is described with its reason.

    Raises:
        InvalidRequest: top_items or concept.
        UnknownConcept: with the nearest names.
    """
    count = _bounded(request.top_items, TOP_ITEMS, MOST_TOP_ITEMS, "top_items")
    if not 0 < len(request.concept) <= MAX_ID_LENGTH:
        raise InvalidRequest(
            "concept", field="concept", found=f"{len(request.concept)} characters",
            expected=f"1 to {MAX_ID_LENGTH}", hint="Name a concept, for example genre:horror, or a latent: latent:113.",
        )  # fmt: skip
    try:
        message = describe(catalogue, request.concept)
        if message.offered:
            top = catalogue.top_items(request.concept, count)
            message.top_items.extend(
                pb.ConceptItem(
                    item_id=catalogue.item_ids[row], title=catalogue.titles[row], value=value, labelled=labelled
                )
                for row, value, labelled in top
            )
    except SteeringError as error:
        error.field = "concept"
        raise
    return pb.GetConceptResponse(concept=message, bundle_id=catalogue.bundle.manifest.bundle_id)


def describe(catalogue: Catalogue, concept_id: str) -> pb.Concept:
    """A concept or latent without its items."""
    custom = catalogue.customs.get(concept_id)
    if custom is not None:
        return _describe_custom(catalogue, custom)
    concept = catalogue.concept_of(concept_id)
    if concept is None:
        latent_id = catalogue.find(concept_id).id
        latent = int(latent_id.partition(":")[2])
        return pb.Concept(
            id=latent_id, family=LATENT_FAMILY, display_name=f"Latent {latent}", offered=True,
            items=catalogue.item_count(concept_id), kind=pb.CONCEPT_KIND_LATENT,
            latents=[pb.LatentWeight(latent=latent, weight=1.0)],
        )  # fmt: skip
    quality = concept.quality
    return pb.Concept(
        id=concept.id,
        family=concept.family,
        display_name=concept.display_name,
        offered=concept.offered,
        not_offered_reason=concept.not_offered_reason,
        items=concept.items,
        kind=pb.CONCEPT_KIND_LABELLED if "members" in concept.by_hand else pb.CONCEPT_KIND_METADATA,
        latents=[pb.LatentWeight(latent=entry.latent, weight=entry.weight) for entry in concept.latents],
        quality=None if quality is None else pb.Quality(
            auc=quality.auc,
            precision=quality.precision,
            recall=quality.recall,
            base_rate=quality.base_rate,
            purity=[pb.Purity(k=entry.k, value=entry.value, attainable=entry.attainable) for entry in quality.purity],
            readout=concept.readout,
        ),
    )  # fmt: skip


def _describe_custom(catalogue: Catalogue, custom: Custom) -> pb.Concept:
    """One of the policy folder; where the bundle cannot make it, why not."""
    reason = ""
    try:
        items = catalogue.item_count(custom.id)
    except UnknownConcept as error:
        items, reason = 0, error.what
    return pb.Concept(
        id=custom.id, family=CUSTOM_FAMILY, display_name=custom.display_name, offered=not reason,
        not_offered_reason=reason, items=items, kind=pb.CONCEPT_KIND_CUSTOM, definition=custom_message(custom),
    )  # fmt: skip


def custom_message(custom: Custom) -> pb.CustomConcept:
    """What it is made of, and where it stands."""
    message = pb.CustomConcept(
        id=custom.id, display_name=custom.display_name, description=custom.description, file=custom.file,
        line=custom.line,
    )  # fmt: skip
    put_parts(message, custom.subject)
    return message


def _bounded(given: int, default: int, most: int, field: str) -> int:
    if not 0 <= given <= most:
        raise InvalidRequest(field, field=field, found=given, expected=f"0 (for {default}) to {most}")
    return given or default


def _mark(bundle_id: str, request: pb.ListConceptsRequest) -> bytes:
    """What a token belongs to: the bundle and the question, 6 bytes."""
    question = f"{bundle_id}\n{request.family}\n{request.query}\n{request.include_not_offered}"
    return hashlib.sha256(question.encode()).digest()[:6]


def _token(start: int, mark: bytes) -> str:
    return base64.urlsafe_b64encode(mark + start.to_bytes(4, "big")).decode().rstrip("=")


def _read_token(token: str, mark: bytes) -> int:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != len(mark) + 4 or not raw.startswith(mark):
        raise InvalidRequest(
            "page_token", field="page_token", found=repr(token[:40]),
            expected="the next_page_token of an answer to the same question from the same bundle",
            hint="Ask for the first page again, without a token.",
        )  # fmt: skip
    return int.from_bytes(raw[len(mark) :], "big")
