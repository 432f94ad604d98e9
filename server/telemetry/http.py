"""``/metrics`` over HTTP."""

from __future__ import annotations

from types import TracebackType

from prometheus_client import start_http_server

from bundle.errors import TillerError
from server.telemetry.telemetry import Telemetry


class MetricsServer:
    """``/metrics`` over HTTP, on threads of its own, until it is closed."""

    def __init__(self, telemetry: Telemetry, host: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(port, host, telemetry.registry)
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
