"""ConceptService over the wire: what can be steered, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import grpc
import pytest

from bundle import Bundle
from protos.steering.v1 import concepts_pb2 as pb
from protos.steering.v1.concepts_pb2_grpc import ConceptServiceStub
from server.catalogue import Catalogue
from tests.live import Refusal, live, refusal_of
from tests.world import make_world, write_world

OFFERED = [f"genre:{name}" for name in ("horror", "comedy", "documentary", "western", "children's", "film-noir")]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("rpc") / "planted")


@pytest.fixture(scope="module")
def stub(bundle: Bundle) -> Iterator[ConceptServiceStub]:
    with live(bundle.path) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        yield ConceptServiceStub(channel)


def _ids(response: pb.ListConceptsResponse) -> list[str]:
    return [concept.id for concept in response.concepts]


def test_all_concepts_without_the_latents(stub: ConceptServiceStub, bundle: Bundle) -> None:
    response = stub.ListConcepts(pb.ListConceptsRequest(), timeout=30)
    assert _ids(response) == OFFERED
    assert response.bundle_id == bundle.manifest.bundle_id
    assert response.next_page_token == ""


def test_a_concept_has_its_numbers(stub: ConceptServiceStub, bundle: Bundle) -> None:
    entry = bundle.contents.concepts.concepts[3]
    assert entry.quality is not None
    concept = stub.GetConcept(pb.GetConceptRequest(concept="genre:western", top_items=3), timeout=30).concept
    items = list(concept.top_items)
    del concept.top_items[:]
    assert concept == pb.Concept(
        id="genre:western", family="genre", display_name="Western", offered=True, items=entry.items,
        quality=pb.Quality(auc=0.95, precision=0.9, recall=0.8, base_rate=entry.quality.base_rate, readout="logistic",
                           purity=[pb.Purity(k=10, value=0.9, attainable=1.0)]),
        latents=[pb.LatentWeight(latent=3, weight=1.0)],
        kind=pb.CONCEPT_KIND_METADATA,
    )  # fmt: skip
    catalogue = Catalogue(bundle)
    assert [(catalogue.item_rows[item.item_id], item.value, item.labelled) for item in items] == [
        (row, pytest.approx(value), labelled) for row, value, labelled in catalogue.top_items("genre:western", 3)
    ]
    assert [item.title for item in items] == [
        catalogue.titles[row] for row, _, _ in catalogue.top_items("genre:western", 3)
    ]


def test_a_latent_is_described_by_itself(stub: ConceptServiceStub, bundle: Bundle) -> None:
    concept = stub.GetConcept(pb.GetConceptRequest(concept="latent:9"), timeout=30).concept
    active, _ = bundle.contents.item_codes.posting(9)
    assert (concept.id, concept.family, concept.display_name) == ("latent:9", "latent", "Latent 9")
    assert (concept.offered, concept.items, len(concept.top_items)) == (True, len(active), 10)
    assert list(concept.latents) == [pb.LatentWeight(latent=9, weight=1.0)]
    assert not concept.HasField("quality")


def test_what_was_not_found_is_told_with_the_reason(stub: ConceptServiceStub) -> None:
    reason = "3 items carry it; at least 10 are needed to fit and score a read-out"
    response = stub.ListConcepts(pb.ListConceptsRequest(include_not_offered=True), timeout=30)
    assert _ids(response) == [*OFFERED, "genre:musical"]
    concept = stub.GetConcept(pb.GetConceptRequest(concept="genre:musical"), timeout=30).concept
    assert concept == response.concepts[-1]
    assert (concept.offered, concept.not_offered_reason, concept.items) == (False, reason, 3)


def test_pages_join_to_the_whole(stub: ConceptServiceStub) -> None:
    request = pb.ListConceptsRequest(family="latent", page_size=7)
    pages = []
    while True:
        page = stub.ListConcepts(request, timeout=30)
        pages.append(_ids(page))
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert [len(page) for page in pages] == [7, 7, 7, 3]
    assert list(chain.from_iterable(pages)) == [f"latent:{n}" for n in range(24)]


def test_words_are_looked_for_in_names_and_titles(stub: ConceptServiceStub) -> None:
    by_name = stub.ListConcepts(pb.ListConceptsRequest(query="noir FILM"), timeout=30)
    assert "genre:film-noir" in _ids(by_name)
    assert _ids(stub.ListConcepts(pb.ListConceptsRequest(query="nothing has this"), timeout=30)) == []


TOKEN_HINT = (
    "expected the next_page_token of an answer to the same question from the same bundle. "
    "Ask for the first page again, without a token."
)
LISTS = {
    "a page of minus one": (
        pb.ListConceptsRequest(page_size=-1), "page_size", "page_size: found -1, expected 0 (for 100) to 1000.",
    ),
    "a page of 1001": (
        pb.ListConceptsRequest(page_size=1001), "page_size", "page_size: found 1001, expected 0 (for 100) to 1000.",
    ),
    "a family there is not": (
        pb.ListConceptsRequest(family="gnere"), "family", "family: found 'gnere', expected genre | custom | latent.",
    ),
    "a token from nowhere": (
        pb.ListConceptsRequest(page_token="AAAA"), "page_token", f"page_token: found 'AAAA', {TOKEN_HINT}",
    ),
    "a token that is no base 64": (
        pb.ListConceptsRequest(page_token="ж!"), "page_token", f"page_token: found 'ж!', {TOKEN_HINT}",
    ),
    "a long query": (
        pb.ListConceptsRequest(query="q" * 501), "query",
        "query is too long: found 501 characters, expected at most 500.",
    ),
}  # fmt: skip


def _refused(call: grpc.UnaryUnaryMultiCallable, request: object) -> Refusal:  # type: ignore[type-arg]
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=30)
    return refusal_of(caught.value)


@pytest.mark.parametrize("case", LISTS)
def test_refused_lists(stub: ConceptServiceStub, case: str) -> None:
    request, field, sentence = LISTS[case]
    refusal = _refused(stub.ListConcepts, request)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert (refusal.message, refusal.violations) == (sentence, {field: sentence})


def test_a_token_of_another_question_is_refused(stub: ConceptServiceStub) -> None:
    token = stub.ListConcepts(pb.ListConceptsRequest(page_size=2), timeout=30).next_page_token
    assert _ids(stub.ListConcepts(pb.ListConceptsRequest(page_size=2, page_token=token), timeout=30)) == OFFERED[2:4]
    refusal = _refused(stub.ListConcepts, pb.ListConceptsRequest(page_size=2, page_token=token, family="genre"))
    assert refusal.violations == {"page_token": f"page_token: found {token!r}, {TOKEN_HINT}"}


CONCEPTS = {
    "no name": (
        pb.GetConceptRequest(), "INVALID_ARGUMENT", "concept",
        "concept: found 0 characters, expected 1 to 500. "
        "Name a concept, for example genre:horror, or a latent: latent:113.",
    ),
    "a misspelt name": (
        pb.GetConceptRequest(concept="genre:wester"), "NOT_FOUND", "concept",
        "unknown concept: found 'genre:wester'. Nearest: genre:western.",
    ),
    "a latent there is not": (
        pb.GetConceptRequest(concept="latent:24"), "NOT_FOUND", "concept",
        "unknown latent: found 'latent:24', expected latent:0 to latent:23.",
    ),
    "too many items": (
        pb.GetConceptRequest(concept="genre:western", top_items=101), "INVALID_ARGUMENT", "top_items",
        "top_items: found 101, expected 0 (for 10) to 100.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONCEPTS)
def test_refused_concepts(stub: ConceptServiceStub, case: str) -> None:
    request, code, field, sentence = CONCEPTS[case]
    refusal = _refused(stub.GetConcept, request)
    assert (refusal.code.name, refusal.message) == (code, sentence)
    assert refusal.violations == {field: sentence}
