"""Which bundle and which policies answer, since when, and what became of attempts to change them.

Gauges say how they add up over the worker processes of one server (``multiprocess_mode``): of two ages the older.
"""

from __future__ import annotations

import time
import warnings
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from bundle import Manifest, __version__
from server.policy import PolicySet

Reloaded = Literal["loaded", "refused", "rolled_back"]
MODES = ("enforce", "shadow", "disabled")


class ServedMetrics:
    """One server's bundle and policies."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._bundle = Info(
            Gauge(
                "tiller_bundle_info", "The bundle being served; 1 for the one in force.",
                ("bundle_id", "name", "tiller_version"), registry=registry, multiprocess_mode="livemax",
            )
        )  # fmt: skip
        self._bundle_loaded = Gauge(
            "tiller_bundle_loaded_timestamp_seconds", "When the bundle was loaded.", registry=registry,
            multiprocess_mode="livemin",
        )  # fmt: skip
        self._items = Gauge(
            "tiller_bundle_items", "Items in the bundle.", registry=registry, multiprocess_mode="livemax"
        )
        self._concepts = Gauge(
            "tiller_bundle_concepts", "Concepts the bundle offers.", registry=registry, multiprocess_mode="livemax"
        )
        bundle_reloads = Counter(
            "tiller_bundle_reloads_total", "Bundles brought into force, refused or taken back since the start.",
            ("result",), registry=registry,
        )  # fmt: skip
        self._policy = Info(
            Gauge(
                "tiller_policy_info", "The policies being served; 1 for the revision in force.", ("revision",),
                registry=registry, multiprocess_mode="livemax",
            )
        )  # fmt: skip
        self._policies_loaded = Gauge(
            "tiller_policies_loaded_timestamp_seconds", "When the policies were loaded.", registry=registry,
            multiprocess_mode="livemin",
        )  # fmt: skip
        policies = Gauge(
            "tiller_policies", "Policies loaded, by mode.", ("mode",), registry=registry, multiprocess_mode="livemax"
        )
        policy_reloads = Counter(
            "tiller_policy_reloads_total", "Policy revisions brought into force or refused since the start.",
            ("result",), registry=registry,
        )  # fmt: skip
        self._stale = Gauge(
            "tiller_policies_stale", "1 while the policy folder is refused and an earlier revision serves.",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self._checked = Gauge(
            "tiller_policies_checked_timestamp_seconds", "When the policy folder was last looked at.",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self._modes = {mode: policies.labels(mode) for mode in MODES}
        self._policy_reloads = {result: policy_reloads.labels(result) for result in ("loaded", "refused")}
        self._bundle_reloads = {
            result: bundle_reloads.labels(result) for result in ("loaded", "refused", "rolled_back")
        }

    def serving(self, manifest: Manifest, policies: PolicySet) -> None:
        """A bundle and its policies are in force, now."""
        self._bundle.set(manifest.bundle_id, manifest.name, __version__)
        self._bundle_loaded.set(now := time.time())
        self._items.set(manifest.dims.items)
        self._concepts.set(manifest.dims.concepts)
        self._in_force(policies, now)

    def _in_force(self, policies: PolicySet, now: float) -> None:
        self._policy.set(policies.revision)
        self._policies_loaded.set(now)
        self._checked.set(now)
        count = dict.fromkeys(MODES, 0)
        for policy in policies.policies:
            count["disabled" if not policy.enabled else "shadow" if policy.shadow else "enforce"] += 1
        for mode, number in count.items():
            self._modes[mode].set(number)

    def bundle_reloaded(self, result: Reloaded) -> None:
        """An attempt to serve another bundle ended so."""
        self._bundle_reloads[result].inc()

    def policies_loaded(self, policies: PolicySet) -> None:
        """Another revision of the policies is in force, now."""
        self._policy_reloads["loaded"].inc()
        self._in_force(policies, time.time())

    def policies_refused(self) -> None:
        """What lies in the policy folder is refused."""
        self._policy_reloads["refused"].inc()

    def policies_checked(self, *, stale: bool) -> None:
        """The policy folder was looked at, now."""
        self._checked.set_to_current_time()
        self._stale.set(int(stale))


class Info:
    """A gauge whose labels are the fact: 1 for the present ones. The former ones are 0 where a file outlives them."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._now: tuple[str, ...] | None = None

    def set(self, *labels: str) -> None:
        """These labels are the fact from now on."""
        if self._now is not None and self._now != labels:
            # Worker processes share files that a label is never removed from; there the 0 stays.
            self._gauge.labels(*self._now).set(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                self._gauge.remove(*self._now)
        self._gauge.labels(*labels).set(1)
        self._now = labels
