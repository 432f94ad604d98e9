"""Ratios, bars and comparisons, worked out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.errors import DataError
from cli.bench.result import Catalogue, Latency, Machine, Options, Result, bars, compare, read_result
from cli.bench.workload import BATCH, ECHO, ECHO_BATCH, FAISS, NO_RULE

OPTIONS = Options(
    k=10, rounds=3, seconds=1, shares=(0.5,), latency_rounds=3, latency_seconds=1, batch=32, in_flight=32, workers=1
)


def catalogue(items: int = 100_000, *, speed: float = 1.0, slowed: float = 1.0) -> Catalogue:
    """Echo 3,000 and FAISS 1,500 lists a second allow 1,000; ``slowed`` divides what rules reach."""
    rates = {
        ECHO: (3000, 3000, 1500), FAISS: (1500, 1500, 750), NO_RULE: (900, 880, 400), "1 filter": (850, 800, 380),
        "1 demotion": (800, 800, 400), "1 promotion": (500, 600, 300), "8 rules": (640, 640, 320),
        "32 rules": (450, 450, 225), ECHO_BATCH: (6000, 6000, 3000), BATCH: (1100, 1080, 540),
    }  # fmt: skip
    steered = {"8 rules", "32 rules"}
    latency = Latency(rate=100, p50=(2 / speed, 2.1 / speed, 2 / speed), p90=(3, 3, 3), p99=(4 / speed, 5, 6), calls=9,
                      client_late_p99=0.1)  # fmt: skip
    return Catalogue(
        name=f"{items:,} items", items=items, bundle_id="b", client_cpu=0.2, latency={NO_RULE: {"0.5": latency}},
        throughput={case: tuple(speed * rate / (slowed if case in steered else 1) for rate in found)
                    for case, found in rates.items()},
    )  # fmt: skip


def result(*catalogues: Catalogue) -> Result:
    machine = Machine(cores=2, cpu="one", python="3.11", tiller="0")
    return Result(made="2026-01-01", machine=machine, options=OPTIONS, catalogues=catalogues)


def test_ratios_are_taken_within_a_round_and_then_the_median() -> None:
    one = catalogue()
    assert one.allowed(NO_RULE) == pytest.approx((1000, 1000, 500))
    assert one.of_allowed(NO_RULE) == pytest.approx(0.88)  # .9, .88 and .8; of the medians it would be .88 / 1
    assert one.cost("1 promotion") == pytest.approx(880 / 600)  # 1.8, 1.467, 1.333
    assert one.of_allowed(BATCH) == pytest.approx(1080 / 1200)


def test_bars_are_those_of_the_size() -> None:
    judged = {(bar.catalogue, bar.what): bar for bar in bars(result(catalogue(4_000), catalogue(), catalogue(10**6)))}
    small, middle, large = ("4,000 items", "100,000 items", "1,000,000 items")
    wire = "no rule, of what echo + FAISS allow"
    assert [judged[name, wire].bound for name in (small, middle, large)] == [0.6, 0.85, 0.85]
    assert judged[middle, wire].met
    assert {what for name, what in judged if name != middle} == {wire}
    assert judged[middle, "1 demotion / no rule"].met
    assert not judged[middle, "1 promotion / no rule"].met
    assert judged[middle, "8 rules / no rule"].met
    assert not judged[middle, "32 rules / no rule"].met


def test_without_a_bare_index_echo_alone_is_the_bound_and_nothing_is_promised() -> None:
    one = catalogue()
    alone = one.model_copy(
        update={"throughput": {case: rates for case, rates in one.throughput.items() if case != FAISS}}
    )
    assert alone.allowed(NO_RULE) == (3000, 3000, 1500)
    assert "no rule, of what echo + FAISS allow" not in {bar.what for bar in bars(result(alone))}


def test_a_slower_machine_is_no_regression() -> None:
    changes = compare(result(catalogue(speed=0.5)), result(catalogue()))
    assert {change.verdict for change in changes if change.figure != "p99"} == {"same"}
    assert {change.figure for change in changes} == {"throughput", "p50", "p99"}


def test_what_is_worse_in_every_round_is_marked_and_the_other_way_round_it_is_better() -> None:
    slow, fast = result(catalogue(slowed=1.2)), result(catalogue())
    worse = {change.case: change.factor for change in compare(slow, fast) if change.verdict == "worse"}
    assert worse == {"8 rules": pytest.approx(1.2), "32 rules": pytest.approx(1.2)}
    assert {change.case for change in compare(fast, slow) if change.verdict == "better"} == set(worse)


def test_what_overlaps_is_noise() -> None:
    """Twice as slow in the middle, and one round as fast as before."""
    one = catalogue()
    noisy = dict(one.throughput) | {"8 rules": (320.0, 320.0, 320.0)}
    changes = compare(result(one.model_copy(update={"throughput": noisy})), result(one))
    (change,) = (change for change in changes if change.case == "8 rules")
    assert change.factor == pytest.approx(2)
    assert change.verdict == "same"


def test_other_catalogues_are_not_compared() -> None:
    assert compare(result(catalogue(4_000)), result(catalogue())) == []


def test_a_result_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(result(catalogue()).model_dump_json())
    assert read_result(tmp_path / "bench.json") == result(catalogue())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read {}: found No such file or directory. Give the bench.json of an earlier tiller bench."),
        ("{", "{}: the file: found Invalid JSON: EOF while parsing an object at line 1 column 1, expected a result of "
              "tiller bench. Give the bench.json of an earlier tiller bench."),
        ('{"kind": "other"}', "{}: kind: found Input should be 'tiller.bench', expected a result of tiller bench. Give "
                              "the bench.json of an earlier tiller bench."),
    ],
)  # fmt: skip
def test_what_is_no_result_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "earlier.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(DataError) as refused:
        read_result(file)
    assert str(refused.value) == message.replace("{}", str(file))
