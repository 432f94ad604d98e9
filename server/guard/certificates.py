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

    def credentials(self) -> grpc.ServerCredentials:
        """For a port; every new connection gets the certificate that lies in the files then."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration,
            self.fetch,  # type: ignore[arg-type] # the stubs do not know that None means: as before
            require_client_authentication=self._client_ca is not None,
        )

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """For a new connection, on a thread of gRPC: another pair, or None: as before. Never raises."""
        with self._lock:
            stamp = self._stamps()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            try:
                self._configuration = self._read()
            except CertificateRefused as error:
                self._changed(str(error))
                return None
            self._changed("")
            return self._configuration

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
