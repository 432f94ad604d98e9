"""OpenTelemetry traces, where they are asked for: a span per call, a child per stage, W3C trace context honoured.

Off by default, and then nothing of OpenTelemetry is imported (it is the extra ``otel``) and a call costs nothing more.
The interceptor is our own and opens the span of a call; the stages come from the facts of the answer. No user, item or
attribute of a request goes into a span.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from grpc.aio import ServicerContext

from bundle.errors import TillerError
from server.logs import TRACE_ID
from server.settings import Settings
from server.types import Answer, Mark

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

SERVICE = "tiller"
TRACED = "/steering."
"""Methods that begin so have spans; health checks and reflection have none."""

Handler = Callable[[Any, ServicerContext[Any, Any]], Awaitable[Any]]


@contextmanager
def opened_traces(settings: Settings) -> Iterator[Tracing | None]:
    """The tracing that the settings ask for, flushed at the end of the block; None where they ask for none.

    Raises:
        TillerError: the extra is not installed.
    """
    if settings.trace_endpoint is None:
        yield None
        return
    tracing = Tracing(_provider(settings.trace_sample, _exporter(settings.trace_endpoint)))
    try:
        yield tracing
    finally:
        tracing.close()


class Tracing:
    """Spans of one server's calls. A Traces for server.rpc."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import get_current_span

        self._provider = provider
        self._tracer = provider.get_tracer(SERVICE)
        self._current = get_current_span
        self.interceptors: Sequence[grpc.aio.ServerInterceptor[Any, Any]] = (_Interceptor(provider),)

    def named(self, request_id: str) -> None:
        """The id that the call goes by in answers and logs."""
        self._current().set_attribute("tiller.request_id", request_id)

    def answered(self, answer: Answer, k: int, marks: Sequence[Mark]) -> None:
        """One answer of the current call, a child per stage; what lies between two of them was done for other calls."""
        if not self._current().is_recording():
            return
        epoch = time.time() - time.perf_counter()
        attributes: dict[str, str | int] = {
            "tiller.k": k,
            "tiller.returned": len(answer.ranking.items),
            "tiller.rules": len(answer.effects),
            "tiller.bundle_id": answer.bundle_id,
            "tiller.policy_revision": answer.policy_revision,
        }
        self._current().set_attributes(attributes)
        for stage, began, ended in marks:
            span = self._tracer.start_span(stage, start_time=int((epoch + began) * 1e9))
            span.end(int((epoch + ended) * 1e9))

    def close(self) -> None:
        """Send what waits, and stop."""
        self._provider.shutdown()


class _Interceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # not generic at run time
    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind, format_trace_id
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer(SERVICE)
        self._kind = SpanKind.SERVER
        self._extract = TraceContextTextMapPropagator().extract
        self._id = format_trace_id

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """The method's handler, inside a span."""
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None or not details.method.startswith(TRACED):
            return handler
        inside: Any = self._traced(handler.unary_unary, details.method)
        return handler._replace(unary_unary=inside)  # type: ignore[attr-defined, no-any-return]

    def _traced(self, handle: Any, method: str) -> Handler:
        service, _, name = method.removeprefix("/").partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}

        async def traced(request: Any, context: ServicerContext[Any, Any]) -> Any:
            carrier = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
            with self._tracer.start_as_current_span(
                f"{service}/{name}", self._extract(carrier), self._kind, attributes,
                record_exception=False, set_status_on_exception=False,
            ) as span:  # fmt: skip
                token = TRACE_ID.set(self._id(span.get_span_context().trace_id))
                code = grpc.StatusCode.CANCELLED
                try:
                    response = await handle(request, context)
                    code = grpc.StatusCode.OK
                    return response
                except grpc.aio.AbortError:
                    code = _code(context)
                    raise
                except Exception:
                    code = grpc.StatusCode.UNKNOWN
                    raise
                finally:
                    _end(span, code)
                    TRACE_ID.reset(token)

        return traced


def _code(context: ServicerContext[Any, Any]) -> grpc.StatusCode:
    given: Any = context.code()
    return given if isinstance(given, grpc.StatusCode) else _BY_NUMBER.get(given, grpc.StatusCode.UNKNOWN)


_BY_NUMBER: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
_OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE}
"""What is an error of the server: a refusal of a caller's mistake is none."""


def _end(span: Any, code: grpc.StatusCode) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("rpc.grpc.status_code", code.value[0])
    if code in _OURS:
        span.set_status(StatusCode.ERROR, code.name)


def _exporter(endpoint: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise TillerError(
            "--trace-endpoint needs OpenTelemetry", found=str(error), hint="Install it: pip install 'tiller[otel]'"
        ) from error
    return OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https://"))


def _provider(sample: float, exporter: SpanExporter) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({"service.name": SERVICE})
    provider = TracerProvider(ParentBased(TraceIdRatioBased(sample)), resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
