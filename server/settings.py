"""Everything the server can be told, read once in the composition root. Unknown keys are refused."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """Bounds of one request; published in docs/api.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_k: int = Field(default=500, ge=1, description="largest k a request may ask for")
    max_rules: int = Field(default=32, ge=0, description="rules in one request")
    max_exclude: int = Field(default=10_000, ge=0, description="ids to exclude in one request")
    allow_ignore_policies: bool = Field(default=True, description="requests may switch the policies off")
