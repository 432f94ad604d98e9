"""What became of users that were looked up in a store of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from server.telemetry.calls import SECONDS
from server.users import Outcome, State

STATES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


class UserMetrics:
    """An Observer for server.users."""

    def __init__(self, registry: CollectorRegistry) -> None:
        lookups = Counter(
            "tiller_user_lookups_total", "Users looked up in the user store, by what became of it.", ("outcome",),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "tiller_user_lookup_seconds", "Time of one round trip to the user store.", buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        fallbacks = Counter(
            "tiller_user_fallbacks_total", "Users whom the store did not give: served from the bundle, or refused.",
            ("result",), registry=registry,
        )  # fmt: skip
        self._state = Gauge(
            "tiller_user_store_state", "The user store's breaker: 0 closed, 1 half-open, 2 open.", registry=registry,
            multiprocess_mode="livemax",
        )  # fmt: skip
        self._lookups = {outcome: lookups.labels(outcome.value) for outcome in Outcome}
        self._fallbacks = {refused: fallbacks.labels("refused" if refused else "bundle") for refused in (True, False)}

    def looked_up(self, outcome: Outcome, users: int) -> None:
        """See server.users."""
        self._lookups[outcome].inc(users)

    def asked_store(self, seconds: float) -> None:
        """See server.users."""
        self._seconds.observe(seconds)

    def fell_back(self, *, refused: bool) -> None:
        """See server.users."""
        self._fallbacks[refused].inc()

    def breaker(self, state: State) -> None:
        """See server.users."""
        self._state.set(STATES[state])
