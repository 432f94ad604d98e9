"""``/metrics`` over HTTP or HTTPS."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from prometheus_client import CollectorRegistry, start_http_server

from bundle.errors import TillerError


class MetricsServer:
    """``/metrics`` on threads of its own, until it is closed; over HTTPS with ``cert`` and ``key``.

    They are read once: another certificate needs a restart here.
    """

    def __init__(
        self, registry: CollectorRegistry, host: str, port: int, *, cert: Path | None = None, key: Path | None = None
    ) -> None:
        files = (None, None) if cert is None or key is None else (str(cert), str(key))
        try:
            self._server, self._thread = start_http_server(port, host, registry, *files)
        except OSError as error:
            raise TillerError(
                f"cannot serve /metrics on {host}:{port}", found=error.strerror or str(error),
                hint="Is another server running? Choose another --metrics-port, or 0 for a free one.",
            ) from error  # fmt: skip
        self.port = int(self._server.server_port)

    def __enter__(self) -> MetricsServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening and wait for the thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
