"""Bundles that change while the server runs: by the admin service, by a link, by signal; and the way back."""

from __future__ import annotations

import asyncio
import gc
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from bundle import Bundle, ConceptFile
from bundle.errors import TillerError
from client.admin import TillerAdmin
from client.errors import TillerRpcError
from protos.steering.v1.recommend_pb2 import RecommendRequest, RecommendResponse
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.errors import NotAllowed
from server.policy import compile_files
from server.reload import Served, Swap, Trigger
from server.reload.bundles import confined
from server.reload.watch import link_folders
from server.settings import Settings
from server.steer import Engine
from server.types import Query
from tests.live import Live, live, process, scrape, wait_for_addresses
from tests.world import World, make_world, write_world

QUICK = 0.05
LOST = "genre:film-noir"
POLICY = 'policies:\n  - name: kids\n    owner: safety\n    mode: {}\n    rules: [{{action: filter, concept: "{}"}}]\n'


def without_the_last_concept(world: World) -> World:
    """The same world, in which one concept was not found."""
    contents = world.contents
    kept = [concept for concept in contents.concepts.concepts if concept.id != LOST]
    arrays = {name: value if name == "latent_effect" else value[:-1] for name, value in vars(contents.arrays).items()}
    return replace(
        world, contents=replace(contents, concepts=ConceptFile(concepts=tuple(kept)),
                                arrays=type(contents.arrays)(**arrays)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of one recommender: ``a``, ``b``, ``c``; ``poor`` lacks a concept, ``wide`` has longer embeddings."""
    root = tmp_path_factory.mktemp("bundles")
    for place, name in enumerate("abc"):
        write_world(make_world(seed=place), root / name)
    write_world(without_the_last_concept(make_world(seed=7)), root / "poor")
    write_world(make_world(dim=20), root / "wide")
    broken = root / "broken"
    shutil.copytree(root / "c", broken)
    content = bytearray((broken / "index.faiss").read_bytes())
    content[len(content) // 2] ^= 1
    (broken / "index.faiss").write_bytes(content)
    return root


@pytest.fixture(scope="module")
def engines(root: Path) -> dict[str, Engine]:
    from bundle import load_bundle

    return {name: Engine.open(load_bundle(root / name)) for name in ("a", "b", "c", "poor")}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.reload.bundles.REST_SECONDS", 0.005)
    monkeypatch.setattr("server.reload.policies.REST_SECONDS", 0.005)


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def compiled(self, engine: Engine) -> None:  # noqa: ARG002
        assert threading.current_thread().name.startswith(("bundle", "policies"))

    def swapped(self, engine: Engine, previous: Engine, trigger: Trigger, seconds: float, *, back: bool) -> None:
        assert seconds > 0
        self.events.append(f"{previous.bundle_id}->{engine.bundle_id} by {trigger}{' back' if back else ''}")

    def bundle_refused(self, path: str, error: TillerError, trigger: Trigger) -> None:  # noqa: ARG002
        self.events.append(f"refused {Path(path).name} by {trigger}")

    def loaded(self, *_: object) -> None: ...

    def refused(self, *_: object) -> None: ...

    def checked(self, **_: object) -> None: ...

    def unwatched(self, *_: object) -> None: ...


def _serving(engine: Engine, path: Path, **settings: Any) -> tuple[Served, Heard]:
    heard = Heard()
    return Served(engine, Settings(bundle=path, **settings), heard), heard


def _filtering(engine: Engine, concept: str, mode: str = "enforce") -> Engine:
    return replace(engine, policies=compile_files({"kids.yaml": POLICY.format(mode, concept).encode()}, "here"))


def _use(served: Served, name: str, **given: Any) -> Swap:
    return asyncio.run(served.use(name, **given))


def test_another_bundle_takes_the_place_and_the_first_is_kept(root: Path, engines: dict[str, Engine]) -> None:
    served, heard = _serving(_filtering(engines["a"], "genre:horror"), root / "a", bundles_root=root)
    first = served.current()
    done = _use(served, "b")
    now = served.current()
    assert (done.outcome, done.bundle_id, done.error) == ("loaded", engines["b"].bundle_id, None)
    assert now.bundle_id == engines["b"].bundle_id
    assert now.policies is first.policies
    status = served.bundle_status
    assert (status.folder, status.previous, status.swaps, status.refusals) == (str(root / "b"), first.bundle_id, 1, 0)
    assert _use(served, str(root / "b")).outcome == "unchanged"
    back = asyncio.run(served.rollback())
    assert (back.outcome, back.bundle_id) == ("rolled_back", first.bundle_id)
    assert served.current().catalogue is first.catalogue  # kept warm, not loaded again
    again = asyncio.run(served.rollback())  # and forth
    assert again.bundle_id == engines["b"].bundle_id
    a, b = engines["a"].bundle_id, engines["b"].bundle_id
    assert heard.events == [f"{a}->{b} by admin", f"{b}->{a} by admin back", f"{a}->{b} by admin back"]


def test_a_rollback_holds_to_the_policies_of_now(root: Path, engines: dict[str, Engine], tmp_path: Path) -> None:
    file = tmp_path / "kids.yaml"
    file.write_text(POLICY.format("enforce", "genre:horror"))
    served, _ = _serving(engines["a"], root / "a", bundles_root=root, policies=tmp_path)
    assert asyncio.run(served.reload("admin")).outcome == "loaded"
    _use(served, "b")
    file.write_text(POLICY.format("enforce", "genre:comedy"))
    asyncio.run(served.reload("admin"))
    asyncio.run(served.rollback())
    policies = served.current().policies
    assert policies is not None
    assert [rule.concept for rule in policies.matching({})] == ["genre:comedy"]
    assert served.current().bundle_id == engines["a"].bundle_id


def test_what_is_refused_changes_nothing_and_says_why(root: Path, engines: dict[str, Engine]) -> None:
    served, heard = _serving(engines["a"], root / "a", bundles_root=root)
    before = served.current()
    for name, why in (
        ("broken", "index.faiss: sha256: found "),
        ("nowhere", f"no bundle at {root / 'nowhere'}"),
        ("wide", "embeddings have 20 numbers, not 16"),
    ):
        done = _use(served, name)
        assert (done.outcome, done.bundle_id) == ("refused", before.bundle_id)
        assert why in str(done.error)
        assert served.bundle_status.error is done.error
    assert served.current() is before
    assert served.bundle_status.refusals == 3
    assert heard.events == [f"refused {name} by admin" for name in ("broken", "nowhere", "wide")]
    nothing = asyncio.run(served.rollback())
    assert (nothing.outcome, str(nothing.error)) == (
        "refused", "there is no previous bundle to go back to. One is kept once another bundle was taken."
    )  # fmt: skip
    _use(served, "b")
    assert served.bundle_status.error is None


def test_a_fault_of_ours_is_a_refusal(root: Path, engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Engine) -> None:
        raise RuntimeError("a bug")

    served, _ = _serving(engines["a"], root / "a", bundles_root=root)
    monkeypatch.setattr(Engine, "warm", broken)
    done = _use(served, "b")
    assert str(done.error) == f"bundle {root / 'b'} cannot be served: found RuntimeError: a bug."
    assert served.current() is engines["a"]
    monkeypatch.undo()
    monkeypatch.setattr("server.reload.served.refuse_losses", broken)
    monkeypatch.setattr("server.reload.bundles.REST_SECONDS", 0.005)
    assert "cannot be served: found TypeError" in str(_use(served, "b").error)


def test_a_concept_in_force_that_a_bundle_lacks_refuses_it(root: Path, engines: dict[str, Engine]) -> None:
    served, _ = _serving(_filtering(engines["a"], LOST), root / "a", bundles_root=root)
    done = _use(served, "poor")
    assert done.outcome == "refused"
    assert f"lacks what is in use now: {LOST}, which policy kids names" in str(done.error)
    assert _use(served, "poor", accept_losses=True).outcome == "loaded"
    assert _use(served, "a").outcome == "loaded"  # nothing is lost on the way back
    assert asyncio.run(served.rollback()).outcome == "refused"  # but the same again
    assert asyncio.run(served.rollback(accept_losses=True)).outcome == "rolled_back"


@pytest.mark.parametrize(
    ("concept", "mode", "outcome"),
    [(LOST, "shadow", "loaded"), ("genre:nonsense", "enforce", "loaded"), ("latent:3", "enforce", "refused")],
    ids=["a shadow promises nothing", "nobody had it before", "another SAE's latent is another thing"],
)
def test_what_counts_as_a_loss(root: Path, engines: dict[str, Engine], concept: str, mode: str, outcome: str) -> None:
    served, _ = _serving(_filtering(engines["a"], concept, mode), root / "a", bundles_root=root)
    assert _use(served, "poor").outcome == outcome


def test_a_setting_accepts_losses_for_all(root: Path, engines: dict[str, Engine]) -> None:
    served, _ = _serving(_filtering(engines["a"], LOST), root / "a", bundles_root=root, accept_losses=True)
    assert _use(served, "poor").outcome == "loaded"


def test_callers_name_no_bundle_outside_of_the_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "out").symlink_to(root / "a")
    for path in ("../x", "", ".", "a\0b", str(root / "a"), "out", "inside/../.."):
        with pytest.raises(NotAllowed):
            confined(path, tmp_path)
    assert confined("inside", tmp_path) == confined(str(tmp_path / "inside"), tmp_path) == tmp_path / "inside"
    with pytest.raises(NotAllowed, match="--bundles-root"):
        confined("inside", None)


def test_policies_are_not_held_up_by_a_bundle_and_hold_after_it(
    root: Path, engines: dict[str, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kids.yaml").write_text(POLICY.format("enforce", "genre:horror"))
    served, _ = _serving(engines["a"], root / "a", bundles_root=root, policies=tmp_path)
    loading, go_on = threading.Event(), threading.Event()
    warm = Engine.warm

    def slowly(self: Engine) -> None:
        loading.set()
        assert go_on.wait(30)
        warm(self)

    monkeypatch.setattr(Engine, "warm", slowly)

    async def both() -> tuple[str, str]:
        swap = asyncio.create_task(served.use("b"))
        await asyncio.to_thread(loading.wait, 30)
        reloaded = await served.reload("admin")
        go_on.set()
        return reloaded.outcome, (await swap).outcome

    assert asyncio.run(both()) == ("loaded", "loaded")
    now = served.current()
    assert now.bundle_id == engines["b"].bundle_id
    assert now.policies is not None
    assert [rule.concept for rule in now.policies.matching({})] == ["genre:horror"]


def test_the_one_before_the_previous_is_released(root: Path) -> None:
    from bundle import load_bundle

    served, _ = _serving(Engine.open(load_bundle(root / "a")), root / "a", bundles_root=root)
    first = weakref.ref(served.current().catalogue)
    gc.collect()
    gc.disable()  # what only a collection frees may stay for hours
    try:
        _use(served, "b")
        assert first() is not None
        _use(served, "c")
        served.close()
        _until(lambda: first() is None)
    finally:
        gc.enable()


def _until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def test_folders_that_decide_where_a_path_leads(tmp_path: Path) -> None:
    (tmp_path / "v1" / "bundle").mkdir(parents=True)
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "..data").symlink_to(tmp_path / "v1")
    (mount / "bundle").symlink_to("..data/bundle")
    (tmp_path / "served").symlink_to("mount/bundle")
    assert set(link_folders(tmp_path / "served")) >= {tmp_path, mount}
    (tmp_path / "round").symlink_to("round")
    assert link_folders(tmp_path / "round") == (tmp_path,)


def test_looking_again_takes_what_the_path_leads_to_and_nothing_twice(
    root: Path, engines: dict[str, Engine], tmp_path: Path
) -> None:
    link = tmp_path / "current"
    link.symlink_to(root / "a")
    served, heard = _serving(engines["a"], link, bundles_root=root)

    def look(trigger: Trigger = "watch") -> str:
        done = asyncio.run(served.look_again(trigger))
        return "nothing" if done is None else done.outcome

    def point(name: str) -> None:
        (tmp_path / "next").symlink_to(root / name)
        (tmp_path / "next").replace(link)

    assert look() == "nothing"
    point("b")
    assert [look(), look()] == ["loaded", "nothing"]
    asyncio.run(served.rollback())
    assert look() == look("signal") == "nothing"  # what was taken back is not taken again
    point("broken")
    assert [look(), look(), look("signal")] == ["refused", "nothing", "refused"]
    assert served.current().bundle_id == engines["a"].bundle_id
    point("a")
    assert [look(), served.bundle_status.error] == ["unchanged", None]
    a, b = engines["a"].bundle_id, engines["b"].bundle_id
    assert heard.events[:2] == [f"{a}->{b} by watch", f"{b}->{a} by admin back"]


def test_a_bundle_refused_for_the_policies_is_tried_again_under_others(
    root: Path, engines: dict[str, Engine], tmp_path: Path
) -> None:
    link, folder = tmp_path / "current", tmp_path / "policies"
    folder.mkdir()
    (folder / "kids.yaml").write_text(POLICY.format("enforce", LOST))
    link.symlink_to(root / "a")
    served, _ = _serving(engines["a"], link, policies=folder)
    asyncio.run(served.reload("watch"))
    link.unlink()
    link.symlink_to(root / "poor")
    first, second = (asyncio.run(served.look_again("watch")) for _ in range(2))
    assert first is not None
    assert (first.outcome, second) == ("refused", None)
    (folder / "kids.yaml").write_text(POLICY.format("enforce", "genre:horror"))
    asyncio.run(served.reload("watch"))
    third = asyncio.run(served.look_again("watch"))
    assert third is not None
    assert third.outcome == "loaded"


@pytest.fixture
def mount(root: Path, tmp_path: Path) -> Path:
    """A link to a bundle as Kubernetes would make it: ``bundle`` -> ``..data/bundle``, and ``..data`` is swapped."""
    mount = tmp_path / "mount"
    mount.mkdir()
    _point(mount, root, "a")
    (mount / "bundle").symlink_to("..data/bundle")
    return mount


def _point(mount: Path, root: Path, name: str) -> None:
    version = mount / f"..{name}"
    if not version.exists():
        version.mkdir()
        (version / "bundle").symlink_to(root / name)
    (mount / "..data_tmp").symlink_to(version.name)
    (mount / "..data_tmp").replace(mount / "..data")


def _ask(server: Live, **request: object) -> RecommendResponse:
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        return RecommendServiceStub(channel).Recommend(
            RecommendRequest(**{"user_id": "u3", "k": 10, **request}), timeout=30
        )


def test_swaps_under_load_cost_no_request_and_every_answer_is_of_one_bundle(
    root: Path, engines: dict[str, Engine], mount: Path
) -> None:
    right = {
        engine.bundle_id: [
            engine.catalogue.item_ids[row] for row in engine.recommend(Query(k=10, user_id="u3")).ranking.items
        ]
        for engine in engines.values()
    }
    assert len({tuple(items) for items in right.values()}) == len(right)
    with live(mount / "bundle", bundle_poll_seconds=QUICK, share_sample=0.0, max_wait_ms=0.0) as server:
        stop, seen = threading.Event(), set()

        def ask() -> int:
            asked = 0
            with grpc.insecure_channel(server.addresses.grpc) as channel:
                stub = RecommendServiceStub(channel)
                while not stop.is_set():
                    answer = stub.Recommend(RecommendRequest(user_id="u3", k=10), timeout=30)  # raises if it fails
                    assert [item.item_id for item in answer.items] == right[answer.bundle_id]
                    seen.add(answer.bundle_id)
                    asked += 1
            return asked

        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(ask) for _ in range(3)]
            try:
                for name in ("b", "a", "c", "poor"):
                    _point(mount, root, name)
                    _until(lambda name=name: _ask(server).bundle_id == engines[name].bundle_id)  # type: ignore[misc]
            finally:
                stop.set()
            assert sum(call.result() for call in asking) > 50
        metrics = server.metrics()
        assert metrics['tiller_bundle_reloads_total{result="loaded"}'] == 4
        assert metrics['tiller_bundle_reloads_total{result="refused"}'] == 0
        (served,) = [name for name, value in metrics.items() if name.startswith("tiller_bundle_info") and value == 1]
        assert f'bundle_id="{engines["poor"].bundle_id}"' in served
        lines = [line for line in server.lines() if line["event"] == "bundle loaded"]
        assert [line["trigger"] for line in lines] == ["watch"] * 4
    assert seen == {engines[name].bundle_id for name in ("a", "b", "c", "poor")}


def test_the_admin_service_loads_rolls_back_and_tells(root: Path, engines: dict[str, Engine]) -> None:
    with live(root / "a", admin_port=0, bundles_root=root) as server, TillerAdmin(server.addresses.admin) as admin:
        done = admin.use_bundle("b")
        assert (done.outcome, done.bundle_id, done.previous_bundle_id) == (
            "loaded", engines["b"].bundle_id, engines["a"].bundle_id
        )  # fmt: skip
        assert _ask(server).bundle_id == engines["b"].bundle_id
        refused = admin.use_bundle("broken")
        assert (refused.outcome, refused.bundle_id) == ("refused", engines["b"].bundle_id)
        status = admin.status()
        assert (status.bundle_id, status.bundle_folder) == (engines["b"].bundle_id, str(root / "b"))
        assert (status.bundle_swaps, status.bundle_refusals, status.bundle_error) == (1, 1, refused.error)
        assert status.bundle_loaded_at > status.started_at
        assert admin.rollback_bundle().outcome == "rolled_back"
        assert _ask(server).bundle_id == engines["a"].bundle_id
        with pytest.raises(TillerRpcError) as outside:
            admin.use_bundle("/etc")
        assert outside.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert server.metrics()['tiller_bundle_reloads_total{result="rolled_back"}'] == 1


def test_a_signal_looks_again(root: Path, engines: dict[str, Engine], tmp_path: Path) -> None:
    link, ports = tmp_path / "current", tmp_path / "ports.json"
    link.symlink_to(root / "a")
    arguments = ("--bundle", link, "--bundle-poll-seconds", 0, "--port", 0, "--metrics-port", 0, "--port-file", ports)
    with process(*arguments) as child:
        where = wait_for_addresses(ports, child)
        assert where["bundle_id"] == engines["a"].bundle_id
        link.unlink()
        link.symlink_to(root / "b")
        child.send_signal(signal.SIGHUP)
        _until(lambda: scrape(where["metrics"])['tiller_bundle_reloads_total{result="loaded"}'] == 1)
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == 0


def test_the_event_loop_turns_while_a_bundle_loads(root: Path, tmp_path: Path, engines: dict[str, Engine]) -> None:
    """No time limit: it turns many times where a load on the loop would let it turn not once."""
    big: Bundle = write_world(make_world(items=4000, seed=3, dim=16), tmp_path / "big")
    served, _ = _serving(engines["a"], root / "a", bundles_root=tmp_path)
    turns: list[float] = []

    async def beat() -> None:
        while True:
            await asyncio.sleep(0)
            turns.append(time.perf_counter())

    async def swap() -> Swap:
        beating = asyncio.create_task(beat())
        try:
            return await served.use("big")
        finally:
            beating.cancel()

    done = asyncio.run(swap())
    assert (done.outcome, done.bundle_id) == ("loaded", big.manifest.bundle_id)
    assert len(turns) > 100
    assert np.diff(turns).max() < done.seconds / 2
