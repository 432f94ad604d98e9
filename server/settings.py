"""Everything the server can be told, read once in the composition root. Unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.exposure import Exposure


class Limits(BaseModel):
    """Bounds of one request; published in docs/api.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_k: int = Field(default=500, ge=1, description="largest k a request may ask for")
    max_rules: int = Field(default=32, ge=0, description="rules in one request")
    max_exclude: int = Field(default=10_000, ge=0, description="ids to exclude in one request")
    max_history: int = Field(default=1_000, ge=1, description="item ids in one history")
    max_attributes: int = Field(default=64, ge=0, description="attributes of one request")
    max_batch: int = Field(default=256, ge=1, description="requests in one batch")
    max_displacement: float = Field(
        default=64.0,
        gt=0,
        description="largest sum of a request's doses, in the user's own s(10) - s(100)",
    )
    allow_ignore_policies: bool = Field(default=True, description="requests may switch the policies off")


class Settings(BaseSettings, Limits, Exposure):
    """One server. Every field is a flag (``--max-k``) and an environment variable (``TILLER_MAX_K``); the flag wins."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="TILLER_", cli_kebab_case=True, cli_implicit_flags=True,
        cli_avoid_json=True, cli_hide_none_type=True, env_ignore_empty=True,
    )  # fmt: skip

    config: Path | None = Field(
        default=None, description="file of settings, YAML; a variable wins over it, a flag over both"
    )
    check: bool = Field(default=False, description="say whether a server would start with all this, and start none")
    bundle: Path = Field(description="folder of the bundle to serve; its checksums are proved at start")
    bundle_poll_seconds: float = Field(
        default=5.0, ge=0, le=3600,
        description="how often it is looked whether --bundle leads to another bundle now, besides watching; 0: never",
    )  # fmt: skip
    bundles_root: Path | None = Field(
        default=None, description="folder below which the admin service may name other bundles; left out: it may not"
    )
    accept_losses: bool = Field(
        default=False,
        description="take another bundle although it lacks what policies in force and callers use now",
    )
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
    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = Field(
        default=1, description="processes that share the port and the bundle's mapped files; auto: one per core"
    )
    max_message_bytes: int = Field(
        default=4 << 20, ge=1 << 10, le=1 << 30, description="largest message taken or sent, in bytes"
    )
    share_sample: float = Field(
        default=0.1, ge=0, le=1,
        description="part of the steered requests whose unsteered list is computed too, for tiller_concept_share",
    )  # fmt: skip
    trace_endpoint: str | None = Field(
        default=None, min_length=1,
        description="OTLP collector for traces, http://HOST:4317; left out: none. Needs tiller[otel]",
    )  # fmt: skip
    trace_sample: float = Field(
        default=0.01, ge=0, le=1, description="part of the calls that are traced where the caller has not decided it"
    )
    drift_sample: float = Field(
        default=0.05, ge=0, le=1,
        description="part of the user vectors that callers bring which is held against the training's; 0: none",
    )  # fmt: skip
    users: Literal["bundle", "redis"] = Field(
        default="bundle", description="where the vector of a user id is looked up; redis needs tiller[redis]"
    )
    users_fallback: Literal["bundle", "refuse"] = Field(
        default="bundle", description="whom Redis does not give: the bundle's own vector if there is one, or a refusal"
    )
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:6379/0"),
        description="redis://, rediss:// or unix://; with a password, better in the environment",
    )
    redis_prefix: str = Field(
        default="tiller:user", min_length=1, description="keys are PREFIX:SPACE:USER_ID (docs/operations.md)"
    )
    redis_space: str | None = Field(
        default=None, description="SPACE of the keys; left out: the first 12 digits of the item vectors' checksum"
    )
    redis_timeout_seconds: float = Field(default=0.05, gt=0, le=60, description="how long one look-up may take")
    breaker_failures: int = Field(
        default=5, ge=1, description="failed look-ups in a row after which Redis is left alone"
    )
    breaker_seconds: float = Field(
        default=2.0, gt=0, le=3600, description="for how long it is, before one look-up tries again"
    )
    drain_delay_seconds: float = Field(
        default=0.0, ge=0, le=3600,
        description="after SIGTERM, how long calls are still taken while health says NOT_SERVING: balancers notice",
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
