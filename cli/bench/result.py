"""bench.json, and what follows from it: ratios within a round, bars, and what changed since then beyond noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bundle.errors import DataError
from cli.bench.workload import BATCH, ECHO, ECHO_BATCH, FAISS, NO_RULE, ONE_RULE

MANY_RULES = ("8 rules", "32 rules")

SMALL = 50_000
"""Items below which the wire and Python are the cost, not the search."""

LARGE = 500_000
"""Items from which the bars of rules, which are stated at 100,000, are not judged."""

DIFFERENT = {"throughput": 1.05, "p50": 1.1, "p99": 1.25}
"""Smaller factors than these are called the same, however steady the rounds."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Model):
    """Where it ran."""

    cores: int
    cpu: str
    python: str
    tiller: str


class Options(_Model):
    """How it was measured. Seconds are per measurement; ``shares``: of a case's own throughput, for latency."""

    k: int
    rounds: int
    seconds: float
    shares: tuple[float, ...]
    latency_rounds: int
    latency_seconds: float
    batch: int
    in_flight: int
    workers: int


class Latency(_Model):
    """Open loop at ``rate`` calls a second: milliseconds, one figure per round. Of a round without any: overloaded."""

    rate: float
    p50: tuple[float, ...]
    p90: tuple[float, ...]
    p99: tuple[float, ...]
    calls: int
    client_late_p99: float
    overloaded: int = 0


class Catalogue(_Model):
    """One bundle. ``throughput``: case -> lists (of FAISS, searches) a second, one figure per round."""

    name: str
    items: int
    bundle_id: str
    throughput: dict[str, tuple[float, ...]]
    latency: dict[str, dict[str, Latency]]
    client_cpu: float
    server_bytes: int | None = None

    def allowed(self, case: str) -> tuple[float, ...]:
        """Lists a second that echo and the bare index together allow, ``1 / (1/echo + 1/FAISS)``, one per round.

        Echo alone where the bare index was not measured.
        """
        echo = self.throughput[ECHO_BATCH if case.startswith("batch") else ECHO]
        faiss = self.throughput.get(FAISS)
        if faiss is None:
            return echo
        return tuple(1 / (1 / one + 1 / other) for one, other in zip(echo, faiss, strict=True))

    def of_allowed(self, case: str) -> float:
        """Median over the rounds of the case's throughput over what is allowed."""
        return _median_ratio(self.throughput[case], self.allowed(case))

    def cost(self, case: str) -> float:
        """Median over the rounds of a list's time over that of one without a rule, in calls of the same kind."""
        return _median_ratio(self.throughput[BATCH if case.startswith("batch") else NO_RULE], self.throughput[case])


class Result(_Model):
    """A whole run."""

    kind: Literal["tiller.bench"] = "tiller.bench"
    format: Literal[1] = 1
    made: str
    machine: Machine
    options: Options
    catalogues: tuple[Catalogue, ...]


@dataclass(frozen=True)
class Bar:
    """A promise of docs/benchmarks.md, and what was found. ``least``: the bound is the least, else the most."""

    catalogue: str
    what: str
    found: float
    bound: float
    least: bool

    @property
    def met(self) -> bool:
        """Whether it was kept."""
        return self.found >= self.bound if self.least else self.found <= self.bound


@dataclass(frozen=True)
class Change:
    """A figure of two runs, in the unit of what this machine allowed in each. ``factor``: above 1, it became worse."""

    catalogue: str
    case: str
    figure: str
    factor: float
    verdict: Literal["worse", "better", "same"]


def bars(result: Result) -> list[Bar]:
    """Every bar that applies to the catalogues of a run."""
    found = []
    for one in result.catalogues:
        if FAISS in one.throughput:
            bound = 0.6 if one.items < SMALL else 0.85
            found.append(Bar(one.name, "no rule, of what echo + FAISS allow", one.of_allowed(NO_RULE), bound, True))
        if SMALL <= one.items < LARGE:
            found += [Bar(one.name, f"{case} / no rule", one.cost(case), 1.1, False) for case in ONE_RULE]
            found += [Bar(one.name, f"{case} / no rule", one.cost(case), 1.5, False) for case in MANY_RULES]
    return found


def compare(now: Result, before: Result) -> list[Change]:
    """What both runs measured, this one's figures against the earlier ones.

    Throughput is taken as part of what echo and the bare index allow in the same round, latency in units of the time
    that those two take: a machine that is slower today is no regression. A change is one beyond noise where *every*
    round of one run lies beyond every round of the other (of five rounds against five, one chance in 252) and the
    medians differ by the factor of ``DIFFERENT``.
    """
    old = {one.name: one for one in before.catalogues}
    changes = []
    for one in now.catalogues:
        if one.name in old:
            changes += [
                Change(one.name, case, figure, *_judge(new, then, DIFFERENT[figure]))
                for case, figure, new, then in _pairs(one, old[one.name])
            ]
    return changes


def read_result(path: Path) -> Result:
    """An earlier run.

    Raises:
        DataError: the file cannot be read, or is no bench.json of this format.
    """
    hint = "Give the bench.json of an earlier tiller bench."
    try:
        return Result.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}", found=error.strerror, hint=hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{path}: {place}", found=first["msg"], expected="a result of tiller bench", hint=hint
        ) from error


def _median_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    return median(a / b for a, b in zip(one, other, strict=True))


def _pairs(now: Catalogue, then: Catalogue) -> Iterator[tuple[str, str, list[float], list[float]]]:
    """Case, figure, and its rounds in both runs as costs: higher is worse."""
    for case in now.throughput:
        if case in {ECHO, ECHO_BATCH, FAISS} or case not in then.throughput:
            continue
        yield case, "throughput", _list_times(now, case), _list_times(then, case)
        for share, latency in now.latency.get(case, {}).items():
            other = then.latency.get(case, {}).get(share)
            if other is None or not latency.p50 or not other.p50:
                continue
            mine, theirs = median(now.allowed(case)), median(then.allowed(case))
            for figure in ("p50", "p99"):
                new = [ms * mine for ms in getattr(latency, figure)]
                old = [ms * theirs for ms in getattr(other, figure)]
                yield f"{case}, at {float(share):.0%}", figure, new, old


def _list_times(one: Catalogue, case: str) -> list[float]:
    """Of a list, in units of what echo and the bare index take, one per round."""
    return [bound / rate for bound, rate in zip(one.allowed(case), one.throughput[case], strict=True)]


def _judge(
    new: Sequence[float], old: Sequence[float], least: float
) -> tuple[float, Literal["worse", "better", "same"]]:
    factor = median(new) / median(old)
    if factor > least and min(new) > max(old):
        return factor, "worse"
    if factor < 1 / least and max(new) < min(old):
        return factor, "better"
    return factor, "same"
