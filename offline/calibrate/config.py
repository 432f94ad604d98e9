"""Every number of a calibration, frozen."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator


class CalibrateConfig(BaseModel):
    """How the dial is made and checked (docs/decisions/014)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lengths: tuple[int, ...] = Field(default=(10, 40), description="list lengths; between them the dose is read off")
    steps: int = Field(default=10, ge=1, description="strengths above 0 that are measured, evenly spaced")
    users: int = Field(default=250, ge=1, description="sampled users the curves are found on")
    check_users: int = Field(default=250, ge=0, description="other users the dial is checked on; 0: not checked")
    segments: int = Field(default=4, ge=1, description="segments of the checked users, by how much they have taken")
    doses: int = Field(default=20, ge=2, description="doses a curve is measured at, geometric up to largest_dose")
    largest_dose: float = Field(default=16.0, gt=0, description="in units; what it reaches is the concept's reach")
    smallest_dose: float = Field(default=0.03, gt=0, description="in units; the first dose above 0")
    close: float = Field(
        default=0.005, gt=0, lt=1, description="promote 1 may miss the reach by this share of the list"
    )
    left: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="demote 1 may leave this part of the base share more; on items also of the fans'",
    )
    fewest_users: int = Field(default=100, ge=1, description="never fewer users, whatever the work")
    work: float = Field(default=2.5e8, gt=0, description="ceiling on users x items x curves; users give way")
    seed: int = Field(default=0, ge=0, description="of the sampled users")

    @model_validator(mode="after")
    def _rise(self) -> Self:
        if not self.lengths or list(self.lengths) != sorted(set(self.lengths)) or self.lengths[0] < 1:
            raise ValueError(f"lengths: found {self.lengths}, expected rising lengths of 1 or more")
        if self.smallest_dose >= self.largest_dose:
            raise ValueError("smallest_dose: expected below largest_dose")
        return self

    @property
    def strengths(self) -> tuple[float, ...]:
        """0 to 1, evenly."""
        return tuple(step / self.steps for step in range(self.steps + 1))

    @property
    def ladder(self) -> tuple[float, ...]:
        """Doses in units, 0 first, rising."""
        rungs = np.geomspace(self.smallest_dose, self.largest_dose, self.doses - 1)
        return (0.0, *(float(rung) for rung in rungs))

    def affordable(self, wanted: int, items: int, curves: int) -> int:
        """Users that the work allows: never from the clock, so that runs repeat."""
        return min(wanted, max(self.fewest_users, int(self.work / max(1, items * curves))))
