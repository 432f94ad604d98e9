"""What a server holds against the network, opened from its settings in one place."""

from __future__ import annotations

import asyncio

import grpc
from structlog.typing import FilteringBoundLogger

from bundle.errors import TillerError
from server.guard.admission import Admission
from server.guard.certificates import Certificates
from server.guard.checks import contradictions, warnings
from server.guard.tokens import LOOK_SECONDS, Tokens, TokensRefused
from server.settings import Settings


class GuardRefused(TillerError):
    """A server must not start with these settings."""


class Guard:
    """Admission, tokens and certificates of one process.

    Attributes:
        admission: how many calls at once.
        tokens: who may call; None: anybody.

    Raises:
        GuardRefused: settings contradict each other.
        TokensRefused, CertificateRefused: a file is refused.
    """

    def __init__(self, settings: Settings, log: FilteringBoundLogger) -> None:
        if faults := contradictions(settings):
            raise GuardRefused("; ".join(faults))
        for warning in warnings(settings):
            log.warning("exposed", message=warning)
        self._log = log
        wait = None if settings.max_wait_ms is None else settings.max_wait_ms / 1e3
        self.admission = Admission(settings.max_in_flight, wait)
        self.tokens = None if settings.tokens is None else Tokens(settings.tokens)
        self._certificates: Certificates | None = None
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._certificates = Certificates(
                settings.tls_cert, settings.tls_key, settings.tls_client_ca, self._certificate_changed
            )

    def credentials(self) -> grpc.ServerCredentials | None:
        """Of one gRPC port; None: plain text."""
        return None if self._certificates is None else self._certificates.credentials()

    async def watch(self) -> None:
        """Take changed tokens, until cancelled; certificates are looked at by every new connection."""
        while self.tokens is not None:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self.tokens.look():
                    self._log.info("tokens loaded", names=self.tokens.names)
            except TokensRefused as error:
                self._log.error("tokens refused", message=str(error), in_force=self.tokens.names)

    def _certificate_changed(self, refusal: str) -> None:
        if refusal:
            self._log.error("certificate refused", message=refusal, in_force="the earlier one")
        else:
            self._log.info("certificate loaded")
