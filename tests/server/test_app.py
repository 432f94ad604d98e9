"""The server as a process: starts, says where, refuses cleanly, drains and exits 0."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import faiss
import grpc
import pytest

from bundle import Bundle
from protos.steering.v1.concepts_pb2 import ListConceptsRequest
from protos.steering.v1.concepts_pb2_grpc import ConceptServiceStub
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from tests.live import ROOT, live, process, scrape, wait_for_addresses
from tests.world import make_world, write_world


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("app") / "planted")


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *map(str, arguments)], cwd=ROOT, text=True, capture_output=True, check=False
    )


def _loopback(port_file: Path) -> list[object]:
    return ["--port", 0, "--metrics-port", 0, "--port-file", port_file]


def test_serves_says_where_and_stops_cleanly(bundle: Bundle, tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    with process("--bundle", bundle.path, *_loopback(port_file)) as child:
        where = wait_for_addresses(port_file, child)
        with grpc.insecure_channel(where["grpc"]) as channel:
            response = RecommendServiceStub(channel).Recommend(RecommendRequest(user_id="u1", k=3), timeout=30)
        assert len(response.items) == 3
        assert scrape(where["metrics"])['tiller_requests_total{code="OK",method="Recommend"}'] == 1
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0
    assert where["pid"] == child.pid
    assert (where["bundle_id"], where["policy_revision"]) == (bundle.manifest.bundle_id, "none")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["serving", "draining", "stopped"]
    assert {key: lines[0][key] for key in where} == where
    assert err == (f"tiller serves {bundle.path} on {where['grpc']}, metrics on {where['metrics']}. Ctrl-C stops it.\n")
    assert not port_file.exists()


def test_sigterm_lets_calls_in_flight_finish(tmp_path: Path) -> None:
    # Forty searches through the titles of every latent: they wait for each other on one thread, a second or so in all.
    bundle = write_world(make_world(items=3000, latents=512), tmp_path / "planted")
    search = ListConceptsRequest(family="latent", page_size=512)
    port_file = tmp_path / "ports.json"
    with process("--bundle", bundle.path, "--drain-seconds", 60, *_loopback(port_file)) as child:
        where = wait_for_addresses(port_file, child)
        with grpc.insecure_channel(where["grpc"]) as channel:
            calls = [ConceptServiceStub(channel).ListConcepts.future(search, timeout=120) for _ in range(40)]
            finished = 'tiller_requests_total{code="OK",method="ListConcepts"}'
            while (metrics := scrape(where["metrics"]))["tiller_in_flight"] + metrics.get(finished, 0) < 40:
                time.sleep(0.005)
            in_flight = metrics["tiller_in_flight"]
            child.send_signal(signal.SIGTERM)
            assert [len(call.result().concepts) for call in calls] == [512] * 40
        out, _ = child.communicate(timeout=60)
    assert in_flight > 0
    assert child.returncode == 0
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["serving", "draining", "stopped"]


def test_sigterm_lets_calls_that_wait_for_their_turn_finish(tmp_path: Path) -> None:
    # Explaining two thousand items keeps the event loop busy; what comes meanwhile lies unread in the queue.
    bundle = write_world(make_world(items=2000), tmp_path / "planted")
    request = RecommendRequest(user_id="u1", k=2000, explain=True)
    port_file = tmp_path / "ports.json"
    with process(
        "--bundle", bundle.path, "--max-k", 2000, "--max-wait-ms", 0, "--drain-seconds", 60, *_loopback(port_file)
    ) as child:
        where = wait_for_addresses(port_file, child)
        with grpc.insecure_channel(where["grpc"]) as channel:
            calls = [RecommendServiceStub(channel).Recommend.future(request, timeout=120) for _ in range(30)]
            calls[0].result()
            child.send_signal(signal.SIGTERM)
            assert [len(call.result().items) for call in calls] == [2000] * 30
        assert child.wait(timeout=60) == 0


def test_a_log_reader_that_goes_away_costs_no_call_and_no_clean_exit(bundle: Bundle, tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    with process("--bundle", bundle.path, "--log-level", "debug", *_loopback(port_file)) as child:
        where = wait_for_addresses(port_file, child)
        assert child.stdout is not None
        child.stdout.close()
        with grpc.insecure_channel(where["grpc"]) as channel:
            for _ in range(3):
                RecommendServiceStub(channel).Recommend(RecommendRequest(user_id="u1", k=3), timeout=30)
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == 0
        child.stdout = None  # closed above; nothing is left to read


def test_a_missing_bundle_is_one_sentence() -> None:
    done = _run("--bundle", "no/such/folder", "--port", 0)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no bundle at no/such/folder. Make one: python -m offline.train_sae --help\n"


def test_a_corrupt_bundle_is_one_sentence(tmp_path: Path) -> None:
    bundle = write_world(make_world(items=60), tmp_path / "planted")
    file = bundle.path / "index.faiss"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    expected = bundle.manifest.files["index.faiss"].sha256[:12]
    done = _run("--bundle", bundle.path, "--port", 0)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {file}: sha256: found ")
    assert done.stderr.endswith(
        f"..., expected {expected}... The file was changed after export. Copy or export the bundle again.\n"
    )


def test_a_bad_policy_file_stops_the_start_with_every_fault(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kids.yaml").write_text(
        "policies:\n  - name: kids\n    owner: safety\n    prioritty: 3\n    rules:\n"
        '      - {action: filtre, concept: "genre:horror"}\n'
    )
    done = _run("--bundle", bundle.path, "--policies", tmp_path, "--port", 0)
    assert (done.returncode, done.stdout) == (2, "")
    first, *faults = done.stderr.splitlines()
    assert first == f"error: {tmp_path}: 2 problems, no policy was loaded."
    assert [fault.strip().split(": ")[0] for fault in faults] == ["kids.yaml:4", "kids.yaml:6"]


def test_a_policy_on_a_concept_that_the_bundle_lacks_is_warned_about(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "kids.yaml").write_text(
        'policies:\n  - name: kids\n    owner: safety\n    rules:\n      - {action: filter, concept: "genre:horrror"}\n'
    )
    with live(bundle.path, policies=tmp_path) as server:
        assert server.addresses.policy_revision != "none"
    warning = server.lines()[0]
    assert (warning["event"], warning["level"]) == ("policy", "warning")
    assert (warning["file"], warning["line"], warning["policy"]) == ("kids.yaml", 5, "kids")
    assert "genre:horror" in warning["message"]


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        ("--port", "cannot listen on 127.0.0.1:{port}. Is another server running? Choose another --port, or 0 for a "
                   "free one."),
        ("--metrics-port", "cannot serve /metrics on 127.0.0.1:{port}: found Address already in use. Is another server "
                           "running? Choose another --metrics-port, or 0 for a free one."),
    ],
)  # fmt: skip
def test_a_taken_port_is_one_sentence(bundle: Bundle, flag: str, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = {"--port": 0, "--metrics-port": 0, flag: port}
        done = _run("--bundle", bundle.path, *(part for pair in arguments.items() for part in pair))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"error: {sentence.format(port=port)}"
    assert "Traceback" not in done.stderr


def test_a_second_server_cannot_take_half_of_the_calls(bundle: Bundle) -> None:
    with live(bundle.path) as server:
        port = server.addresses.grpc.rpartition(":")[2]
        done = _run("--bundle", bundle.path, "--port", port, "--metrics-port", 0)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}." in done.stderr


def test_processes_share_a_port_where_they_are_told_to(bundle: Bundle, tmp_path: Path) -> None:
    with live(bundle.path, reuse_port=True) as server:
        port = server.addresses.grpc.rpartition(":")[2]
        port_file = tmp_path / "ports.json"
        with process("--bundle", bundle.path, "--reuse-port", *_loopback(port_file), "--port", port) as child:
            assert wait_for_addresses(port_file, child)["grpc"] == server.addresses.grpc
            child.send_signal(signal.SIGTERM)
            assert child.wait(timeout=60) == 0


def test_settings_faults_exit_2_without_a_traceback() -> None:
    done = _run("--prot", 3)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: 2 settings are wrong:\n")
    assert "Traceback" not in done.stderr


def test_a_port_file_that_cannot_be_written_is_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    missing = tmp_path / "no" / "ports.json"
    done = _run("--bundle", bundle.path, *_loopback(missing))
    assert done.returncode == 2
    assert done.stderr == f"error: cannot write the port file {missing}: found No such file or directory.\n"


def test_serving_pins_faiss_to_one_thread(bundle: Bundle) -> None:
    # OpenMP keeps the number per thread, so what counts is the thread that searches.
    with live(bundle.path) as server:
        assert server.on_loop(faiss.omp_get_max_threads) == 1


def test_the_process_pins_blas_before_numpy_is_imported() -> None:
    code = "import os, server.__main__ as m; print(os.environ['OMP_NUM_THREADS'], os.environ['OPENBLAS_NUM_THREADS'])"
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, text=True, capture_output=True, check=True)
    assert done.stdout == "1 1\n"
