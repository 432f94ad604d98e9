"""How far the users of today are from those that the SAE was trained on (server.drift measures it)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

ERRORS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
RANKS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0)
ACTIVE = (0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)


class DriftMetrics:
    """What a sample of the incoming user vectors looks like to the SAE."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._error = Histogram(
            "tiller_user_error", "Part of an incoming user vector that the SAE does not reconstruct.", buckets=ERRORS,
            registry=registry,
        )  # fmt: skip
        self._rank = Histogram(
            "tiller_user_error_rank", "Where that part stands among the training's users, 0 to 1.",
            buckets=RANKS, registry=registry,
        )  # fmt: skip
        self._l0 = Histogram(
            "tiller_user_latents",
            "Latents that are active for an incoming user vector.",
            buckets=ACTIVE,
            registry=registry,
        )
        vectors = Counter(
            "tiller_user_vectors_total", "Incoming user vectors that were measured, by what became of them.",
            ("verdict",), registry=registry,
        )  # fmt: skip
        self._verdicts = {verdict: vectors.labels(verdict) for verdict in ("inside", "outside", "unjudged", "dropped")}
        self._training = Gauge(
            "tiller_training_quantile", "Quantiles of error and L0 of the users that the SAE was trained on.",
            ("figure", "quantile"), registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip

        self._trained_on: set[tuple[str, str]] = set()

    def trained_on(self, quantiles: Mapping[str, Mapping[str, float]]) -> None:
        """The training distribution of the bundle in force: figure -> quantile -> value."""
        for gone in self._trained_on:
            self._training.labels(*gone).set(math.nan)
        for figure, values in quantiles.items():
            for quantile, value in values.items():
                self._training.labels(figure, quantile).set(value)
                self._trained_on.add((figure, quantile))

    def measured(
        self, errors: Sequence[float], ranks: Sequence[float], l0: Sequence[float], verdicts: Mapping[str, int]
    ) -> None:
        """Some vectors were measured; called from any thread."""
        for rank in ranks:
            self._rank.observe(rank)
        for error in errors:
            self._error.observe(error)
        for active in l0:
            self._l0.observe(active)
        for verdict, number in verdicts.items():
            self._verdicts[verdict].inc(number)
