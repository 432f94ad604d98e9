"""What becomes of the policies while a server runs, told to the log and to the metrics."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from bundle import LATENT_FAMILY
from server.errors import PolicyError
from server.policy import PolicySet, check_attributes, check_concepts
from server.reload import Trigger
from server.steer import Engine
from server.telemetry import Telemetry


class PolicyNews:
    """A Listener of server.reload."""

    def __init__(self, telemetry: Telemetry, log: FilteringBoundLogger) -> None:
        self._telemetry = telemetry
        self._log = log

    def compiled(self, engine: Engine) -> None:
        """See Listener."""
        warn(engine, self._log)

    def loaded(self, engine: Engine, previous: str, trigger: Trigger, seconds: float) -> None:
        """See Listener."""
        policies = engine.policies or PolicySet()
        self._telemetry.policies_loaded(policies)
        self._log.info(
            "policies loaded", revision=policies.revision, previous=previous, policies=len(policies.policies),
            trigger=trigger, seconds=round(seconds, 3),
        )  # fmt: skip

    def refused(self, error: PolicyError, trigger: Trigger) -> None:
        """See Listener."""
        self._telemetry.policies_refused()
        self._log.error("policies refused", trigger=trigger, problems=len(error.problems), message=str(error))

    def checked(self, *, stale: bool) -> None:
        """See Listener."""
        self._telemetry.policies_checked(stale=stale)

    def unwatched(self, reason: str) -> None:
        """See Listener."""
        self._log.warning("policy folder not watched", reason=reason)


def warn(engine: Engine, log: FilteringBoundLogger) -> None:
    """A log line for every policy that is valid and probably does not do what its author means."""
    catalogue, policies = engine.catalogue, engine.policies or PolicySet()
    offered = {concept.id for concept in catalogue.named}
    offered.update(f"{LATENT_FAMILY}:{latent}" for latent in range(catalogue.latents))
    for warning in (*check_concepts(policies, offered), *check_attributes(policies)):
        log.warning("policy", file=warning.file, line=warning.line, policy=warning.policy, message=str(warning))
