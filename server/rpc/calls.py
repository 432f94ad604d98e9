"""Around every method: a request id, a count, the time, a log line, and refusals turned into statuses."""

from __future__ import annotations

import functools
import math
import secrets
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import grpc
import structlog
from grpc.aio import ServicerContext

from bundle import Bundle
from server.errors import DeadlinePassed, InvalidRequest, Overloaded, SteeringError
from server.guard.admission import Admission
from server.rpc.decode import Unreadable
from server.rpc.errors import code_of, status_of
from server.types import Answer, FloatArray, Mark, Query

REQUEST_ID_HEADER = "x-request-id"
LONGEST_ID = 128

UNTIL: ContextVar[float] = ContextVar("UNTIL", default=math.inf)
"""When the caller of the call under way stops waiting, in the seconds of time.perf_counter."""

SHED_LOG_SECONDS = 1.0
"""Between two log lines about calls that are not taken."""

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Observer(Protocol):
    """What the edge tells whoever counts; server.telemetry is one, and is not imported here."""

    def started(self, method: str) -> None:
        """A call came in."""

    def finished(self, method: str, code: str, seconds: float) -> None:
        """It was answered, refused or given up."""

    def shed(self, reason: str) -> None:
        """It was not taken, because there are too many."""

    def answered(self, answer: Answer) -> None:
        """What Recommend answered; with the baseline where the answer has one."""


class Decisions(Protocol):
    """Where sampled answers are written down; server.decisions has one."""

    def wanted(self) -> bool:
        """Whether the next answer is in the sample."""

    def record(self, query: Query, answer: Answer, request_id: str) -> None:
        """Write an answer down; never waits."""


class Drift(Protocol):
    """Who looks at a sample of the incoming user vectors; server.drift does."""

    def offer(self, bundle: Bundle, x: FloatArray) -> None:
        """An answered user's embedding [D], and the bundle that answered; never waits."""


class Traces(Protocol):
    """Who draws the call as spans; server.tracing does."""

    def named(self, request_id: str) -> None:
        """The id of the call under way."""

    def answered(self, answer: Answer, k: int, marks: Sequence[Mark]) -> None:
        """What it answered, and its stages in time."""


class Calls:
    """What every service reports its calls to; knows whether any are under way."""

    def __init__(  # noqa: PLR0917 - all but the first two may be left out
        self,
        observer: Observer,
        log: structlog.typing.FilteringBoundLogger,
        decisions: Decisions | None = None,
        drift: Drift | None = None,
        traces: Traces | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.observer = observer
        self.log = log
        self.decisions = decisions
        self.drift = drift
        self.traces = traces
        self.admission = admission or Admission()
        self._under_way = 0
        self._shed, self._shed_told = 0, -math.inf
        self._last = time.perf_counter()

    def quiet_for(self) -> float:
        """Seconds since the last call began or ended; 0 while one is under way."""
        return 0.0 if self._under_way else time.perf_counter() - self._last

    def began(self, method: str) -> float:
        """A call came in; when."""
        self._under_way += 1
        self.observer.started(method)
        return time.perf_counter()

    def ended(self, method: str, code: grpc.StatusCode, request_id: str, began: float) -> None:
        """It was answered, refused or given up."""
        self._under_way -= 1
        self._last = time.perf_counter()
        seconds = self._last - began
        self.observer.finished(method, code.name, seconds)
        self.log.debug("call", method=method, code=code.name, request_id=request_id, seconds=round(seconds, 6))

    def shed(self, method: str, refusal: Overloaded) -> None:
        """A call was not taken; the log has a line a second of it, not one a call."""
        self.observer.shed(refusal.reason)
        self._shed += 1
        if (now := time.perf_counter()) - self._shed_told >= SHED_LOG_SECONDS:
            self.log.warning("calls shed", calls=self._shed, method=method, reason=refusal.reason)
            self._shed, self._shed_told = 0, now


class Servicer(Protocol):
    """A service whose methods are ``unary``."""

    _calls: Calls


def unary(
    method: str, *, admitted: bool = False
) -> Callable[[Callable[[Any, _Request, str], Awaitable[_Response]]], Any]:
    """Make ``async def method(self, request, request_id) -> response`` a gRPC method that reports itself.

    A SteeringError becomes its status (server.rpc.errors); anything else is logged with its traceback and becomes
    INTERNAL, with the request id and nothing else. ``admitted``: it counts among the calls under way, and is refused
    where there are too many. A call whose deadline has passed is not begun.
    """

    def wrap(handle: Callable[[Any, _Request, str], Awaitable[_Response]]) -> Any:
        @functools.wraps(handle)
        async def call(self: Servicer, request: _Request, context: ServicerContext[_Request, _Response]) -> _Response:
            calls = self._calls
            began = calls.began(method)
            code, request_id, entered = grpc.StatusCode.CANCELLED, "", False
            try:
                if admitted:
                    calls.admission.enter()
                    entered = True
                _mark_deadline(context)
                request_id = _request_id(request, context)
                if calls.traces is not None:
                    calls.traces.named(request_id)
                if isinstance(request, Unreadable):
                    raise _unreadable(request)
                response = await handle(self, request, request_id)
                code = grpc.StatusCode.OK
                return response
            except CancelledError:  # the caller left, or its deadline passed
                raise
            except Exception as error:
                code, request_id = code_of(error), request_id or secrets.token_hex(8)
                if isinstance(error, Overloaded):
                    calls.shed(method, error)
                else:
                    _report(calls, method, request_id, error)
                refusal = status_of(error, request_id)
            finally:
                if entered:
                    calls.admission.leave()
                calls.ended(method, code, request_id, began)
            await context.abort_with_status(refusal)  # type: ignore[attr-defined] # the stubs are older
            raise AssertionError("abort_with_status returned")

        return call

    return wrap


def _mark_deadline(context: ServicerContext[Any, Any]) -> None:
    left = context.time_remaining()
    if left is not None:
        UNTIL.set(time.perf_counter() + left)
        in_time()


def in_time() -> None:
    """Go on only if the caller still waits.

    Raises:
        DeadlinePassed: it does not.
    """
    if time.perf_counter() >= UNTIL.get():
        raise DeadlinePassed


def _report(calls: Calls, method: str, request_id: str, error: Exception) -> None:
    if isinstance(error, SteeringError):
        calls.log.info(
            "refused", method=method, code=code_of(error).name, request_id=request_id, field=error.field,
            message=error.sentence(),
        )  # fmt: skip
    else:
        calls.log.error("internal error", method=method, request_id=request_id, exc_info=error)


def _unreadable(request: Unreadable) -> InvalidRequest:
    return InvalidRequest(
        "the request cannot be read", found=f"{request.size} bytes, {request.reason}",
        expected="a message of protos/steering/v1", hint="Was it made from another version of the proto files?",
    )  # fmt: skip


def _request_id(request: object, context: ServicerContext[Any, Any]) -> str:
    """The request's own id, else the proxy's header, else a new one."""
    return request_id_of(request) or header_id(context)


def header_id(context: ServicerContext[Any, Any]) -> str:
    """The proxy's header, else a new id: of a call whose message is not read."""
    for key, value in context.invocation_metadata() or ():
        if key == REQUEST_ID_HEADER and isinstance(value, str) and _is_id(value):
            return value
    return secrets.token_hex(8)


def request_id_of(request: object) -> str:
    """The request's own id; empty where it has none.

    Raises:
        InvalidRequest: it could not go through headers and logs.
    """
    given: str = getattr(request, "request_id", "")
    if given and not _is_id(given):
        raise InvalidRequest(
            "request_id", field="request_id", found=f"{len(given)} characters",
            expected=f"at most {LONGEST_ID} printable ASCII characters",
        )  # fmt: skip
    return given


def _is_id(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable()
