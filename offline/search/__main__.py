"""The command ``python -m offline.search`` (``tiller search``): find the frontier, confirm points of it, draw it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bundle.errors import DataError, TillerError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

HELP = """Search the SAE's hyper-parameters on a public data set: purity against fidelity.

    python -m offline.search --data ml-1m.zip --out runs/search --trials 24
    python -m offline.search --data ml-1m.zip --out runs/search --trials 24 --confirm 3 --seeds 3

Trials are kept in OUT/journal.log (optuna); the same command goes on where a killed one was. --confirm trains so many
points of the frontier, the default and the default before it in full, on items and users that no trial has seen, and
writes OUT/search.json, OUT/table.md and OUT/frontier.svg. Needs the extra "search".
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=HELP, no_args_is_help=True)
def _command(  # noqa: PLR0917  options of a command, always given by name
    out: Annotated[Path, typer.Option(help="Folder of the study; an earlier one there goes on")],
    dataset: Annotated[Literal["ml-1m", "ml-100k", "lastfm", "synthetic"], typer.Option(help="Data set")] = "ml-1m",
    data: Annotated[Path | None, typer.Option(help="Its archive or folder; left out: downloaded")] = None,
    trials: Annotated[int, typer.Option(min=0, help="Complete trials the study shall have")] = 24,
    steps: Annotated[float, typer.Option(min=0.001, max=1, help="Share of the training steps of a trial")] = 0.4,
    confirm: Annotated[int, typer.Option(min=0, help="Points of the frontier to train in full; 0: none")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of a confirmed point: 0, 1, ...")] = 3,
    point: Annotated[
        list[str] | None,
        typer.Option(help="A point of one's own to try next: JSON of what differs from the default; may be repeated"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the halves, the recommender and the sampler")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch")] = 1,
    device: Annotated[str, typer.Option(help="cpu | cuda | cuda:N")] = "cpu",
) -> None:
    try:
        import optuna  # noqa: F401 - asked for here, so that the sentence comes before any work
    except ImportError as error:
        raise DataError(
            "optuna", found="not installed", expected="the extra search", hint='Run: pip install "tiller[search]"'
        ) from error
    import torch

    from offline.datasets import load_dataset
    from offline.search import study as studies
    from offline.search.bench import Bench
    from offline.search.figure import draw_frontier, table
    from offline.search.space import VERSION, given

    torch.set_num_threads(threads)
    own = [given(text) for text in point or ()]
    study = studies.open_study(out, f"{dataset}, steps {steps:g}, seed {seed}, space {VERSION}", seed=seed, points=own)
    bench = Bench.build(load_dataset(dataset, data), seed=seed, device=device)
    studies.search(study, bench, trials=trials, steps=steps, seed=seed, device=device, tell=print)
    front = studies.frontier(study)
    lines = []
    if confirm:
        points = studies.named_points(study, confirm)
        lines = studies.confirm(out, bench, points, range(seeds), device=device, tell=print)
        rows = table(lines)
        (out / "table.md").write_text(rows + "\n")
        print(rows)
        values = [[(trial.values[0], trial.values[1]) for trial in group] for group in (studies.complete(study), front)]
        default = studies.default_values(study)
        draw_frontier(values[0], values[1], lines, out / "frontier.svg", default)
    document = {
        "dataset": dataset,
        "steps": steps,
        "seed": seed,
        "concepts": list(bench.names),
        "trials": [_facts(trial) for trial in studies.complete(study)],
        "frontier": [trial.number for trial in front],
        "confirmed": lines,
    }
    (out / "search.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(studies.complete(study))} trials, {len(front)} on the frontier: {out / 'search.json'}")


def _facts(trial: FrozenTrial) -> dict[str, Any]:
    purity, rbo = trial.values
    return {"number": trial.number, "point": trial.params, "purity": purity, "rbo": rbo, **trial.user_attrs}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 2 refused with one sentence, 130 interrupted."""
    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), standalone_mode=False)
    except TillerError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except typer.Exit as done:
        return done.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
