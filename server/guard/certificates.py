"""TLS for the gRPC ports: certificates proved at start, and read again for new connections when their files change."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import grpc

from bundle.errors import TillerError
from server.guard.files import stamp


class CertificateRefused(TillerError):
    """A certificate, its key or the callers' authorities cannot be used."""


class Certificates:
    """The key pair of a server, and the authorities of its callers' certificates if they must show one.

    Args:
        changed: told when another pair is in force ("") or what lies in the files is refused (why); on any thread.

    Raises:
        CertificateRefused: a file is missing, unreadable or no PEM, or key and certificate do not belong together.
    """

    def __init__(
        self, cert: Path, key: Path, client_ca: Path | None, changed: Callable[[str], None] = lambda _: None
    ) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._changed = changed
        self._lock = threading.Lock()
        self._stamp = self._stamps()
        self._configuration = self._read()
        self._version = 0

    def credentials(self) -> grpc.ServerCredentials:
        """For one port; every new connection gets the certificate that lies in the files then."""
        handed_out = self._version

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """Another pair, or None: as before. Called for a new connection, on a thread of gRPC."""
            nonlocal handed_out
            with self._lock:
                self._look()
                if handed_out == self._version:
                    return None
                handed_out = self._version
                return self._configuration

        return grpc.dynamic_ssl_server_credentials(
            self._configuration,
            fetch,  # type: ignore[arg-type] # the stubs do not know that None means: as before
            require_client_authentication=self._client_ca is not None,
        )

    def _look(self) -> None:
        """Take the files if they changed and can be used."""
        if (found := self._stamps()) == self._stamp:
            return
        self._stamp = found
        try:
            self._configuration = self._read()
        except CertificateRefused as error:
            self._changed(str(error))
        else:
            self._version += 1
            self._changed("")

    def _read(self) -> grpc.ServerCertificateConfiguration:
        prove_pair(self._cert, self._key)
        authorities = None
        if self._client_ca is not None:
            prove_authorities(self._client_ca)
            authorities = _bytes(self._client_ca)
        return grpc.ssl_server_certificate_configuration([(_bytes(self._key), _bytes(self._cert))], authorities)

    def _stamps(self) -> tuple[object, ...]:
        return tuple(stamp(file) for file in (self._cert, self._key, self._client_ca) if file is not None)


def prove_pair(cert: Path, key: Path) -> None:
    """Certificate and key can be read and belong together.

    Raises:
        CertificateRefused: naming the file.
    """
    for file, flag in ((cert, "--tls-cert"), (key, "--tls-key")):
        if b"-----BEGIN " not in _bytes(file):
            raise CertificateRefused(f"{flag} {file}", found="no PEM block", expected="a file in PEM form")
    try:
        # A password would be asked for on the terminal; a server has none.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        mismatch = "KEY_VALUES_MISMATCH" in str(error)
        what = "do not belong together" if mismatch else f"cannot be used: {error.reason or error}"
        raise CertificateRefused(
            f"--tls-cert {cert} and --tls-key {key} {what}",
            expected="a certificate and its own key, without a password",
        ) from error  # fmt: skip


def prove_authorities(file: Path) -> None:
    """The file holds certificates.

    Raises:
        CertificateRefused: it does not.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=_bytes(file).decode())
    except (ssl.SSLError, ValueError) as error:
        raise CertificateRefused(
            f"--tls-client-ca {file}", found=str(error), expected="certificates in PEM form"
        ) from error


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateRefused(f"cannot read {file}", found=error.strerror) from error
