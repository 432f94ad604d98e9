"""Traces of real calls: what is in the spans, whose they are, where they go; and that without them nothing is there."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as collector
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from bundle import Bundle
from bundle.errors import TillerError
from protos.steering.v1.recommend_pb2 import RecommendBatchRequest, RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from protos.steering.v1.rules_pb2 import Rule
from server.rpc.convert import to_query
from server.settings import Settings
from server.telemetry import STAGES
from server.tracing import opened_traces
from server.types import Query
from tests.live import Live, live
from tests.world import make_world, write_world

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RULES = [Rule(action="ACTION_FILTER", concept="genre:horror"), Rule(action="ACTION_DEMOTE", concept="genre:comedy")]
METHOD = "steering.v1.RecommendService/Recommend"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("traces") / "planted")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What would go to a collector; whole once the server has stopped."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", lambda **_: exporter)
    return exporter


def ask(server: Live, *, header: str | None = None, **request: object) -> None:
    metadata = [] if header is None else [("traceparent", header)]
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        stub = RecommendServiceStub(channel)
        stub.Recommend(RecommendRequest(**{"user_id": "u3", "k": 5, **request}), timeout=30, metadata=metadata)


def roots(memory: InMemorySpanExporter) -> list[ReadableSpan]:
    return [span for span in memory.get_finished_spans() if span.kind is SpanKind.SERVER]


def children(memory: InMemorySpanExporter, root: ReadableSpan) -> list[ReadableSpan]:
    found = [
        span for span in memory.get_finished_spans()
        if span.parent is not None and span.parent.span_id == root.context.span_id
    ]  # fmt: skip
    return sorted(found, key=lambda span: span.start_time or 0)


def test_a_call_is_a_span_with_one_child_per_stage(bundle: Bundle, memory: InMemorySpanExporter) -> None:
    with live(bundle.path, trace_endpoint="http://nobody:4317", trace_sample=1.0) as server:
        ask(server, rules=RULES, request_id="mine", include_baseline=True)
        revision = server.addresses.policy_revision
    (root,) = roots(memory)
    assert root.name == METHOD
    assert root.parent is None
    assert dict(root.attributes or {}) == {
        "rpc.system": "grpc", "rpc.service": "steering.v1.RecommendService", "rpc.method": "Recommend",
        "rpc.grpc.status_code": 0, "tiller.request_id": "mine", "tiller.bundle_id": bundle.manifest.bundle_id,
        "tiller.policy_revision": revision, "tiller.k": 5, "tiller.returned": 5, "tiller.rules": 2,
    }  # fmt: skip
    stages = children(memory, root)
    assert [span.name for span in stages] == [
        "decode", "plan", "user", "mask", "search", "edit", "search", "explain", "encode"
    ]  # fmt: skip
    assert {span.name for span in stages} == set(STAGES)
    assert root.resource.attributes["service.name"] == "tiller"
    assert root.start_time is not None
    assert root.end_time is not None
    for before, after in itertools.pairwise(stages):
        assert before.end_time <= after.start_time  # type: ignore[operator]
    slack = 1_000_000  # two clocks: the span's wall clock, and the stages' monotonic one
    assert root.start_time - slack <= stages[0].start_time  # type: ignore[operator]
    assert stages[-1].end_time <= root.end_time + slack  # type: ignore[operator]


def test_the_callers_trace_goes_on_and_its_decision_holds(bundle: Bundle, memory: InMemorySpanExporter) -> None:
    with live(bundle.path, trace_endpoint="http://nobody:4317", trace_sample=0.0, log_level="debug") as server:
        ask(server, header=f"00-{TRACE}-{PARENT}-01", request_id="sampled")
        ask(server, header=f"00-{TRACE}-{PARENT}-00", request_id="unsampled")
        ask(server, header="nonsense", request_id="nonsense")
        ask(server, request_id="alone")
        calls = {line["request_id"]: line for line in server.lines() if line["event"] == "call"}
    (root,) = roots(memory)
    assert (root.attributes or {})["tiller.request_id"] == "sampled"
    assert root.context.trace_id == int(TRACE, 16)
    assert root.parent is not None
    assert root.parent.span_id == int(PARENT, 16)
    assert {span.context.trace_id for span in children(memory, root)} == {int(TRACE, 16)}
    assert calls["sampled"]["trace_id"] == calls["unsampled"]["trace_id"] == TRACE
    assert calls["alone"]["trace_id"] not in {TRACE, calls["nonsense"]["trace_id"]}


def test_a_refusal_has_its_code_and_is_no_error_of_the_server(bundle: Bundle, memory: InMemorySpanExporter) -> None:
    with live(bundle.path, trace_endpoint="http://nobody:4317", trace_sample=1.0) as server:
        for request in ({"k": 0}, {"rules": [Rule(action="ACTION_FILTER", concept="genre:nothing")]}):
            with pytest.raises(grpc.RpcError):
                ask(server, **request)
        refused = [line["trace_id"] for line in server.lines() if line["event"] == "refused"]
    codes = [(span.attributes or {})["rpc.grpc.status_code"] for span in roots(memory)]
    assert codes == [grpc.StatusCode.INVALID_ARGUMENT.value[0], grpc.StatusCode.NOT_FOUND.value[0]]
    assert {span.status.status_code for span in roots(memory)} == {StatusCode.UNSET}
    assert refused == [f"{span.context.trace_id:032x}" for span in roots(memory)]
    assert [children(memory, span) for span in roots(memory)] == [[], []]


def test_reading_is_as_long_as_it_took(
    bundle: Bundle, memory: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(request: RecommendRequest) -> Query:
        time.sleep(0.02)
        return to_query(request)

    monkeypatch.setattr("server.rpc.turn.to_query", slowly)
    with live(bundle.path, trace_endpoint="http://nobody:4317", trace_sample=1.0) as server:
        ask(server)
    (root,) = roots(memory)
    decode = children(memory, root)[0]
    assert decode.name == "decode"
    assert decode.start_time is not None
    assert decode.end_time is not None
    assert decode.end_time - decode.start_time >= 20_000_000


def test_a_batch_is_one_span_with_the_stages_of_every_list(bundle: Bundle, memory: InMemorySpanExporter) -> None:
    requests = [RecommendRequest(user_id=f"u{user}", k=3, rules=RULES) for user in range(3)]
    with (
        live(bundle.path, trace_endpoint="http://nobody:4317", trace_sample=1.0) as server,
        grpc.insecure_channel(server.addresses.grpc) as channel,
    ):
        RecommendServiceStub(channel).RecommendBatch(RecommendBatchRequest(requests=requests), timeout=30)
    (root,) = roots(memory)
    assert root.name == "steering.v1.RecommendService/RecommendBatch"
    names = [span.name for span in children(memory, root)]
    assert {names.count(stage) for stage in ("decode", "user", "plan", "mask", "edit", "explain", "encode")} == {3}


def test_spans_reach_a_collector(bundle: Bundle) -> None:
    """The wire of a real one: OTLP over gRPC."""
    got: list[collector.ExportTraceServiceRequest] = []

    class Collector(TraceServiceServicer):
        def Export(self, request: collector.ExportTraceServiceRequest, _: grpc.ServicerContext) -> object:
            got.append(request)
            return collector.ExportTraceServiceResponse()

    with ThreadPoolExecutor(1) as pool:
        receiver = grpc.server(pool)
        add_TraceServiceServicer_to_server(Collector(), receiver)
        port = receiver.add_insecure_port("127.0.0.1:0")
        receiver.start()
        try:
            with live(bundle.path, trace_endpoint=f"http://127.0.0.1:{port}", trace_sample=1.0) as server:
                ask(server, rules=RULES)
        finally:
            receiver.stop(0).wait()
    spans = [span.name for batch in got for one in batch.resource_spans for s in one.scope_spans for span in s.spans]
    assert spans.count(METHOD) == 1
    assert set(STAGES) <= set(spans)


def test_off_by_default_and_then_nothing_is_imported(bundle: Bundle) -> None:
    with opened_traces(Settings(bundle=bundle.path)) as tracing:
        assert tracing is None
    check = "import sys, server.app; raise SystemExit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_without_the_extra_the_refusal_says_what_to_install(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    settings = Settings(bundle=bundle.path, trace_endpoint="http://localhost:4317")
    with pytest.raises(TillerError, match=r"--trace-endpoint needs OpenTelemetry: .*pip install 'tiller\[otel\]'"):
        opened_traces(settings).__enter__()
