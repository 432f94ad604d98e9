"""What the users of the training look like to the SAE, as quantiles: what the users of a later day are held against.

For a user vector x, its code z and its reconstruction x^ (bundle.sae):

    error = |x - x^| / |x|        the part that the SAE does not reconstruct; 0 for a zero vector
    L0    = |{j : z_j > 0}|       active latents

A population that the SAE does not know is reconstructed worse, or with other numbers of latents (docs/decisions/024).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bundle.sae import SaeWeights

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

QUANTILES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)

FEWEST = 200
"""Users that quantiles can be taken of; among fewer the largest says nothing about the next."""

MOST = 20_000
"""Users that are looked at, evenly spread over all."""

OUTSIDE = 0.999
"""Beyond this quantile of the error or of L0, or below the L0 of as few, a vector is out of the distribution."""


class UserProfile(BaseModel):
    """The training users' distribution, in manifest.json. ``error`` and ``l0`` [len(quantiles)] ascend."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    users: int = Field(ge=FEWEST, description="users that were looked at")
    quantiles: tuple[float, ...] = Field(min_length=1)
    error: tuple[float, ...]
    l0: tuple[float, ...]

    @model_validator(mode="after")
    def _fits(self) -> UserProfile:
        for name in ("quantiles", "error", "l0"):
            values = getattr(self, name)
            if len(values) != len(self.quantiles) or list(values) != sorted(values) or values[0] < 0:
                raise ValueError(f"{name}: expected {len(self.quantiles)} numbers from 0 on that ascend")
        return self

    def at(self, figure: Literal["error", "l0"], quantile: float) -> float:
        """The value at a quantile, between the known ones linearly."""
        return float(np.interp(quantile, self.quantiles, getattr(self, figure)))

    def rank(self, error: FloatArray) -> FloatArray:
        """Where errors [B] stand in the training's distribution, in [0, 1]: of its own users half are below 0.5."""
        return np.interp(error, self.error, self.quantiles, left=0.0, right=1.0).astype(np.float32)

    def outside(self, error: FloatArray, l0: FloatArray) -> BoolArray:
        """Which vectors [B] are beyond what the training shows (OUTSIDE)."""
        low = self.at("l0", 1 - OUTSIDE)
        return (error > self.at("error", OUTSIDE)) | (l0 > self.at("l0", OUTSIDE)) | (l0 < low)


def measure_users(sae: SaeWeights, users: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Error and L0 of user vectors [B, D], as the server reads them: [B], [B]."""
    codes, scale = sae.encode(users, "user"), sae.scale(users)
    norm = np.linalg.norm(users, axis=1)
    left = np.linalg.norm(users - sae.decode(codes, scale, "user"), axis=1)
    error = np.divide(left, norm, out=np.zeros_like(left), where=norm > 0)
    return error.astype(np.float32), np.count_nonzero(codes, axis=1).astype(np.float32)


def profile_users(sae: SaeWeights, users: FloatArray | None, *, unit: bool) -> UserProfile | None:
    """The profile of the training's user vectors [U, D]; None of too few, or of none.

    ``unit``: the recommender's metric is the cosine, so a server reads users at unit length.
    """
    if users is None or len(users) < FEWEST:
        return None
    rows = np.unique(np.linspace(0, len(users) - 1, min(len(users), MOST)).astype(np.int64))
    taken = np.asarray(users[rows], np.float32)
    if unit:
        norm = np.linalg.norm(taken, axis=1, keepdims=True)
        taken = (taken / np.where(norm > 0, norm, 1)).astype(np.float32)
    error, l0 = measure_users(sae, taken)
    return UserProfile(
        users=len(rows),
        quantiles=QUANTILES,
        error=tuple(round(float(value), 6) for value in np.quantile(error, QUANTILES)),
        l0=tuple(float(value) for value in np.quantile(l0, QUANTILES)),
    )
