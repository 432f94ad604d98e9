"""Several real worker processes under one supervisor: one port, one page of metrics, a crash that nobody notices."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from client import TillerClient
from client.admin import TillerAdmin
from server.settings import Settings
from server.telemetry import Telemetry
from server.telemetry.workers import merged
from server.workers import count
from tests.live import process, scrape, wait_for_addresses
from tests.world import make_world, write_world

RECOMMENDED = 'tiller_requests_total{code="OK",method="Recommend"}'
POLICY = "policies:\n  - {{name: {name}, owner: x, rules: [{{action: demote, concept: {concept}}}]}}\n"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(make_world(), tmp_path_factory.mktemp("workers") / "bundle").path


@dataclass
class Running:
    """A supervisor and where it serves."""

    child: subprocess.Popen[str]
    addresses: dict[str, Any]

    def workers(self) -> list[int]:
        """Process ids of the workers: the supervisor's children that serve."""
        found = []
        for pid in map(int, Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()):
            with_command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"spawn_main" in with_command:
                found.append(pid)
        return found

    def until(self, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """The metrics, once they hold something."""
        for _ in range(1500):
            metrics = scrape(self.addresses["metrics"])
            if holds(metrics):
                return metrics
            time.sleep(0.02)
        raise AssertionError(metrics)

    def ask(self, count: int) -> list[int]:
        """So many calls, each over a connection of its own."""
        sizes = []
        for _ in range(count):
            with TillerClient(self.addresses["grpc"]) as client:
                sizes.append(len(client.recommend(user_id="u1", k=3).items))
        return sizes


@contextmanager
def supervised(bundle: Path, folder: Path, *options: object) -> Iterator[Running]:
    port_file = folder / "ports.json"
    where = ("--host", "127.0.0.1", "--port", 0, "--metrics-port", 0, "--port-file", port_file, "--drain-seconds", 5)
    with process("--bundle", bundle, "--workers", 2, *where, *options) as child:
        yield Running(child, wait_for_addresses(port_file, child))


@pytest.fixture(scope="module")
def running(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers with policies and an admin service, for the tests that leave them as they are."""
    folder = tmp_path_factory.mktemp("supervised")
    (folder / "policies").mkdir()
    (folder / "policies" / "one.yaml").write_text(POLICY.format(name="one", concept="latent:1"))
    options = ("--policies", folder / "policies", "--policy-poll-seconds", 0, "--admin-port", 0,
               "--decision-log", folder / "decisions.jsonl", "--decision-sample", 1)  # fmt: skip
    with supervised(bundle, folder, *options) as server:
        yield server
        server.child.send_signal(signal.SIGTERM)
        _, errors = server.child.communicate(timeout=30)
        assert server.child.returncode == 0, errors
        assert not (folder / "ports.json").exists()
        assert all((folder / f"decisions.{number}.jsonl").read_text() for number in (0, 1))


def test_two_processes_answer_on_one_port_and_one_page_counts_all(running: Running) -> None:
    assert len(running.workers()) == 2
    assert running.addresses["pid"] == running.child.pid
    before = scrape(running.addresses["metrics"]).get(RECOMMENDED, 0)
    assert running.ask(24) == [3] * 24  # one chance in eight million that one worker gets all connections
    metrics = running.until(lambda found: found[RECOMMENDED] == before + 24)
    assert metrics["tiller_workers"] == 2
    assert metrics["tiller_in_flight"] == 0
    bundle_id = running.addresses["bundle_id"]
    (info,) = [
        value for name, value in metrics.items() if name.startswith(f'tiller_bundle_info{{bundle_id="{bundle_id}"')
    ]
    assert info == 1
    one = int(Path(f"/proc/{running.workers()[0]}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert metrics["process_resident_memory_bytes"] > 1.5 * one
    assert metrics["process_cpu_seconds_total"] > 0


def test_the_bundles_arrays_are_the_files_themselves(running: Running, bundle: Path) -> None:
    """What is mapped is in memory once, however many workers read it."""
    for pid in running.workers():
        maps = Path(f"/proc/{pid}/maps").read_text()
        for name in ("index.faiss", "item_vectors.npy", "concept_gains.npy"):
            assert str(bundle / name) in maps, name


def test_the_page_has_what_one_process_has(running: Running) -> None:
    """Every family by the same name and type, the samples aside that nobody has counted yet."""
    alone = {family.name: family.type for family in Telemetry().registry.collect()}
    texts = [line.split() for line in _page(running.addresses["metrics"]) if line.startswith("# TYPE")]
    together = {name.removesuffix("_total"): kind for _, _, name, kind in texts}
    assert {name: kind for name, kind in together.items() if name in alone} == together
    assert {"tiller_requests", "tiller_request_seconds", "tiller_workers", "process_open_fds"} <= set(together)


def test_what_the_admin_service_loads_all_load(running: Running, tmp_path: Path) -> None:
    with TillerAdmin(running.addresses["admin"]) as admin:
        folder = Path(admin.status().policy_folder)
        (folder / "one.yaml").write_text(POLICY.format(name="two", concept="latent:2"))
        revision = admin.reload().policy_revision
        running.until(lambda found: found['tiller_policy_reloads_total{result="loaded"}'] == 2)
        told = set()
        for _ in range(24):
            with TillerClient(running.addresses["grpc"]) as client:
                told.add(client.recommend(user_id="u1", k=3).policy_revision)
        assert told == {revision}
        refused = admin.rollback_bundle()
    assert refused.outcome == "refused"
    assert refused.error.startswith("this server has several workers: found a rollback of one of them.")


def test_a_killed_worker_is_unnoticed_by_clients_that_retry(bundle: Path, tmp_path: Path) -> None:
    """Three threads call without pause; twice one of the two workers is killed, and comes back."""
    with supervised(bundle, tmp_path, "--max-wait-ms", 0) as running:  # while one is away, the other has a queue
        stop, answered, failures = threading.Event(), [0, 0, 0], []

        def call(number: int) -> None:
            with TillerClient(running.addresses["grpc"], timeout=20) as client:
                while not stop.is_set():
                    try:
                        assert len(client.recommend(user_id="u1", k=3).items) == 3
                        answered[number] += 1
                    except Exception as error:
                        failures.append(error)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        counted = 0.0
        for killed in range(1, 3):
            before = running.until(lambda found, least=counted: found.get(RECOMMENDED, 0) > least)[RECOMMENDED]
            os.kill(running.workers()[killed % 2], signal.SIGKILL)
            running.until(
                lambda found, killed=killed: (
                    found["tiller_worker_restarts_total"] == killed and found["tiller_workers"] == 2
                )
            )
            counted = scrape(running.addresses["metrics"])[RECOMMENDED]
            assert counted >= before  # what a worker counted is not lost with it
        so_far = list(answered)
        while not all(now > then for now, then in zip(answered, so_far, strict=True)):
            time.sleep(0.01)
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        running.child.send_signal(signal.SIGINT)
        log, _ = running.child.communicate(timeout=30)
    ended = [json.loads(line) for line in log.splitlines() if '"worker ended"' in line]
    assert [line["code"] for line in ended] == [-9] * 2
    assert running.child.returncode == 0


def test_workers_end_when_their_supervisor_is_killed(bundle: Path, tmp_path: Path) -> None:
    with supervised(bundle, tmp_path) as running:
        workers = running.workers()
        running.child.kill()
        while any(_lives(pid) for pid in workers):
            time.sleep(0.02)


def test_what_a_worker_refuses_is_said_once(tmp_path: Path) -> None:
    with process("--bundle", tmp_path / "none", "--workers", 2, "--port", 0, "--metrics-port", 0) as child:
        log, errors = child.communicate(timeout=60)
    assert child.returncode == 2
    assert errors == f"error: no bundle at {tmp_path / 'none'}. Make one: python -m offline.train_sae --help\n"
    assert log == ""


def test_a_port_on_which_somebody_listens_is_refused(bundle: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        port = taken.getsockname()[1]
        with process("--bundle", bundle, "--workers", 2, "--port", port, "--metrics-port", 0) as child:
            _, errors = child.communicate(timeout=60)
    assert child.returncode == 2
    assert errors == (
        f"error: cannot listen on 127.0.0.1:{port}: found Address already in use. Is another server running? Choose "
        "another --port, or 0 for a free one.\n"
    )


def test_what_would_be_one_workers_alone_is_refused_at_the_start(bundle: Path, tmp_path: Path) -> None:
    with process("--bundle", bundle, "--workers", 2, "--bundles-root", tmp_path) as child:
        _, errors = child.communicate(timeout=60)
    assert child.returncode == 2
    assert "--bundles-root: given with --workers, expected: one of them." in errors


def test_auto_is_one_worker_per_core(bundle: Path) -> None:
    assert count(Settings(bundle=bundle, workers="auto")) == len(os.sched_getaffinity(0))
    assert count(Settings(bundle=bundle)) == 1


def test_process_metrics_are_of_all_workers(tmp_path: Path) -> None:
    def of(*pids: int) -> dict[str, float]:
        registry: CollectorRegistry = merged(tmp_path, lambda: pids)
        return {sample.name: sample.value for metric in registry.collect() for sample in metric.samples}

    once, twice = of(os.getpid()), of(os.getpid(), os.getpid())
    assert twice["process_resident_memory_bytes"] == pytest.approx(2 * once["process_resident_memory_bytes"], rel=0.1)
    assert twice["process_start_time_seconds"] == once["process_start_time_seconds"]
    assert twice["process_max_fds"] == once["process_max_fds"]
    assert of() == {}


def _page(url: str) -> list[str]:
    from urllib.request import urlopen

    with urlopen(url, timeout=10) as answer:
        return answer.read().decode().splitlines()  # type: ignore[no-any-return]


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
