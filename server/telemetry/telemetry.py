"""All metrics of one server behind one object: the Observer of server.rpc, and what server.app tells news to."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, disable_created_metrics

from bundle import Manifest
from server.policy import PolicySet
from server.telemetry.calls import CallMetrics
from server.telemetry.drift import DriftMetrics
from server.telemetry.outcome import OutcomeMetrics
from server.telemetry.served import Reloaded, ServedMetrics
from server.telemetry.tally import Looked
from server.telemetry.users import UserMetrics
from server.telemetry.workers import WorkerMetrics
from server.types import Answer


class Telemetry:
    """The metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self._looked = Looked(registry, self._hand_over)
        ProcessCollector(registry=registry)
        self._calls = CallMetrics(registry)
        self._outcome = OutcomeMetrics(registry)
        self._served = ServedMetrics(registry)
        self.drift = DriftMetrics(registry)
        self.users = UserMetrics(registry)
        self.workers = WorkerMetrics(registry)
        decisions = Counter(
            "tiller_decisions_total", "Sampled answers written to the decision log, or dropped.", ("result",),
            registry=registry,
        )  # fmt: skip
        self._decided = {result: decisions.labels(result) for result in ("written", "dropped")}
        self._looked.start()

    def flush(self) -> None:
        """Everything counted stands in the metrics; a scrape does it by itself, the end of a worker process has to."""
        self._looked.now()

    def _hand_over(self) -> None:
        self._calls.hand_over()
        self._outcome.hand_over()

    def started(self, method: str) -> None:  # noqa: ARG002 - in flight is one number
        """A call came in."""
        self._calls.started()

    def finished(self, method: str, code: str, seconds: float) -> None:
        """A call was answered, refused or given up."""
        self._calls.finished(method, code, seconds)

    def shed(self, reason: str) -> None:
        """A call was refused at once because there were too many; ``reason`` is one of the few words in the code."""
        self._calls.shed(reason)

    def answered(self, answer: Answer) -> None:
        """What Recommend answered: times, rules, and shares where the answer has its baseline."""
        self._calls.timed(answer.timings)
        self._outcome.answered(answer)

    def decided(self, result: str) -> None:
        """A sampled answer was "written" to the decision log, or "dropped"; called from any thread."""
        self._decided[result].inc()

    def serving(self, manifest: Manifest, policies: PolicySet) -> None:
        """A bundle and its policies are in force, now."""
        self._served.serving(manifest, policies)

    def bundle_reloaded(self, result: Reloaded) -> None:
        """An attempt to serve another bundle ended so; ``serving`` says which one is in force."""
        self._served.bundle_reloaded(result)

    def policies_loaded(self, policies: PolicySet) -> None:
        """Another revision of the policies is in force, now."""
        self._served.policies_loaded(policies)

    def policies_refused(self) -> None:
        """What lies in the policy folder is refused."""
        self._served.policies_refused()

    def policies_checked(self, *, stale: bool) -> None:
        """The policy folder was looked at, now."""
        self._served.policies_checked(stale=stale)
