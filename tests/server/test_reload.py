"""Policies that change while the server runs: by files, by links as Kubernetes swaps them, by signal."""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from bundle import Bundle
from protos.steering.v1.recommend_pb2 import RecommendRequest, RecommendResponse
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.errors import PolicyError
from server.policy import load_policies
from server.reload import Result, Served, Trigger, watch_policies
from server.settings import Settings
from server.steer import Engine
from tests.live import Live, live, process, scrape, wait_for_addresses
from tests.world import World, make_world, write_world

FILTER = """policies:
  - name: kids
    owner: safety
    rules: [{{action: filter, concept: "{}"}}]
"""
HORROR, COMEDY = FILTER.format("genre:horror"), FILTER.format("genre:comedy")
BAD = HORROR.replace("action", "aktion")
QUICK = 0.05


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def bundle(world: World, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(world, tmp_path_factory.mktemp("reload") / "planted")


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Engine:
    return Engine.open(bundle)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "kids.yaml").write_text(HORROR)
    return folder


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.stale: list[bool] = []

    def compiled(self, engine: Engine) -> None:  # noqa: ARG002
        assert threading.current_thread().name.startswith("policies")

    def loaded(self, engine: Engine, previous: str, trigger: Trigger, seconds: float) -> None:  # noqa: ARG002
        self.events.append(f"loaded {previous}->{engine.policy_revision} by {trigger}")

    def refused(self, error: PolicyError, trigger: Trigger) -> None:  # noqa: ARG002
        self.events.append(f"refused by {trigger}")

    def checked(self, *, stale: bool) -> None:
        self.stale.append(stale)

    def swapped(self, *_: object, **__: object) -> None:
        self.events.append("swapped")

    def bundle_refused(self, *_: object) -> None:
        self.events.append("bundle refused")

    def unwatched(self, what: str, reason: str) -> None:
        self.events.append(f"{what} unwatched: {reason}")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.reload.policies.REST_SECONDS", 0.005)


def _filtered(engine: Engine) -> list[str]:
    policies = engine.policies
    assert policies is not None
    return [rule.concept for rule in policies.matching({})]


def _serving(engine: Engine, folder: Path | None) -> tuple[Served, Heard]:
    heard = Heard()
    policies = load_policies(folder) if folder is not None else None
    settings = Settings(bundle=engine.catalogue.bundle.path, policies=folder)
    return Served(replace(engine, policies=policies), settings, heard), heard


def _reload(served: Served, trigger: Trigger = "watch") -> Result:
    return asyncio.run(served.reload(trigger))


def test_another_revision_takes_the_place_of_the_first(engine: Engine, folder: Path) -> None:
    served, heard = _serving(engine, folder)
    before = served.current()
    assert _reload(served) == Result("unchanged", before.policy_revision)
    assert heard.events == []
    (folder / "kids.yaml").write_text(COMEDY)
    result = _reload(served)
    after = served.current()
    assert result == Result("loaded", load_policies(folder).revision)
    assert heard.events == [f"loaded {before.policy_revision}->{after.policy_revision} by watch"]
    assert (_filtered(before), _filtered(after)) == (["genre:horror"], ["genre:comedy"])
    assert (before.catalogue, before.retriever, before.encoder) == (after.catalogue, after.retriever, after.encoder)
    assert served.status.loads == 1
    assert served.status.loaded_at == served.status.checked_at


def test_a_bad_file_keeps_the_last_good_revision_and_counts_once(engine: Engine, folder: Path) -> None:
    served, heard = _serving(engine, folder)
    good = served.current().policy_revision
    (folder / "kids.yaml").write_text(BAD)
    for _ in range(3):
        result = _reload(served)
        assert (result.outcome, result.revision) == ("refused", good)
        assert result.error is not None
        assert "Did you mean 'action'?" in str(result.error)
    assert served.status.refusals == 1
    assert served.status.error is result.error
    _reload(served, "admin")  # a person is told again
    assert heard.events == ["refused by watch", "refused by admin"]
    assert heard.stale == [True] * 4
    (folder / "kids.yaml").write_text(BAD + "#")
    _reload(served)
    assert served.status.refusals == 3
    (folder / "kids.yaml").write_text(HORROR)
    assert _reload(served) == Result("unchanged", good)
    assert served.status.error is None
    assert heard.stale[-1] is False


def test_a_folder_that_vanishes_keeps_the_last_good_revision(engine: Engine, folder: Path) -> None:
    served, heard = _serving(engine, folder)
    shutil.rmtree(folder)
    result = _reload(served)
    assert (result.outcome, _filtered(served.current())) == ("refused", ["genre:horror"])
    assert "cannot be read" in str(result.error)
    folder.mkdir()
    (folder / "kids.yaml").write_text(COMEDY)
    assert _reload(served).outcome == "loaded"
    assert heard.events[0] == "refused by watch"


def test_watching_never_takes_the_last_policy_away_and_a_person_does(engine: Engine, folder: Path) -> None:
    served, _ = _serving(engine, folder)
    (folder / "kids.yaml").unlink()
    result = _reload(served)
    assert (result.outcome, _filtered(served.current())) == ("refused", ["genre:horror"])
    assert str(result.error) == (
        f"policy folder {folder} has no policy file any more: expected at least one. The last policies stay in force; "
        "a reload by hand takes them away: tiller policy reload."
    )
    assert _reload(served, "signal").outcome == "loaded"
    assert _filtered(served.current()) == []


def test_without_a_folder_there_is_nothing_to_reload(engine: Engine) -> None:
    served, heard = _serving(engine, None)
    result = _reload(served, "admin")
    assert (result.outcome, result.revision, heard.events) == ("refused", "none", [])
    assert "--policies" in str(result.error)


def test_half_a_file_is_not_taken_for_a_whole_one(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, heard = _serving(engine, folder)
    whole = HORROR + COMEDY.removeprefix("policies:\n").replace("kids", "more")
    parts = iter([whole[: len(HORROR)] + "\n", whole])  # the first half is valid by itself
    monkeypatch.setattr(
        "server.reload.policies.time.sleep", lambda _: (folder / "kids.yaml").write_text(next(parts, whole))
    )
    assert _reload(served).outcome == "loaded"
    assert _filtered(served.current()) == ["genre:horror", "genre:comedy"]
    assert len(heard.events) == 1


def test_a_folder_that_never_rests_is_refused(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, _ = _serving(engine, folder)
    count = iter(range(1000))
    monkeypatch.setattr(
        "server.reload.policies.time.sleep", lambda _: (folder / "kids.yaml").write_text(f"{COMEDY}#{next(count)}")
    )
    result = _reload(served)
    assert result.outcome == "refused"
    assert "does not come to rest" in str(result.error)


@pytest.fixture
def watched(engine: Engine) -> Iterator[Callable[..., Served]]:
    """Watch a folder on an event loop of its own until the test ends."""
    stops: list[Callable[[], None]] = []

    def begin(folder: Path, poll_seconds: float = QUICK) -> Served:
        started: list[Served] = []
        ready = threading.Event()

        async def run() -> None:
            served, heard = _serving(engine, folder)
            task = asyncio.ensure_future(watch_policies(served, folder, poll_seconds, heard))
            loop = asyncio.get_running_loop()
            stops.append(lambda: loop.call_soon_threadsafe(task.cancel))
            started.append(served)
            ready.set()
            await asyncio.wait([task])

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        assert ready.wait(10)
        stops.append(thread.join)
        return started[0]

    yield begin
    for stop in stops:
        stop()


def _until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def _mount(base: Path, version: str, text: str) -> None:
    """Write ``base`` as Kubernetes' atomic writer does: a dated folder, ``..data`` to it, swapped by a rename."""
    (base / version).mkdir(parents=True)
    (base / version / "kids.yaml").write_text(text)
    (base / "..data_tmp").symlink_to(version)
    (base / "..data_tmp").replace(base / "..data")
    if not (base / "kids.yaml").is_symlink():
        (base / "kids.yaml").symlink_to("..data/kids.yaml")


@pytest.mark.parametrize("poll_seconds", [QUICK, 60.0], ids=["by looking", "by being told"])
def test_the_swap_of_a_kubernetes_mount_is_seen(
    watched: Callable[..., Served], tmp_path: Path, poll_seconds: float
) -> None:
    mount = tmp_path / "mount"
    _mount(mount, "..2026_11_21_08_00", HORROR)
    served = watched(mount, poll_seconds)
    time.sleep(0.3)  # until the system watches
    for version, text, concept in (("..2", COMEDY, "genre:comedy"), ("..3", HORROR, "genre:horror")):
        _mount(mount, version, text)
        _until(lambda concept=concept: _filtered(served.current()) == [concept])  # type: ignore[misc]
    assert served.status.loads == 2
    assert served.status.refusals == 0


def test_a_link_to_another_folder_is_seen(watched: Callable[..., Served], tmp_path: Path) -> None:
    for name, text in (("a", HORROR), ("b", COMEDY)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kids.yaml").write_text(text)
    link = tmp_path / "current"
    link.symlink_to("a")
    served = watched(link)
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").replace(link)
    _until(lambda: _filtered(served.current()) == ["genre:comedy"])
    (tmp_path / "b" / "kids.yaml").write_text(HORROR)  # and the new folder is watched as well
    _until(lambda: _filtered(served.current()) == ["genre:horror"])


def test_a_folder_that_goes_and_comes_is_seen(watched: Callable[..., Served], folder: Path) -> None:
    served = watched(folder)
    shutil.rmtree(folder)
    _until(lambda: served.status.error is not None)
    folder.mkdir()
    (folder / "kids.yaml").write_text(COMEDY)
    _until(lambda: _filtered(served.current()) == ["genre:comedy"])
    assert served.status.error is None


def test_a_folder_that_the_system_does_not_watch_is_still_looked_at(
    watched: Callable[..., Served], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device (inotify watches)")

    monkeypatch.setattr("server.reload.watch.awatch", no_more)
    served = watched(folder)
    (folder / "kids.yaml").write_text(COMEDY)
    _until(lambda: _filtered(served.current()) == ["genre:comedy"])


def test_a_fault_of_ours_is_told_and_ends_nothing(
    watched: Callable[..., Served], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    served = watched(folder)
    with monkeypatch.context() as patched:
        patched.setattr("server.reload.policies.compile_files", broken)
        (folder / "kids.yaml").write_text(COMEDY)
        _until(lambda: served.status.error is not None)
    assert "cannot be compiled: found RuntimeError: a bug" in str(served.status.error)
    assert _filtered(served.current()) == ["genre:horror"]
    (folder / "kids.yaml").write_text(COMEDY + "# again")
    _until(lambda: _filtered(served.current()) == ["genre:comedy"])


def _ask(server: Live, **request: object) -> RecommendResponse:
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        given = {"user_id": "u3", "k": 10, **request}
        return RecommendServiceStub(channel).Recommend(RecommendRequest(**given), timeout=30)


def test_a_running_server_takes_the_change_and_tells_the_metrics(bundle: Bundle, folder: Path) -> None:
    with live(bundle.path, policies=folder, policy_poll_seconds=QUICK) as server:
        first = _ask(server).policy_revision
        started = server.metrics()["tiller_policies_loaded_timestamp_seconds"]
        (folder / "kids.yaml").write_text(COMEDY)
        _until(lambda: _ask(server).policy_revision != first)
        answer, metrics = _ask(server), server.metrics()
        assert [rule.rule.concept for rule in answer.rules] == ["genre:comedy"]
        assert metrics[f'tiller_policy_info{{revision="{answer.policy_revision}"}}'] == 1
        assert f'tiller_policy_info{{revision="{first}"}}' not in metrics
        assert metrics["tiller_policies_loaded_timestamp_seconds"] > started
        assert metrics['tiller_policy_reloads_total{result="loaded"}'] == 1
        (folder / "kids.yaml").write_text(BAD)
        _until(lambda: server.metrics()["tiller_policies_stale"] == 1)
        assert _ask(server).policy_revision == answer.policy_revision
        metrics = server.metrics()
        assert metrics['tiller_policy_reloads_total{result="refused"}'] == 1
        assert time.time() - metrics["tiller_policies_checked_timestamp_seconds"] < 5
    events = [line for line in server.lines() if line["event"].startswith("policies ")]
    assert [line["event"] for line in events] == ["policies loaded", "policies refused"]
    assert (events[0]["previous"], events[0]["revision"]) == (first, answer.policy_revision)
    assert "kids.yaml:4" in events[1]["message"]


def test_a_hangup_reloads_where_watching_is_switched_off(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    with process(
        "--bundle", bundle.path, "--policies", folder, "--policy-poll-seconds", 0, "--port", 0, "--metrics-port", 0,
        "--port-file", port_file,
    ) as child:  # fmt: skip
        where = wait_for_addresses(port_file, child)
        (folder / "kids.yaml").write_text(COMEDY)
        info = f'tiller_policy_info{{revision="{load_policies(folder).revision}"}}'
        time.sleep(0.5)
        assert info not in scrape(where["metrics"])
        child.send_signal(signal.SIGHUP)
        _until(lambda: info in scrape(where["metrics"]))
        (folder / "kids.yaml").unlink()  # by hand even the last policy goes
        child.send_signal(signal.SIGHUP)
        _until(lambda: 'tiller_policy_info{revision="e3b0c44298fc"}' in scrape(where["metrics"]))
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == 0


def test_not_one_forbidden_item_while_policies_change_under_load(bundle: Bundle, world: World, folder: Path) -> None:
    """Two revisions swap, one of them with a bad file between; horror is filtered in both, comedy in one."""
    ids = world.contents.items["item_id"].to_pylist()
    labelled = {name: {ids[n] for n in world.labels[c].nonzero()[0]} for c, name in enumerate(("horror", "comedy"))}
    both = HORROR + COMEDY.removeprefix("policies:\n").replace("kids", "more")
    revisions: dict[str, set[str]] = {}
    for text, concepts in ((HORROR, ("horror",)), (both, ("horror", "comedy"))):
        (folder / "kids.yaml").write_text(text)
        revisions[load_policies(folder).revision] = set().union(*(labelled[name] for name in concepts))
    done = threading.Event()
    seen: set[str] = set()
    returned = 0

    def ask(server: Live, user: int) -> int:
        nonlocal returned
        forbidden = items = 0
        with grpc.insecure_channel(server.addresses.grpc) as channel:
            stub = RecommendServiceStub(channel)
            while not done.is_set():
                answer = stub.Recommend(RecommendRequest(user_id=f"u{user}", k=60), timeout=30)
                seen.add(answer.policy_revision)
                items += len(answer.items)
                forbidden += sum(item.item_id in revisions[answer.policy_revision] for item in answer.items)
        returned += items
        return forbidden

    with (
        live(bundle.path, policies=folder, policy_poll_seconds=QUICK, share_sample=0.0, max_wait_ms=0.0) as server,
        ThreadPoolExecutor(4) as pool,
    ):
        asking = [pool.submit(ask, server, user) for user in range(4)]
        swaps = [HORROR, BAD, both, HORROR, both, BAD, HORROR, both]
        for text in swaps:
            temporary = folder / ".kids.yaml"
            temporary.write_text(text)
            temporary.replace(folder / "kids.yaml")
            time.sleep(0.3)
        done.set()
        assert [call.result() for call in asking] == [0, 0, 0, 0]
        assert server.metrics()['tiller_policy_reloads_total{result="loaded"}'] >= 3
    assert seen == set(revisions)
    assert returned > 10_000
