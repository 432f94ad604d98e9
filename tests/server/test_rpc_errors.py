"""The table of refusals is complete, agrees with the tree at the top of server/errors.py, and tells no secrets."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from urllib.parse import quote

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo
from google.rpc.status_pb2 import Status

import server.errors
from server.errors import InvalidRequest, SteeringError, UnknownConcept
from server.rpc.errors import KINDS, LONGEST, batch_error, code_of, status_of


def _family(kind: type[SteeringError]) -> Iterator[type[SteeringError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def test_the_table_has_every_refusal_and_nothing_else() -> None:
    assert set(KINDS) == set(_family(SteeringError))


def test_the_table_agrees_with_the_tree_in_the_documentation() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+) .* ([A-Z_]+)$", server.errors.__doc__ or "", re.MULTILINE))
    table = {kind.__name__: entry.code.name for kind, entry in KINDS.items() if kind is not SteeringError}
    assert table == drawn


def test_reasons_are_one_to_one_and_in_the_form_of_google_rpc() -> None:
    reasons = [entry.reason for entry in KINDS.values()]
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+[A-Z0-9]", reason) for reason in reasons)


def _unpacked(status: grpc.Status) -> tuple[Status, list[object]]:
    ((key, raw),) = status.trailing_metadata
    assert key == "grpc-status-details-bin"
    message = Status.FromString(raw)
    details: list[object] = []
    for detail, empty in zip(message.details, (BadRequest(), ErrorInfo(), RequestInfo())[-len(message.details) :],
                             strict=True):  # fmt: skip
        assert detail.Unpack(empty)
        details.append(empty)
    return message, details


def test_a_refusal_carries_field_sentence_reason_and_request_id() -> None:
    error = InvalidRequest("k", field="k", found=0, expected="1 to 500")
    status = status_of(error, "r-1")
    message, details = _unpacked(status)
    assert (status.code, status.details) == (grpc.StatusCode.INVALID_ARGUMENT, "k: found 0, expected 1 to 500.")
    assert (message.code, message.message) == (3, "k: found 0, expected 1 to 500.")
    assert details == [
        BadRequest(
            field_violations=[BadRequest.FieldViolation(field="k", description="k: found 0, expected 1 to 500.")]
        ),
        ErrorInfo(reason="INVALID_REQUEST", domain="tiller"),
        RequestInfo(request_id="r-1"),
    ]


@pytest.mark.parametrize("error", [RuntimeError("password=hunter2"), KeyError("x"), MemoryError()])
def test_what_nobody_meant_to_raise_is_internal_and_tells_nothing(error: Exception) -> None:
    status = status_of(error, "r-2")
    assert code_of(error) is status.code is grpc.StatusCode.INTERNAL
    assert status.details == "internal error: the server's log has it under request id r-2"
    _, details = _unpacked(status)
    assert details == [ErrorInfo(reason="INTERNAL", domain="tiller"), RequestInfo(request_id="r-2")]


@pytest.mark.parametrize("letter", ["x", "ж", "界", "\U0001f3b8"])
def test_a_long_sentence_is_cut_to_whole_letters_within_the_bound(letter: str) -> None:
    status = status_of(UnknownConcept(letter * 2000), "r-3")
    assert len(status.details.encode()) <= LONGEST
    assert status.details == letter * ((LONGEST - 3) // len(letter.encode())) + "..."


def test_half_a_surrogate_pair_does_not_break_the_answer() -> None:
    assert status_of(UnknownConcept("a\ud83c"), "r-4").details == "a?."


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f3b8"])
def test_the_longest_refusal_fits_into_what_a_client_takes(letter: str) -> None:
    """A gRPC client drops a call whose metadata are above 8 KiB, and say RESOURCE_EXHAUSTED in its place."""
    error = InvalidRequest(letter * 5000, field=f"rules[0].concepts.{letter * 5000}")
    status = status_of(error, "r" * 128)
    ((_, details),) = status.trailing_metadata
    assert len(quote(status.details)) + len(b64encode(details)) < 8 << 10
    assert batch_error(error).field.startswith("rules[0].concepts.")
    assert len(batch_error(error).field.encode()) <= 200
