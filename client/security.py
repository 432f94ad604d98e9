"""How a client proves who it is and whom it talks to: a token, and certificates for TLS."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import grpc

VARIABLES = {
    "token": "TILLER_TOKEN",
    "token_file": "TILLER_TOKEN_FILE",
    "ca": "TILLER_CA",
    "cert": "TILLER_CLIENT_CERT",
    "key": "TILLER_CLIENT_KEY",
    "server_name": "TILLER_SERVER_NAME",
}
"""Field of Security -> environment variable."""


class SecurityRefused(ValueError):
    """A token or certificate cannot be used."""


@dataclass(frozen=True, slots=True)
class Security:
    """What a client shows and asks for. With nothing set: plain text and no token.

    Attributes:
        token: sent with every call.
        token_file: instead; read again when it changes.
        ca: PEM file of the authorities that the server's certificate must come from: TLS.
        cert: PEM file of the client's own certificate, for mutual TLS.
        key: PEM file of its private key.
        server_name: what the server's certificate is made out to, where that is not the target's host.
    """

    token: str | None = None
    token_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str | None = None

    def __repr__(self) -> str:
        """Without the token: what is printed ends in logs."""
        shown = replace(self, token=None if self.token is None else "***")
        return f"Security({', '.join(f'{name}={getattr(shown, name)!r}' for name in VARIABLES)})"

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] | None = None) -> Security:
        """What the variables of ``VARIABLES`` say; an empty one is not set."""
        found = os.environ if variables is None else variables
        given: dict[str, Any] = {field: found[name] for field, name in VARIABLES.items() if found.get(name)}
        for field in ("token_file", "ca", "cert", "key"):
            if field in given:
                given[field] = Path(given[field])
        return cls(**given)

    def channel(
        self, target: str, options: Sequence[tuple[str, Any]], credentials: grpc.ChannelCredentials | None = None
    ) -> grpc.Channel:
        """A channel to ``target``; ``credentials`` of the caller's own take the place of the files.

        Raises:
            SecurityRefused: a file cannot be read, or is named without its other half.
        """
        options = list(options)
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        if credentials is None and (self.ca or self.cert or self.key):
            credentials = self._credentials()
        if credentials is None:
            channel = grpc.insecure_channel(target, options=options)
        else:
            channel = grpc.secure_channel(target, credentials, options=options)
        if self.token is None and self.token_file is None:
            return channel
        return grpc.intercept_channel(channel, _Bearer(self._token_source()))

    def _credentials(self) -> grpc.ChannelCredentials:
        if (self.cert is None) != (self.key is None):
            raise SecurityRefused("a client certificate and its key are given together, or neither")
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))

    def _token_source(self) -> Callable[[], str]:
        if self.token is not None:
            fixed = self.token
            return lambda: fixed
        assert self.token_file is not None
        return _TokenFile(self.token_file)


class _TokenFile:
    """The token in a file, as it is now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._token = self()

    def __call__(self) -> str:
        try:
            found = self._path.stat()
            if (stamp := (found.st_mtime_ns, found.st_ino)) != self._seen:
                self._token, self._seen = self._path.read_text().strip(), stamp
        except OSError as error:
            raise SecurityRefused(f"cannot read the token file {self._path}: {error.strerror}") from error
        return self._token


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Bearer(grpc.UnaryUnaryClientInterceptor):  # type: ignore[type-arg] # not generic at run time
    """Sends the token with every call; as metadata, for call credentials are refused on plain text."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """The call, with one more header."""
        asked = client_call_details
        metadata = (*(asked.metadata or ()), ("authorization", f"Bearer {self._token()}"))
        details = _Details(
            asked.method, asked.timeout, metadata, asked.credentials, asked.wait_for_ready, asked.compression
        )
        return continuation(details, request)


def _read(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise SecurityRefused(f"cannot read {file}: {error.strerror}") from error
