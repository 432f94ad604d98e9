"""What a failed call says."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from protos.steering.v1.recommend_pb2 import BatchError


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of the request that was refused, as ``rules[2].strength``, and the sentence about it."""

    field: str
    description: str


class TillerRpcError(Exception):
    """A call failed.

    Attributes:
        code: the gRPC status code.
        message: the server's sentence, or gRPC's where no server spoke.
        violations: the refused fields; empty for other failures.
        reason: for programs, as ``UNKNOWN_CONCEPT``; empty where no Tiller server spoke.
        request_id: to look it up in the server's log; may be empty.
        retry_after: seconds after which the server wants to be asked again; None where it says nothing.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        violations: tuple[FieldViolation, ...] = (),
        reason: str = "",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.violations = violations
        self.reason = reason
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__(f"{code.name}: {message}")


def from_batch_error(error: BatchError) -> TillerRpcError:
    """What one request of a batch was refused with, as a single call would have raised it."""
    code = next((code for code in grpc.StatusCode if code.value[0] == error.code), grpc.StatusCode.UNKNOWN)
    violations = (FieldViolation(error.field, error.message),) if error.field else ()
    return TillerRpcError(code, error.message, violations=violations, reason=error.reason)


def from_rpc_error(error: grpc.RpcError, target: str) -> TillerRpcError:
    """The same failure with its details unpacked."""
    code: grpc.StatusCode = error.code()
    status = _status(error)
    if status is None:
        return TillerRpcError(code, f"{target}: {error.details() or 'no details'}")
    violations: list[FieldViolation] = []
    reason = request_id = ""
    retry_after: float | None = None
    bad, info, asked, again = BadRequest(), ErrorInfo(), RequestInfo(), RetryInfo()
    for detail in status.details:
        if detail.Unpack(bad):
            violations += [FieldViolation(one.field, one.description) for one in bad.field_violations]
        elif detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(asked):
            request_id = asked.request_id
        elif detail.Unpack(again):
            retry_after = again.retry_delay.ToMilliseconds() / 1e3
    return TillerRpcError(
        code, status.message, violations=tuple(violations), reason=reason, request_id=request_id,
        retry_after=retry_after,
    )  # fmt: skip


def _status(error: grpc.RpcError) -> Status | None:
    try:
        return rpc_status.from_call(error)  # type: ignore[arg-type] # every RpcError of a call is that Call
    except (ValueError, DecodeError):  # details that contradict the status, or are none: not from a Tiller server
        return None
