"""grpc.health.v1 and reflection, as probes and grpcurl see them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from bundle import Bundle
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.health import LIVE, Health
from tests.live import Live, live
from tests.world import make_world, write_world

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3
SERVICES = ("steering.v1.RecommendService", "steering.v1.ConceptService")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(items=60), tmp_path_factory.mktemp("health") / "planted")


@pytest.fixture(scope="module")
def server(bundle: Bundle) -> Iterator[Live]:
    with live(bundle.path) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server: Live) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.addresses.grpc) as opened:
        yield opened


@pytest.mark.parametrize("service", ["", *SERVICES, LIVE])
def test_each_service_is_serving(channel: grpc.Channel, service: str) -> None:
    answer = health_pb2_grpc.HealthStub(channel).Check(pb.HealthCheckRequest(service=service), timeout=30)
    assert answer.status == SERVING


def test_list_has_every_service(channel: grpc.Channel) -> None:
    answer = health_pb2_grpc.HealthStub(channel).List(pb.HealthListRequest(), timeout=30)
    assert {name: entry.status for name, entry in answer.statuses.items()} == dict.fromkeys(
        ("", *SERVICES, LIVE), SERVING
    )


def test_a_service_there_is_not(channel: grpc.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(pb.HealthCheckRequest(service="steering.v2.RecommendService"), timeout=30)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == (
        "no service 'steering.v2.RecommendService'; there are steering.v1.RecommendService, "
        "steering.v1.ConceptService, tiller.live"
    )
    watch = stub.Watch(pb.HealthCheckRequest(service="steering.v2.RecommendService"), timeout=30)
    assert next(watch).status == UNKNOWN
    watch.cancel()


def test_a_drain_is_told_to_watchers_and_ends_their_streams(bundle: Bundle) -> None:
    with live(bundle.path) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(pb.HealthCheckRequest(service=service), timeout=60) for service in SERVICES]
        assert [next(watch).status for watch in watches] == [SERVING, SERVING]
        server.stop()
        assert [[answer.status for answer in watch] for watch in watches] == [[NOT_SERVING], [NOT_SERVING]]


def test_calls_are_answered_while_balancers_notice_the_drain(bundle: Bundle) -> None:
    with live(bundle.path, drain_delay_seconds=1.0) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        stub, recommend = health_pb2_grpc.HealthStub(channel), RecommendServiceStub(channel)
        watch = stub.Watch(pb.HealthCheckRequest(service=""), timeout=60)
        assert next(watch).status == SERVING
        server.stop()
        assert next(watch).status == NOT_SERVING
        assert stub.Check(pb.HealthCheckRequest(service=LIVE), timeout=30).status == SERVING
        with grpc.insecure_channel(server.addresses.grpc) as late:  # a connection that is made only now
            answer = RecommendServiceStub(late).Recommend(RecommendRequest(user_id="u1", k=3), timeout=30)
        assert len(answer.items) == len(recommend.Recommend(RecommendRequest(user_id="u1", k=3), timeout=30).items) == 3


def test_nothing_is_serving_before_it_is_said_and_nothing_again_after_the_drain() -> None:
    async def check() -> list[int]:
        health = Health(SERVICES)
        seen = []
        for step in (None, health.serving, health.drain):
            if step is not None:
                await step()
            listed = await health.List(pb.HealthListRequest(), None)  # type: ignore[arg-type]
            seen.append({entry.status for name, entry in listed.statuses.items() if name != LIVE})
            assert listed.statuses[LIVE].status == SERVING  # a probe of liveness kills nobody who drains
        return [status for (status,) in seen]

    assert asyncio.run(check()) == [NOT_SERVING, SERVING, NOT_SERVING]


def test_reflection_lists_the_services_and_their_messages(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {
        *SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"
    }  # fmt: skip
    pool = DescriptorPool(database)
    method = pool.FindServiceByName("steering.v1.RecommendService").FindMethodByName("Recommend")
    assert method.input_type.full_name == "steering.v1.RecommendRequest"
    assert "include_baseline" in method.input_type.fields_by_name
    assert {one.name for one in pool.FindServiceByName("steering.v1.ConceptService").methods} == {
        "ListConcepts", "GetConcept"
    }  # fmt: skip
