"""Everything the server can be told, read once in the composition root. Unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Limits(BaseModel):
    """Bounds of one request; published in docs/api.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_k: int = Field(default=500, ge=1, description="largest k a request may ask for")
    max_rules: int = Field(default=32, ge=0, description="rules in one request")
    max_exclude: int = Field(default=10_000, ge=0, description="ids to exclude in one request")
    max_history: int = Field(default=1_000, ge=1, description="item ids in one history")
    max_batch: int = Field(default=256, ge=1, description="requests in one batch")
    max_displacement: float = Field(
        default=64.0,
        gt=0,
        description="largest sum of a request's doses, in the user's own s(10) - s(100)",
    )
    allow_ignore_policies: bool = Field(default=True, description="requests may switch the policies off")


class Settings(BaseSettings, Limits):
    """One server. Every field is a flag (``--max-k``) and an environment variable (``TILLER_MAX_K``); the flag wins."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="TILLER_", cli_kebab_case=True, cli_implicit_flags=True,
        cli_avoid_json=True, cli_hide_none_type=True, env_ignore_empty=True,
    )  # fmt: skip

    bundle: Path = Field(description="folder of the bundle to serve; its checksums are proved at start")
    policies: Path | None = Field(default=None, description="folder of policy files; left out: no policies")
    policy_poll_seconds: float = Field(
        default=5.0, ge=0, le=3600,
        description="how often the policy folder is looked at, besides watching it; 0: read again only when told to",
    )  # fmt: skip
    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 for every one")
    port: int = Field(default=50051, ge=0, le=65535, description="gRPC port; 0 takes a free one")
    metrics_host: str | None = Field(default=None, description="address of /metrics; left out: the same as --host")
    metrics_port: int = Field(default=9464, ge=0, le=65535, description="port of /metrics; 0 takes a free one")
    admin_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of the admin service; 0 takes a free one; left out: none"
    )
    admin_host: str = Field(default="127.0.0.1", min_length=1, description="address of the admin service")
    decision_log: Path | None = Field(
        default=None, description="file of the decision log, JSON lines; left out: no decisions are written"
    )
    decision_sample: float = Field(default=0.01, ge=0, le=1, description="part of the answers that are logged")
    decision_log_mib: int = Field(
        default=64, ge=1, le=1 << 20, description="size in MiB at which the decision log is rotated; five are kept"
    )
    port_file: Path | None = Field(default=None, description="write the bound addresses here as JSON, once serving")
    reuse_port: bool = Field(default=False, description="let several server processes share the port (SO_REUSEPORT)")
    max_message_bytes: int = Field(
        default=4 << 20, ge=1 << 10, le=1 << 30, description="largest message taken or sent, in bytes"
    )
    share_sample: float = Field(
        default=0.1, ge=0, le=1,
        description="part of the steered requests whose unsteered list is computed too, for tiller_concept_share",
    )  # fmt: skip
    drain_seconds: float = Field(
        default=10.0, ge=0, le=3600, description="after SIGTERM, how long calls in flight may take to finish"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug: a line per call; info: refused calls; warning and error: faults"
    )

    @property
    def limits(self) -> Limits:
        """The bounds of one request alone, as the core takes them."""
        return Limits(**{name: getattr(self, name) for name in Limits.model_fields})
