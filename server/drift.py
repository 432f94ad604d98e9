"""Are the users of today those that the SAE was trained on? A sample of their vectors, measured beside the calls.

A request puts a reference into a bounded queue and never waits; a thread takes what has gathered, once a second, and
measures all of it in a few matrix products (bundle.profile has the figures, docs/decisions/024 the reasons). Only
vectors that callers bring are looked at: a user of the bundle is of the training by definition.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np

from bundle import Bundle, SaeWeights, UserProfile, measure_users, profile_users
from server.types import FloatArray

PERIOD_SECONDS = 1.0
WAITING = 4096
"""Vectors that may wait for the thread; what comes beyond is counted as dropped."""

CHUNK = 512
"""Vectors measured at once: their codes of some thousand latents fit into a few megabytes."""

SHOWN = (0.5, 0.9, 0.99, 0.999)
"""Quantiles of the training that are exported beside the live figures."""


class Report(Protocol):
    """Who counts; server.telemetry does."""

    def trained_on(self, quantiles: Mapping[str, Mapping[str, float]]) -> None:
        """The training distribution of the bundle in force: figure -> quantile -> value."""

    def measured(
        self, errors: Sequence[float], ranks: Sequence[float], l0: Sequence[float], verdicts: Mapping[str, int]
    ) -> None:
        """Some vectors were measured, on the measuring thread; ``ranks``: of the errors, empty where not known."""


@dataclass(frozen=True, slots=True)
class _Trained:
    """What is needed of a bundle, without holding its files open."""

    bundle_id: str
    sae: SaeWeights
    profile: UserProfile | None


class DriftWatch:
    """Measures a part of the incoming user vectors against the bundle that answered for them.

    Args:
        sample: part of the vectors that are measured, in [0, 1].
        report: is told the figures.
    """

    def __init__(self, sample: float, report: Report) -> None:
        self._sample = sample
        self._report = report
        self._queue: deque[tuple[Bundle, FloatArray]] = deque()
        self._dropped = 0
        self._trained: _Trained | None = None
        self._one = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="drift", daemon=True)
        self._thread.start()

    def offer(self, bundle: Bundle, x: FloatArray) -> None:
        """One vector [D] that ``bundle`` answered for; kept where it is in the sample."""
        if random.random() >= self._sample:
            return
        if len(self._queue) >= WAITING:
            self._dropped += 1
        else:
            self._queue.append((bundle, x))

    def serving(self, bundle: Bundle) -> None:
        """This bundle is in force; without the call it is found out with the first vector."""
        with self._one:
            self._of(bundle)

    def flush(self) -> None:
        """Measure what waits, now."""
        with self._one:
            waiting = [self._queue.popleft() for _ in range(len(self._queue))]
            dropped, self._dropped = self._dropped, 0
            if dropped:
                self._report.measured((), (), (), {"dropped": dropped})
            for bundle_id, group in groupby(waiting, lambda entry: entry[0].manifest.bundle_id):
                entries = list(group)
                if self._trained is None or self._trained.bundle_id != bundle_id:
                    self._of(entries[0][0])
                for start in range(0, len(entries), CHUNK):
                    self._measure(np.stack([x for _, x in entries[start : start + CHUNK]]))

    def close(self) -> None:
        """Measure what waits and end the thread."""
        self._stop.set()
        self._thread.join()
        self.flush()

    def _watch(self) -> None:
        while not self._stop.wait(PERIOD_SECONDS):
            self.flush()

    def _of(self, bundle: Bundle) -> None:
        """Know the bundle's training: from its manifest, else from the users that lie in it."""
        contents, manifest = bundle.contents, bundle.manifest
        profile = manifest.user_profile or profile_users(
            contents.sae, contents.user_vectors, unit=manifest.metric == "cosine"
        )
        self._trained = _Trained(manifest.bundle_id, contents.sae, profile)
        if profile is None:
            self._report.trained_on({})
            return
        self._report.trained_on(
            {
                "error": {f"{quantile:g}": profile.at("error", quantile) for quantile in SHOWN},
                "l0": {f"{quantile:g}": profile.at("l0", quantile) for quantile in SHOWN},
            }
        )

    def _measure(self, users: FloatArray) -> None:
        trained = self._trained
        assert trained is not None, "the bundle is known before its vectors are measured"
        error, l0 = measure_users(trained.sae, users)
        verdicts, ranks = Counter({"unjudged": len(users)}), []
        if trained.profile is not None:
            outside = int(trained.profile.outside(error, l0).sum())
            verdicts = Counter({"outside": outside, "inside": len(users) - outside})
            ranks = trained.profile.rank(error).tolist()
        self._report.measured(error.tolist(), ranks, l0.tolist(), verdicts)
