"""What is asked for on the command line, and how much work it means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Paper = Literal["arviv2025", "klenitskiy2025"]

TITLES: dict[Paper, str] = {
    "arviv2025": "Interaction-aware monosemantic concepts (Arviv et al. 2025), reproduced",
    "klenitskiy2025": "Sparse autoencoders for sequential recommendation (Klenitskiy et al. 2025), reproduced",
}

BETAS = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Weights of the prediction-aware term, as the issue names them."""

DEPTHS = (10, 20, 50)
"""Depths of purity."""


class ReproduceConfig(BaseModel):
    """One run of the command."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paper: Paper = Field(description="whose experiments")
    out: Path = Field(description="folder of the results and of the units that are done")
    fast: bool = Field(default=False, description="laptop-sized: shorter training, fewer users and concepts")
    seeds: tuple[int, ...] = Field(default=(), description="one run each; empty: 0 when fast, else 0, 1, 2")
    device: str = Field(default="cpu", description="of training: cpu, cuda, cuda:N")
    data: Path | None = Field(default=None, description="folder of the archives; None: download them")
    ours: bool = Field(default=False, description="Tiller's SAE alone, which the bars ask about, without the paper's")
    command: str = Field(default="", description="as it was typed, for the page")

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds, or the default ones."""
        return self.seeds or ((0,) if self.fast else (0, 1, 2))


@dataclass(frozen=True)
class Plan:
    """Sizes of the work; every number decides an outcome and is part of the units' facts."""

    datasets: tuple[str, ...]
    protocols: tuple[str, ...]
    fidelity_users: int
    steering_users: int
    audience: int
    promoted_items: int
    halvings: int
    steered: int
    network_pairs: int
    """Users are fewer where a network scores: at most so many user-item pairs per ranking."""
    stage1_steps: int | None
    stage2_steps: int | None
    """Of Tiller's SAE; None: its default's."""
    paper_steps: int
    state_steps: int
    ks: tuple[int, ...]
    """Active latents of the SAEs of states."""
    states: int
    """States that such an SAE is trained on."""
    judged_states: int
    """States on which directions are compared with genres."""
    recommenders: dict[str, dict[str, Any]]
    """Settings laid over each recommender's defaults."""

    @classmethod
    def of(cls, config: ReproduceConfig) -> Plan:
        """The fast plan or the whole one."""
        sequential = config.paper == "klenitskiy2025"
        datasets = ("ml-1m", "lastfm")
        if config.fast:
            return cls(
                datasets=datasets,
                protocols=("leave_last_out",) if sequential else ("paper",),
                fidelity_users=200,
                steering_users=600 if sequential else 150,  # one test item each: NDCG is noisy
                audience=50,
                promoted_items=5,
                halvings=2,
                steered=1,
                network_pairs=500_000,
                stage1_steps=600,
                stage2_steps=300,
                paper_steps=1_500,
                state_steps=600,
                ks=(16, 32),
                states=60_000,
                judged_states=10_000,
                recommenders={"mf": {}, "ncf": FAST_NCF, "sasrec": FAST_SASREC},
            )
        return cls(
            datasets=datasets,
            protocols=("leave_last_out",) if sequential else ("paper", "temporal"),
            fidelity_users=1_000,
            steering_users=2_000 if sequential else 1_000,
            audience=100,
            promoted_items=20,
            halvings=10,
            steered=2 if sequential else 3,
            network_pairs=2_000_000,
            stage1_steps=None,
            stage2_steps=None,
            paper_steps=10_000,  # 20,000 change nothing: docs/reproduce.md
            state_steps=2_500,
            ks=(16, 32, 128),
            states=300_000,
            judged_states=50_000,
            recommenders={"mf": {}, "ncf": {}, "sasrec": {}},
        )


FAST_NCF: dict[str, Any] = {"epochs": 5, "sampled_items": 512}
FAST_SASREC: dict[str, Any] = {"epochs": 6, "max_length": 50}
