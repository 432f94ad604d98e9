"""Settings of who may call and how much at once: certificates, tokens, connections, calls under way."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class Exposure(BaseModel):
    """What stands between the network and the engine; docs/security.md says why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tls_cert: Path | None = Field(
        default=None, description="certificate chain (PEM) of the gRPC ports; with --tls-key. Left out: plain text"
    )
    tls_key: Path | None = Field(default=None, description="its private key (PEM)")
    tls_client_ca: Path | None = Field(
        default=None, description="callers must show a certificate of these authorities (PEM): mutual TLS"
    )
    metrics_tls: bool = Field(default=False, description="serve /metrics with the same certificate, over HTTPS")
    tokens: Path | None = Field(
        default=None, description="file of the tokens that let callers in (tiller token new); left out: anybody"
    )
    insecure_admin: bool = Field(
        default=False,
        description="let the admin service listen beyond loopback although it lacks TLS or tokens",
    )
    bundle_public_key: Path | None = Field(
        default=None,
        description="serve only bundles signed with the private half of this key (PEM, Ed25519). Needs tiller[sign]",
    )
    max_in_flight: int = Field(default=128, ge=1, description="calls under way in one process, waiting ones included")
    max_wait_ms: float | None = Field(
        default=None, ge=0,
        description="how long a call may wait in an overload; left out: about as long as a search takes, at least 5; "
        "0: for ever",
    )  # fmt: skip
    max_metadata_bytes: int = Field(
        default=16 << 10, ge=1 << 10, le=1 << 20, description="headers of one call, in bytes"
    )
    max_connections: int = Field(
        default=10_000, ge=1, description="open connections of each port; keep it below the limit of open files"
    )
    max_concurrent_streams: int = Field(
        default=1_000, ge=1, description="calls at once on one connection; more of them wait at the caller"
    )
    max_connection_age_seconds: float = Field(
        default=0.0, ge=0, le=7 * 86400,
        description="connections are closed in order after this time, so that callers find new processes; 0: never",
    )  # fmt: skip
