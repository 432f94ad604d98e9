"""The stages of `tiller demo`: data, training, bundle, server, questions, next steps."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

import numpy as np
from rich.console import Console

from bundle import Bundle, load_bundle
from cli.console import make_console
from cli.demo_report import CANDIDATES, SURVEYED, Facts, next_steps, print_made, report
from cli.refuse import UsageRefused
from cli.server_process import served
from cli.showcase import Ask, Titles
from client import Rule, TillerClient

if TYPE_CHECKING:
    from offline.config import PipelineConfig
    from offline.datasets.types import Dataset

MOST_EXCLUDED = 10_000
"""The server's bound (server.settings.Limits.max_exclude)."""


@dataclass(frozen=True)
class DemoPlan:
    """What `tiller demo` was asked for."""

    dataset: str = "synthetic"
    data: Path | None = None
    out: Path = Path("bundles/demo")
    seed: int = 0
    items: int | None = None
    users: int | None = None
    steps: int | None = None
    svg: Path | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """The command line that asks for the same bundle, for its provenance."""
        given = {"data": self.data, "seed": self.seed, "items": self.items, "users": self.users, "steps": self.steps}
        options = [part for name, value in given.items() if value is not None for part in (f"--{name}", str(value))]
        return ("tiller", "demo", "--dataset", self.dataset, *options)


def run_demo(plan: DemoPlan) -> Facts:
    """Run the whole demo; its figures. The server is stopped whatever happens, SIGTERM and SIGHUP included."""
    started = time.perf_counter()
    console = make_console()
    with ending_in_order():
        bundle, dataset = _make_bundle(plan, console)
        console.print(f"\nStarting the server on {plan.out} and asking it as a client ...\n")
        with served(plan.out) as address, TillerClient(address) as client:
            client.wait_ready()
            facts = report(bundle, _asker(client, dataset), _users(dataset, plan.seed), console, plan.svg)
    console.print(f"\nDone in {time.perf_counter() - started:.0f} s; the server is stopped, the bundle stays.\n")
    # Not wrapped: these lines are there to be copied.
    print(next_steps(plan.out, facts, _program()))
    return facts


def _make_bundle(plan: DemoPlan, console: Console) -> tuple[Bundle, Dataset]:
    from offline.pipeline import run
    from offline.progress import make_progress

    config = _config(plan)
    run(config, make_progress(console))
    bundle = load_bundle(plan.out)
    print_made(bundle, console)
    return bundle, _dataset(config)


def _users(dataset: Dataset, seed: int) -> Sequence[str]:
    """Users that have taken something, in an order drawn from the seed."""
    assert dataset.interactions is not None
    active = np.unique(dataset.interactions.user)
    count = min(len(active), max(CANDIDATES, SURVEYED))
    chosen = np.random.default_rng(seed).choice(active, size=count, replace=False)
    return [dataset.user_ids[row] for row in chosen]


def _asker(client: TillerClient, dataset: Dataset) -> Ask:
    """Asks for a user without the items that the user has taken."""
    assert dataset.interactions is not None
    rows = {user_id: row for row, user_id in enumerate(dataset.user_ids)}
    item_ids = dataset.items["item_id"].to_pylist()
    order = np.argsort(dataset.interactions.user, kind="stable")
    starts = np.searchsorted(dataset.interactions.user[order], np.arange(len(rows) + 1))
    taken = dataset.interactions.item[order]

    def ask(user_id: str, rules: Sequence[Rule], k: int) -> Titles:
        row = rows[user_id]
        own = dict.fromkeys(item_ids[item] for item in taken[starts[row] : starts[row + 1]])
        answer = client.recommend(user_id=user_id, k=k, rules=rules, exclude=list(own)[:MOST_EXCLUDED])
        return [(item.item_id, item.title) for item in answer.items]

    return ask


def _program() -> str:
    """How this `tiller` is typed: its name where the shell finds it, else its path."""
    if shutil.which("tiller"):
        return "tiller"
    beside = Path(sys.executable).with_name("tiller")
    if not beside.is_file():
        return f"{Path(sys.executable).name} -m cli"
    here = Path.cwd()
    return str(beside.relative_to(here)) if beside.is_relative_to(here) else str(beside)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP leave through the ``finally`` blocks, as Ctrl-C does."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of a handler
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _config(plan: DemoPlan) -> PipelineConfig:
    from offline.config import PipelineConfig
    from offline.datasets import NAMES
    from offline.datasets.synthetic import SyntheticConfig

    sizes = {name: size for name, size in (("items", plan.items), ("users", plan.users)) if size is not None}
    sae: dict[str, Any] = {}
    if plan.steps is not None:
        sae = {"stage1": {"steps": plan.steps}, "stage2": {"steps": max(1, plan.steps // 2)}}
    return PipelineConfig(
        out=plan.out,
        replace=True,
        seed=plan.seed,
        dataset=_known(plan.dataset, NAMES),
        data=plan.data,
        world=SyntheticConfig(**sizes),
        sae=sae,
        calibration={"lengths": [10], "check_users": 0},  # the demo shows lists of 10
        evaluate=False,  # fidelity and dose curves take their time; tiller train measures them
        command=plan.command,
    )


def _known(name: str, names: Sequence[str]) -> Literal["ml-1m", "ml-100k", "lastfm", "synthetic"]:
    if name not in names:
        raise UsageRefused("--dataset", found=repr(name), expected=" | ".join(names))
    return cast(Literal["ml-1m", "ml-100k", "lastfm", "synthetic"], name)


def _dataset(config: PipelineConfig) -> Dataset:
    from offline.datasets import load_dataset

    assert config.dataset is not None
    return load_dataset(config.dataset, config.data, seed=config.seed, world=config.world)
