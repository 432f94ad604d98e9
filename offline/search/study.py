"""The search itself: an optuna study with two objectives, in a journal file that a killed run goes on from.

Tree-structured Parzen estimators for several objectives (Ozaki et al. 2020), seeded by the default and the one before
it. Trials train with a share of the steps; ``confirm`` trains the frontier's points in full, with several seeds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from offline.search.bench import Bench
from offline.search.space import BEFORE, DEFAULT, Point, configuration, draw

JOURNAL, CONFIRMED = "journal.log", "confirmed.jsonl"
OBJECTIVES = ("purity", "rbo")
STARTUP = 6
"""Random trials before the sampler begins to model; the two enqueued points come on top."""

Tell = Callable[[str], None]


def open_study(folder: Path, name: str, *, seed: int, points: Iterable[Point] = ()) -> optuna.Study:
    """The study ``name`` of the journal in ``folder``, made where it is not there yet.

    Today's default, the one before it and ``points`` are tried next where they were not yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name,
        storage=JournalStorage(JournalFileBackend(str(folder / JOURNAL))),
        # Resumed, the sampler must not draw the first trials' numbers again: the count of trials moves its seed.
        sampler=optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed),
        directions=["maximize"] * len(OBJECTIVES),
        load_if_exists=True,
    )
    done = len(study.get_trials(deepcopy=False))
    if done:
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed + done)
    for point in (DEFAULT, BEFORE, *points):
        study.enqueue_trial(point, skip_if_exists=True)
    return study


def search(study: optuna.Study, bench: Bench, *, trials: int, steps: float, seed: int, device: str, tell: Tell) -> None:
    """Run trials until ``trials`` are complete; every one is in the journal when it ends."""
    dim = bench.embeddings.items.shape[1]

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        started = time.perf_counter()
        config = configuration(draw(trial), bench.base(seed), dim, steps=steps)
        weights, figures = bench.train_sae(config, device)
        decided = bench.decide(weights)
        trial.set_user_attr("dead_share", figures["dead_share"])
        trial.set_user_attr("l0_items", figures["l0_items"])
        trial.set_user_attr("seconds", round(time.perf_counter() - started, 1))
        tell(f"trial {trial.number}: purity {decided['purity']:.4f}, RBO {decided['rbo']:.4f}")
        return decided["purity"], decided["rbo"]

    while (left := trials - len(complete(study))) > 0:
        study.optimize(objective, n_trials=min(left, 1))


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were measured, in their order."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def frontier(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that no other beats in both objectives, by ascending fidelity."""
    best = [
        trial
        for trial in complete(study)
        if not any(
            all(b >= a for a, b in zip(trial.values, other.values, strict=True)) and other.values != trial.values
            for other in complete(study)
        )
    ]
    return sorted(best, key=lambda trial: float(trial.values[1]))


def default_values(study: optuna.Study) -> tuple[float, float] | None:
    """Purity and RBO of today's default among the trials; None where it was not tried."""
    return next(((trial.values[0], trial.values[1]) for trial in complete(study) if trial.params == DEFAULT), None)


def confirm(
    folder: Path,
    bench: Bench,
    points: Mapping[str, Point],
    seeds: Iterable[int],
    *,
    device: str,
    tell: Tell,
    steps: float = 1.0,
) -> list[dict[str, Any]]:
    """Every point trained in full with every seed, on what no trial has seen; a line of confirmed.jsonl each.

    A line that is there is not measured again.
    """
    dim = bench.embeddings.items.shape[1]
    lines = read_confirmed(folder)
    wanted = [(name, point, seed) for seed in seeds for name, point in points.items()]
    for name, point, seed in wanted:
        if any(line["point"] == point and line["seed"] == seed for line in lines):
            continue
        weights, figures = bench.train_sae(configuration(point, bench.base(seed), dim, steps=steps), device)
        line = {"name": name, "seed": seed, "point": point, **figures, **bench.report(weights)}
        lines.append(line)
        with (folder / CONFIRMED).open("a") as file:
            file.write(json.dumps(line) + "\n")
        tell(f"{name}, seed {seed}: RBO {line['rbo_truncated_both']:.3f}, {figures['seconds']:.0f} s")
    return [line for line in lines if any(line["point"] == point for point in points.values())]


def read_confirmed(folder: Path) -> list[dict[str, Any]]:
    """Lines of confirmed.jsonl; a line that a kill cut off is left out."""
    file = folder / CONFIRMED
    lines = []
    for text in file.read_text().splitlines() if file.is_file() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def named_points(study: optuna.Study, most: int) -> dict[str, Point]:
    """What is confirmed: today's default, the one before, and at most ``most`` points spread along the frontier."""
    front = frontier(study)
    count = min(most, len(front))
    places = [round(i * (len(front) - 1) / max(1, count - 1)) for i in range(count)]
    chosen = {f"trial {front[place].number}": dict(front[place].params) for place in dict.fromkeys(places)}
    known = {"default": DEFAULT, "default before": BEFORE}
    return {**known, **{name: point for name, point in chosen.items() if point not in known.values()}}
