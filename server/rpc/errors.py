"""One table: what the core refuses -> status code and reason, with google.rpc details that name the field.

A refusal carries ``BadRequest`` (the field, the sentence), ``ErrorInfo`` (the reason, domain "tiller") and
``RequestInfo`` (the request id). A fault of ours carries the last two and says nothing about its inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from protos.steering.v1.recommend_pb2 import BatchError
from server.errors import (
    DeadlinePassed,
    InvalidRequest,
    MissingScope,
    NotAllowed,
    Overloaded,
    PolicyError,
    SteeringError,
    StoredVectorRefused,
    Unauthenticated,
    UnknownConcept,
    UnknownUser,
    UserStoreDown,
)

DOMAIN = "tiller"
PUSHBACK = "grpc-retry-pushback-ms"
"""Trailing metadata that gRPC's own retries hold to (gRFC A6)."""

INTERNAL = "INTERNAL"

LONGEST = 1000
"""Bytes of a sentence on the wire. It travels three times in the trailing metadata, percent-encoded and in base 64, and
gRPC drops a call whose metadata are larger than 8 KiB."""

LONGEST_FIELD = 200
"""Bytes of a field's path, which may have a name of the caller's in it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a refusal looks on the wire; ``reason`` is ErrorInfo's, for programs."""

    code: grpc.StatusCode
    reason: str


KINDS: dict[type[SteeringError], Kind] = {
    SteeringError: Kind(grpc.StatusCode.INVALID_ARGUMENT, "REFUSED"),
    InvalidRequest: Kind(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    UnknownConcept: Kind(grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONCEPT"),
    UnknownUser: Kind(grpc.StatusCode.NOT_FOUND, "UNKNOWN_USER"),
    UserStoreDown: Kind(grpc.StatusCode.UNAVAILABLE, "USER_STORE_DOWN"),
    StoredVectorRefused: Kind(grpc.StatusCode.DATA_LOSS, "STORED_VECTOR_REFUSED"),
    NotAllowed: Kind(grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED"),
    Unauthenticated: Kind(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    MissingScope: Kind(grpc.StatusCode.PERMISSION_DENIED, "MISSING_SCOPE"),
    Overloaded: Kind(grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED"),
    DeadlinePassed: Kind(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED"),
    PolicyError: Kind(grpc.StatusCode.FAILED_PRECONDITION, "POLICY_REFUSED"),
}


def code_of(error: Exception) -> grpc.StatusCode:
    """The status code a caller gets for ``error``; INTERNAL for whatever the core did not mean to raise."""
    return KINDS[type(error)].code if isinstance(error, SteeringError) else grpc.StatusCode.INTERNAL


def status_of(error: Exception, request_id: str) -> grpc.Status:
    """The status with details."""
    if not isinstance(error, SteeringError):
        sentence = f"internal error: the server's log has it under request id {request_id}"
        return _status(grpc.StatusCode.INTERNAL, sentence, INTERNAL, request_id)
    kind = KINDS[type(error)]
    sentence = _cut(error.sentence())
    if isinstance(error, Overloaded):
        return _try_again(error, sentence, request_id)
    if not error.field and kind.code is not grpc.StatusCode.INVALID_ARGUMENT:
        return _status(kind.code, sentence, kind.reason, request_id)
    violation = BadRequest.FieldViolation(field=_cut(error.field, LONGEST_FIELD), description=sentence)
    return _status(kind.code, sentence, kind.reason, request_id, BadRequest(field_violations=[violation]))


def _try_again(error: Overloaded, sentence: str, request_id: str) -> grpc.Status:
    kind, milliseconds = KINDS[Overloaded], round(error.retry_seconds * 1e3)
    hint = RetryInfo()
    hint.retry_delay.FromMilliseconds(milliseconds)
    status = _status(kind.code, sentence, kind.reason, request_id, hint)
    return status._replace(trailing_metadata=(*status.trailing_metadata, (PUSHBACK, str(milliseconds))))  # type: ignore[attr-defined,no-any-return]


def batch_error(error: SteeringError) -> BatchError:
    """What a single call would have been refused with, as a part of a batch's answer."""
    kind = KINDS[type(error)]
    field = _cut(error.field, LONGEST_FIELD)
    return BatchError(code=kind.code.value[0], reason=kind.reason, field=field, message=_cut(error.sentence()))


def _status(code: grpc.StatusCode, sentence: str, reason: str, request_id: str, *details: Message) -> grpc.Status:
    packed = []
    for detail in (*details, ErrorInfo(reason=reason, domain=DOMAIN), RequestInfo(request_id=request_id)):
        packed.append(Any())
        packed[-1].Pack(detail)
    return rpc_status.to_status(Status(code=code.value[0], message=sentence, details=packed))


def _cut(text: str, longest: int = LONGEST) -> str:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= longest:
        return encoded.decode()
    return encoded[: longest - 3].decode("utf-8", "ignore") + "..."
