"""One scrape of /metrics, and what happened between two of them: the sums that a Prometheus would make of them.

A scrape is its samples; a ``Window`` is two scrapes of the same servers, or one, which then stands for all since the
start.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPException
from math import inf, nan

from prometheus_client.parser import text_string_to_metric_families

SECONDS = 2.0
"""A server may take for its answer."""

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Scrape:
    """The samples of one moment: (series, labels) -> value. ``at``: Unix seconds."""

    at: float
    samples: dict[Key, float] = field(default_factory=dict)

    def select(self, series: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """The samples of a series that have these labels."""
        found = []
        for (name, given), value in self.samples.items():
            if name == series and set(labels.items()) <= set(given):
                found.append((dict(given), value))
        return found

    def one(self, series: str, **labels: str) -> float | None:
        """The only sample; None where there is none."""
        found = self.select(series, **labels)
        return found[0][1] if found else None


class Away(Exception):
    """Nobody answers, or not with metrics; the message is one short sentence."""


def fetch(address: str) -> Scrape:
    """Scrape ``HOST:PORT`` or a URL.

    Raises:
        Away: with the reason.
    """
    url = address if "://" in address else f"http://{address}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as response:
            text = response.read().decode()
        scrape = read(text)
    except urllib.error.HTTPError as error:
        raise Away(f"HTTP {error.code}") from error
    except OSError as error:  # URLError and time-outs are such
        reason = getattr(error, "reason", error)
        raise Away(str(getattr(reason, "strerror", None) or reason).lower()) from error
    except (ValueError, HTTPException) as error:
        raise Away("what answers there has no metrics") from error
    if not scrape.select("tiller_in_flight"):
        raise Away("what answers there is no Tiller server")
    return scrape


def read(text: str) -> Scrape:
    """The exposition format."""
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): float(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return Scrape(time.time(), samples)


def added(scrapes: Iterable[Scrape]) -> Scrape:
    """Several servers as one: their samples added up."""
    given = list(scrapes)
    total: dict[Key, float] = {}
    for scrape in given:
        for key, value in scrape.samples.items():
            total[key] = total.get(key, 0.0) + value
    return Scrape(max((scrape.at for scrape in given), default=0.0), total)


@dataclass(frozen=True)
class Window:
    """What was counted between two scrapes; ``seconds`` are between them. ``before`` empty: since the start."""

    before: Scrape
    after: Scrape
    seconds: float

    def by(self, series: str, label: str, **labels: str) -> dict[str, float]:
        """Counted in the window, per value of a label; a counter that began anew counts from zero."""
        found: dict[str, float] = {}
        for given, value in self.after.select(series, **labels):
            earlier = self.before.samples.get((series, tuple(sorted(given.items()))), 0.0)
            name = given.get(label, "")
            found[name] = found.get(name, 0.0) + (value - earlier if value >= earlier else value)
        return found

    def count(self, series: str, **labels: str) -> float:
        """Counted in the window."""
        return sum(self.by(series, "", **labels).values())

    def rate(self, series: str, **labels: str) -> float:
        """The same per second."""
        return self.count(series, **labels) / self.seconds if self.seconds > 0 else 0.0

    def mean(self, summary: str, **labels: str) -> float:
        """Mean of a summary's or histogram's observations; nan without any."""
        number = self.count(f"{summary}_count", **labels)
        return self.count(f"{summary}_sum", **labels) / number if number else nan

    def quantile(self, q: float, histogram: str, **labels: str) -> float:
        """As Prometheus does: linear inside a bucket, the last finite bound beyond it; nan without any."""
        buckets = sorted(
            ((inf if bound == "+Inf" else float(bound)), number)
            for bound, number in self.by(f"{histogram}_bucket", "le", **labels).items()
        )
        if not buckets or not buckets[-1][1]:
            return nan
        wanted, low, below = q * buckets[-1][1], 0.0, 0.0
        for bound, number in buckets:
            if number >= wanted and number > below:
                return low if bound == inf else low + (bound - low) * max(0.0, wanted - below) / (number - below)
            low, below = (low if bound == inf else bound), number
        return low


def window(before: Scrape | None, after: Scrape) -> Window:
    """Between two scrapes, or since the process started where there is only one."""
    if before is not None:
        return Window(before, after, after.at - before.at)
    # Of several worker processes the youngest says when it started: the earliest moment that is known is nearer.
    known = map(after.one, ("process_start_time_seconds", "tiller_bundle_loaded_timestamp_seconds"))
    began = min((at for at in known if at), default=after.at)
    return Window(Scrape(0.0), after, after.at - began)
