"""What becomes of the bundle and the policies while a server runs, told to the log, the metrics and the drift watch."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from bundle import LATENT_FAMILY
from bundle.errors import TillerError
from server.drift import DriftWatch
from server.errors import PolicyError
from server.policy import PolicySet, PolicyWarning, check_attributes, check_concepts
from server.reload import Trigger
from server.steer import Engine
from server.telemetry import Telemetry


class News:
    """A Listener of server.reload."""

    def __init__(self, telemetry: Telemetry, log: FilteringBoundLogger, drift: DriftWatch) -> None:
        self._telemetry = telemetry
        self._log = log
        self._drift = drift

    def serving(self, engine: Engine) -> None:
        """An engine is in force, the first one or another."""
        self._telemetry.serving(engine.catalogue.bundle.manifest, engine.policies or PolicySet())
        self._drift.serving(engine.catalogue.bundle)

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

    def swapped(self, engine: Engine, previous: Engine, trigger: Trigger, seconds: float, *, back: bool) -> None:
        """See Listener."""
        self.serving(engine)
        self._telemetry.bundle_reloaded("rolled_back" if back else "loaded")
        bundle = engine.catalogue.bundle
        self._log.info(
            "bundle rolled back" if back else "bundle loaded", bundle_id=engine.bundle_id, name=bundle.manifest.name,
            previous=previous.bundle_id, folder=str(bundle.path), trigger=trigger, seconds=round(seconds, 3),
        )  # fmt: skip

    def bundle_refused(self, path: str, error: TillerError, trigger: Trigger) -> None:
        """See Listener."""
        self._telemetry.bundle_reloaded("refused")
        self._log.error("bundle refused", path=path, trigger=trigger, message=str(error))

    def unwatched(self, what: str, reason: str) -> None:
        """See Listener."""
        self._log.warning(f"{what} not watched", reason=reason)


def warn(engine: Engine, log: FilteringBoundLogger) -> None:
    """A log line for every policy that is valid and probably does not do what its author means."""
    for warning in doubtful(engine):
        log.warning("policy", file=warning.file, line=warning.line, policy=warning.policy, message=str(warning))


def doubtful(engine: Engine) -> list[PolicyWarning]:
    """Of every such policy, what is doubtful about it."""
    catalogue, policies = engine.catalogue, engine.policies or PolicySet()
    offered = {concept.id for concept in catalogue.named}
    offered.update(f"{LATENT_FAMILY}:{latent}" for latent in range(catalogue.latents))
    return [*check_concepts(policies, offered, catalogue.item_rows), *check_attributes(policies)]
