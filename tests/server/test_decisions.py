"""The decision log: what a line says, that it never waits, rotation, and that a stop loses nothing."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from bundle import Bundle
from bundle.errors import TillerError
from protos.steering.v1.recommend_pb2 import RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from protos.steering.v1.rules_pb2 import Rule as RuleMessage
from server.app import running
from server.decisions import BATCH, KEPT, DecisionLog, decision
from server.logs import make_logger
from server.settings import Settings
from server.subject import Examples, Items, Mixture
from server.types import Action, Answer, Considered, Effect, Query, Ranking, Rule, Status
from tests.live import LOOPBACK, live, scrape
from tests.world import make_world, write_world

EMPTY = Ranking(np.zeros(3, np.int64), np.zeros(3, np.float32))
ANSWER = Answer(
    EMPTY,
    (
        Effect(Considered(Rule(Action.FILTER, "genre:horror", 1.0, source="policy:kids"), Status.APPLIED)),
        Effect(
            Considered(Rule(Action.DEMOTE, "genre:drama", 0.4), Status.APPLIED), dose=-1.23456789, share_before=1 / 3,
            share_after=0.0,
        ),
        Effect(Considered(Rule(Action.PROMOTE, "latent:3", 0.5, shadow=True), Status.SHADOW, "would apply")),
    ),
    "b1", "r1", {"search": 0.000123456}, overlap=2 / 3, eligible=3,
)  # fmt: skip
QUERY = Query(k=10, user_id="somebody", attributes={"surface": "kids"})


class Fates:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, fate: str) -> None:
        self.counts[fate] += 1


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_what_fired_and_what_it_did_and_names_nobody() -> None:
    said = decision(1795249927.4816, "q7", QUERY, ANSWER)
    assert said == {
        "time": "2026-11-21T08:32:07.481Z",
        "request_id": "q7",
        "bundle_id": "b1",
        "policy_revision": "r1",
        "k": 10,
        "returned": 3,
        "ignored_policies": False,
        "overlap": 0.6667,
        "rules": [
            {"source": "policy:kids", "action": "filter", "concept": "genre:horror", "status": "applied"},
            {"source": "request", "action": "demote", "concept": "genre:drama", "status": "applied", "strength": 0.4,
             "dose": -1.23457, "share_before": 0.3333, "share_after": 0.0},
            {"source": "request", "action": "promote", "concept": "latent:3", "status": "shadow", "strength": 0.5,
             "note": "would apply"},
        ],
        "timings_us": {"search": 123.5},
        "eligible": 3,
    }  # fmt: skip
    assert "somebody" not in json.dumps(said)
    assert "kids" not in json.dumps({**said, "rules": []})


def test_examples_and_items_are_counted_and_not_named() -> None:
    """Examples are somebody's history as often as not."""
    subjects = (Examples(("i3", "i17"), ("i4",)), Items(("i3",)), Mixture((("genre:drama", 1.0), ("genre:war", 0.5))))
    rules = [Rule(Action.DEMOTE, str(subject), subject=subject) for subject in subjects]
    effects = tuple(Effect(Considered(rule, Status.APPLIED), dose=-1.0) for rule in rules)
    said = decision(0.0, "q7", QUERY, replace(ANSWER, effects=effects))
    named = ["like (2)", "items (1)", "genre:drama + 0.5 genre:war"]
    assert [rule["concept"] for rule in said["rules"]] == named
    assert "i17" not in json.dumps(said)


def test_everything_recorded_is_there_after_close(tmp_path: Path) -> None:
    fates = Fates()
    log = DecisionLog(tmp_path / "d.jsonl", 1.0, 1 << 26, fates)
    for n in range(2_000):
        log.record(QUERY, ANSWER, f"q{n}")
    log.close()
    assert [line["request_id"] for line in lines(tmp_path / "d.jsonl")] == [f"q{n}" for n in range(2_000)]
    assert fates.counts == {"written": 2_000}


def test_a_later_start_appends(tmp_path: Path) -> None:
    for n in range(2):
        log = DecisionLog(tmp_path / "d.jsonl", 1.0, 1 << 20, Fates())
        log.record(QUERY, ANSWER, f"q{n}")
        log.close()
    assert [line["request_id"] for line in lines(tmp_path / "d.jsonl")] == ["q0", "q1"]


def test_it_rotates_by_size_keeps_five_and_tears_no_line(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    for n in range(12):  # a line is about 600 bytes; each run finds the file full
        log = DecisionLog(path, 1.0, 500, Fates())
        log.record(QUERY, ANSWER, f"q{n}")
        log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["d.jsonl", *(f"d.jsonl.{n}" for n in range(1, KEPT + 1))]
    assert [[line["request_id"] for line in lines(file)] for file in files] == [[f"q{11 - n}"] for n in range(KEPT + 1)]


def test_a_long_run_rotates_while_it_writes(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "d.jsonl", 1.0, 100_000, Fates())
    for n in range(1_000):
        log.record(QUERY, ANSWER, f"q{n}")
    log.close()
    files = sorted(tmp_path.iterdir(), reverse=True)
    assert len(files) > 3
    ids = [line["request_id"] for file in files for line in lines(file)]
    assert ids == [f"q{n}" for n in range(1_000)]
    assert all(file.stat().st_size < 200_000 for file in files)


def test_a_file_that_somebody_moved_away_begins_anew(tmp_path: Path) -> None:
    path, fates = tmp_path / "d.jsonl", Fates()
    log = DecisionLog(path, 1.0, 1 << 20, fates)
    log.record(QUERY, ANSWER, "q0")
    while not fates.counts:
        time.sleep(0.005)
    path.rename(tmp_path / "moved")
    log.record(QUERY, ANSWER, "q1")
    log.close()
    assert [lines(file)[0]["request_id"] for file in (tmp_path / "moved", path)] == ["q0", "q1"]


def test_a_writer_that_hangs_holds_nobody_up_and_what_is_dropped_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, fates = threading.Event(), Fates()
    log = DecisionLog(tmp_path / "d.jsonl", 1.0, 1 << 20, fates, waiting=100)
    append = log._file.append
    monkeypatch.setattr(log._file, "append", lambda batch: (hang.wait(30), append(batch)))
    began = time.perf_counter()
    for n in range(5_000):
        log.record(QUERY, ANSWER, f"q{n}")
    assert time.perf_counter() - began < 2
    assert fates.counts["dropped"] >= 5_000 - 100 - BATCH
    hang.set()
    log.close()
    assert fates.counts["written"] + fates.counts["dropped"] == 5_000
    assert len(lines(tmp_path / "d.jsonl")) == fates.counts["written"] > 0


def test_a_disk_that_refuses_costs_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fates = Fates()
    log = DecisionLog(tmp_path / "d.jsonl", 1.0, 1 << 20, fates)
    current = log._file._current

    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log._file, "_current", full)
    log.record(QUERY, ANSWER, "lost")
    while not fates.counts:
        time.sleep(0.005)
    monkeypatch.setattr(log._file, "_current", current)
    log.record(QUERY, ANSWER, "kept")
    log.close()
    assert fates.counts == {"dropped": 1, "written": 1}
    assert [line["request_id"] for line in lines(tmp_path / "d.jsonl")] == ["kept"]


@pytest.mark.parametrize(("sample", "low", "high"), [(0.0, 0, 0), (0.3, 500, 700), (1.0, 2_000, 2_000)])
def test_a_part_is_wanted(tmp_path: Path, sample: float, low: int, high: int) -> None:
    log = DecisionLog(tmp_path / "d.jsonl", sample, 1 << 20, Fates())
    wanted = sum(log.wanted() for _ in range(2_000))  # 600 +- 20: five standard deviations either way
    log.close()
    assert low <= wanted <= high


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("decisions") / "planted")


def test_a_server_writes_its_decisions_with_overlap_and_timings_and_flushes_at_the_end(
    bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "d.jsonl"
    rule = RuleMessage(action="ACTION_DEMOTE", concept="genre:comedy", strength=1.0)
    with live(bundle.path, decision_log=path, decision_sample=1.0, share_sample=0.0) as server:
        with grpc.insecure_channel(server.addresses.grpc) as channel:
            stub = RecommendServiceStub(channel)
            for n in range(20):
                answer = stub.Recommend(
                    RecommendRequest(user_id=f"u{n % 12}", k=10, rules=[rule], request_id=f"q{n}"), timeout=30
                )
                assert not answer.HasField("overlap")  # computed for the log, not asked for
        while (metrics := scrape(server.addresses.metrics))['tiller_decisions_total{result="written"}'] < 20:
            time.sleep(0.01)
        assert metrics['tiller_decisions_total{result="dropped"}'] == 0
    said = lines(path)
    assert [line["request_id"] for line in said] == [f"q{n}" for n in range(20)]
    for line in said:
        assert 0 <= line["overlap"] <= 1
        assert line["rules"][0]["dose"] < 0
        assert set(line["timings_us"]) == {"decode", "user", "plan", "mask", "search", "edit", "explain", "encode"}
        assert line["bundle_id"] == bundle.manifest.bundle_id


def test_without_the_setting_nothing_is_written(bundle: Bundle) -> None:
    with live(bundle.path) as server:
        assert 'tiller_decisions_total{result="written"}' in server.metrics()
        assert server.metrics()['tiller_decisions_total{result="written"}'] == 0


def test_a_file_that_cannot_be_written_stops_the_start_with_one_sentence(bundle: Bundle, tmp_path: Path) -> None:
    missing = tmp_path / "no" / "d.jsonl"
    settings = Settings(bundle=bundle.path, decision_log=missing, **LOOPBACK)

    async def start() -> None:
        async with running(settings, make_logger(io.StringIO(), "info")):
            raise AssertionError("it started")

    with pytest.raises(TillerError) as refused:
        asyncio.run(start())
    assert str(refused.value) == (
        f"cannot write the decision log {missing}: found No such file or directory. "
        "Make its folder, or name another file: --decision-log PATH."
    )
