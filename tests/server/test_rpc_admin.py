"""AdminService over the wire: a port of its own, faults as answers, a preview that stops nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from bundle import Bundle, __version__
from protos.steering.v1 import admin_pb2 as pb
from protos.steering.v1.admin_pb2_grpc import AdminServiceStub
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.policy import revision_of
from tests.live import Live, live, refusal_of
from tests.reflection import services
from tests.world import make_world, write_world

KIDS = """policies:
  - name: kids
    owner: safety
    description: No horror.
    priority: 7
    mandatory: true
    when:
      surface: kids
      time: {timezone: UTC, from: 2020-01-01}
    rules: [{action: filter, concept: "genre:horror", membership: either}]
  - name: trial
    owner: shop
    mode: shadow
    when: {time: {timezone: UTC, until: 2020-01-01}}
    rules: [{action: promote, concept: "genre:wstern", strength: 0.3}]
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("admin") / "planted")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "kids.yaml").write_text(KIDS)
    return folder


@pytest.fixture
def server(bundle: Bundle, folder: Path) -> Iterator[Live]:
    with live(bundle.path, policies=folder, policy_poll_seconds=0, admin_port=0) as server:
        yield server


@pytest.fixture
def admin(server: Live) -> Iterator[AdminServiceStub]:
    with grpc.insecure_channel(server.addresses.admin) as channel:
        yield AdminServiceStub(channel)


def source(text: str, name: str = "kids.yaml") -> pb.PolicySource:
    return pb.PolicySource(name=name, content=text.encode())


def test_it_has_a_port_of_its_own_and_is_off_unless_asked_for(server: Live, bundle: Bundle) -> None:
    assert server.addresses.admin not in ("", server.addresses.grpc)
    assert server.addresses.admin.startswith("127.0.0.1:")
    assert "steering.v1.AdminService" not in services(server.addresses.grpc)
    assert "steering.v1.AdminService" in services(server.addresses.admin)
    assert "steering.v1.RecommendService" not in services(server.addresses.admin)
    with grpc.insecure_channel(server.addresses.grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        AdminServiceStub(channel).ReloadPolicies(pb.ReloadPoliciesRequest(), timeout=30)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with live(bundle.path) as plain:
        assert plain.addresses.admin == ""


def test_status(admin: AdminServiceStub, bundle: Bundle, folder: Path) -> None:
    status = admin.GetStatus(pb.GetStatusRequest(), timeout=30)
    assert (status.bundle_id, status.bundle_name) == (bundle.manifest.bundle_id, "planted")
    assert (status.items, status.concepts, status.policies) == (240, 6, 2)
    assert status.policy_revision == revision_of({"kids.yaml": KIDS.encode()})
    assert (status.policy_folder, status.version) == (str(folder), __version__)
    assert status.started_at - 60 < status.policies_loaded_at <= status.policies_checked_at <= time.time()
    assert (status.stale, status.error, status.reloads, status.refusals) == (False, "", 0, 0)


def test_the_policies_in_force_are_listed_with_what_looks_wrong(admin: AdminServiceStub) -> None:
    answer = admin.ListPolicies(pb.ListPoliciesRequest(), timeout=30)
    kids, trial = answer.policies
    assert (kids.name, kids.owner, kids.description, kids.priority) == ("kids", "safety", "No horror.", 7)
    assert (kids.mandatory, kids.enabled, kids.mode, kids.open) == (True, True, pb.POLICY_MODE_ENFORCE, True)
    assert list(kids.conditions) == ["surface is kids", "from 2020-01-01 00:00 (UTC)"]
    assert list(kids.rule_words) == ["filter genre:horror (either)"]
    assert [rule.concept for rule in kids.rules] == ["genre:horror"]
    assert (kids.file, kids.line) == ("kids.yaml", 2)
    assert (trial.mode, trial.open) == (pb.POLICY_MODE_SHADOW, False)
    (warning,) = answer.warnings
    assert (warning.policy, warning.line) == ("trial", 15)
    assert "Did you mean 'genre:western'?" in warning.message


def test_faults_are_an_answer(admin: AdminServiceStub) -> None:
    good = admin.ValidatePolicies(pb.ValidatePoliciesRequest(files=[source(KIDS)]), timeout=30)
    assert (good.valid, good.policies, len(good.faults)) == (True, 2, 0)
    assert good.revision == revision_of({"kids.yaml": KIDS.encode()})
    assert [warning.policy for warning in good.warnings] == ["trial"]
    broken = KIDS.replace("priority: 7", "prioritty: 7")
    bad = admin.ValidatePolicies(pb.ValidatePoliciesRequest(files=[source(broken)]), timeout=30)
    assert (bad.valid, bad.revision) == (False, "")
    (fault,) = bad.faults
    assert (fault.file, fault.line, fault.field) == ("kids.yaml", 5, "policies[0].prioritty")
    assert "Did you mean 'priority'?" in fault.message


@pytest.mark.parametrize("names", [("",), ("a.yaml", "a.yaml")])
def test_files_have_names_of_their_own(admin: AdminServiceStub, names: tuple[str, ...]) -> None:
    files = [source(KIDS, name) for name in names]
    with pytest.raises(grpc.RpcError) as refused:
        admin.ValidatePolicies(pb.ValidatePoliciesRequest(files=files), timeout=30)
    said = refusal_of(refused.value)
    assert said.code is grpc.StatusCode.INVALID_ARGUMENT
    assert set(said.violations) == {f"files[{len(names) - 1}].name"}


def test_a_reload_says_what_came_of_it(server: Live, admin: AdminServiceStub, folder: Path) -> None:
    before = admin.ReloadPolicies(pb.ReloadPoliciesRequest(), timeout=30)
    assert before.outcome == "unchanged"
    (folder / "kids.yaml").write_text(KIDS.replace("priority: 7", "prioritty: 7"))
    refused = admin.ReloadPolicies(pb.ReloadPoliciesRequest(), timeout=30)
    assert (refused.outcome, refused.policy_revision) == ("refused", before.policy_revision)
    assert [fault.line for fault in refused.faults] == [5]
    status = admin.GetStatus(pb.GetStatusRequest(), timeout=30)
    assert (status.stale, status.refusals, [fault.line for fault in status.faults]) == (True, 1, [5])
    assert server.metrics()["tiller_policies_stale"] == 1
    (folder / "kids.yaml").write_text(KIDS.replace("priority: 7", "priority: 8"))
    loaded = admin.ReloadPolicies(pb.ReloadPoliciesRequest(), timeout=30)
    assert (loaded.outcome, loaded.error) == ("loaded", "")
    assert loaded.policy_revision != before.policy_revision
    status = admin.GetStatus(pb.GetStatusRequest(), timeout=30)
    assert (status.stale, status.reloads, status.policy_revision) == (False, 1, loaded.policy_revision)
    assert admin.ListPolicies(pb.ListPoliciesRequest(), timeout=30).policies[0].priority == 8
    assert server.metrics()['tiller_requests_total{code="OK",method="ReloadPolicies"}'] == 3


def test_a_preview_compares_with_what_is_in_force_and_changes_nothing(server: Live, admin: AdminServiceStub) -> None:
    candidate = KIDS.replace("genre:horror", "genre:comedy")
    answer = admin.PreviewPolicies(pb.PreviewPoliciesRequest(files=[source(candidate)], k=5), timeout=30)
    assert answer.revision_before == server.addresses.policy_revision
    assert answer.revision_after == revision_of({"kids.yaml": candidate.encode()})
    assert [(change.name, change.kind) for change in answer.changes] == [("kids", "changed")]
    (looked,) = answer.situations
    assert dict(looked.attributes) == {"surface": "kids"}
    assert (looked.users, len(looked.examples[0].after)) == (12, 5)
    shares = {share.concept: share for share in looked.shares}
    assert (shares["genre:horror"].before, shares["genre:comedy"].after) == (0.0, 0.0)
    assert shares["genre:comedy"].before > 0 < shares["genre:horror"].after
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        served = RecommendServiceStub(channel).Recommend(
            RecommendRequest(user_id="u1", k=5, attributes={"surface": "kids"}), timeout=30
        )
    assert [outcome.rule.concept for outcome in served.rules if outcome.status == 1] == ["genre:horror"]


def test_a_preview_asks_whom_and_when_it_is_told(admin: AdminServiceStub) -> None:
    request = pb.PreviewPoliciesRequest(
        files=[source(KIDS)], user_ids=["u3"], attributes=pb.Attributes(values={"surface": "tv"}), at=1.0
    )
    (looked,) = admin.PreviewPolicies(request, timeout=30).situations
    assert (looked.users, looked.changed, dict(looked.attributes)) == (1, 0, {"surface": "tv"})
    assert [(one.policy, one.before, one.after) for one in looked.fired] == [("trial", 1, 1)]  # in 1970 it was open


def test_what_a_preview_refuses(admin: AdminServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        admin.PreviewPolicies(pb.PreviewPoliciesRequest(files=[source("policies: 3")]), timeout=30)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "kids.yaml:1" in (refused.value.details() or "")
    with pytest.raises(grpc.RpcError) as refused:
        admin.PreviewPolicies(pb.PreviewPoliciesRequest(files=[source(KIDS)], users=5001), timeout=30)
    assert set(refusal_of(refused.value).violations) == {"users"}


def test_recommend_is_answered_while_a_preview_runs(tmp_path: Path) -> None:
    bundle = write_world(make_world(items=2000, users=1500), tmp_path / "planted")
    with live(bundle.path, admin_port=0) as server:
        request = pb.PreviewPoliciesRequest(
            files=[source(KIDS)], users=1500, k=100, attributes=pb.Attributes(values={"surface": "kids"})
        )
        with (
            grpc.insecure_channel(server.addresses.admin) as admin,
            grpc.insecure_channel(server.addresses.grpc) as channel,
        ):
            under_way = AdminServiceStub(admin).PreviewPolicies.future(request, timeout=60)
            answered = 0
            while not under_way.done():
                RecommendServiceStub(channel).Recommend(RecommendRequest(user_id="u1", k=10), timeout=5)
                answered += 1
            assert under_way.result().situations[0].users == 1500
        assert answered > 10


def test_a_preview_whose_caller_leaves_ends(tmp_path: Path) -> None:
    bundle = write_world(make_world(items=2000, users=4000), tmp_path / "planted")
    attributes = [pb.Attributes(values={"surface": "kids"})]
    with live(bundle.path, admin_port=0) as server, grpc.insecure_channel(server.addresses.admin) as channel:
        admin = AdminServiceStub(channel)
        long = pb.PreviewPoliciesRequest(files=[source(KIDS)], users=4000, k=400, attributes=attributes[0])
        with pytest.raises(grpc.RpcError) as refused:
            admin.PreviewPolicies(long, timeout=0.5)
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        short = pb.PreviewPoliciesRequest(files=[source(KIDS)], user_ids=["u1"], attributes=attributes[0])
        began = time.perf_counter()
        assert admin.PreviewPolicies(short, timeout=30).situations[0].users == 1  # the thread is free again
        assert time.perf_counter() - began < 5
