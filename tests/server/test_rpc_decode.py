"""Bytes that are no message get a refusal like any other, on every service, and leave the server as it was."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from protos.steering.v1.recommend_pb2 import RecommendRequest, RecommendResponse
from tests.live import live, refusal_of
from tests.world import make_world, write_world

METHODS = (
    "/steering.v1.RecommendService/Recommend",
    "/steering.v1.RecommendService/RecommendBatch",
    "/steering.v1.ConceptService/ListConcepts",
    "/steering.v1.ConceptService/GetConcept",
)


def test_unreadable_requests_are_refused_by_name(tmp_path: Path) -> None:
    bundle = write_world(make_world(), tmp_path / "bundle").path
    with live(bundle, admin_port=0) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        for method in METHODS:
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(method)(b"\xff\xff\xff")
            refusal = refusal_of(raised.value)
            assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
            assert refusal.message.startswith("the request cannot be read: found 3 bytes, ")
            assert refusal.reason == "INVALID_REQUEST"
            assert refusal.request_id
        with grpc.insecure_channel(server.addresses.admin) as admin, pytest.raises(grpc.RpcError) as raised:
            admin.unary_unary("/steering.v1.AdminService/GetStatus")(b"\x0a\xff")
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        good = channel.unary_unary(METHODS[0], RecommendRequest.SerializeToString, RecommendResponse.FromString)
        assert len(good(RecommendRequest(user_id="u0", k=3)).items) == 3
        counted = server.metrics()
    assert counted['tiller_requests_total{code="INVALID_ARGUMENT",method="Recommend"}'] == 1
