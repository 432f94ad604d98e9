"""A planted world small enough for a whole reproduction in seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offline.datasets.synthetic import SyntheticConfig, make_synthetic
from offline.datasets.types import Dataset
from offline.reproduce.config import Paper, Plan, ReproduceConfig


def dataset(name: str = "ml-1m", folder: Path | None = None) -> Dataset:
    """The planted world under a public data set's name."""
    made = make_synthetic(SyntheticConfig(items=400, users=300), seed=1)
    if name == "lastfm":
        items = made.items.select(["item_id", "title", "genre"]).rename_columns(["item_id", "title", "tag"])
        return replace(made, name=name, items=items)
    return replace(made, name=name)


def config(paper: Paper, out: Path) -> ReproduceConfig:
    """Fast, one seed."""
    return ReproduceConfig(paper=paper, out=out, fast=True, command=f"tiller reproduce {paper} --fast")


def plan(asked: ReproduceConfig) -> Plan:
    """The fast plan with next to no training."""
    return replace(
        Plan.of(asked),
        fidelity_users=25,
        steering_users=30,
        audience=15,
        promoted_items=2,
        stage1_steps=25,
        stage2_steps=8,
        paper_steps=20,
        state_steps=30,
        ks=(4,),
        states=1_500,
        judged_states=800,
        steered=1,
        recommenders={
            "mf": {"dim": 16, "epochs": 8},
            "ncf": {"dim": 16, "epochs": 1, "sampled_items": 64},
            "sasrec": {"dim": 16, "epochs": 2, "max_length": 10},
        },
    )


def plant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads an archive gets the planted world."""
    monkeypatch.setattr("offline.reproduce.worlds.load_dataset", lambda name, _: dataset(name))
