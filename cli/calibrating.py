"""`tiller bundle calibrate`: the dial of a bundle found anew, on its own users, checked on others and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import make_console

if TYPE_CHECKING:
    from bundle import Bundle, Calibration
    from offline.calibrate import CalibrateConfig
    from offline.datasets.types import Interactions

MOST_ROWS = 40


def calibrate(  # noqa: PLR0917 - options, each by its name
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Bundle folder, with users.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the new bundle.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is at --out; without it, DIR.")] = False,
    interactions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Parquet: user_id, item_id. Items a user took are masked.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Or the public data set the bundle was made of.")] = "",
    data: Annotated[Path | None, typer.Option(help="Its archive or folder.")] = None,
    lengths: Annotated[str, typer.Option(help="List lengths, rising, by commas.")] = "10,40",
    users: Annotated[int, typer.Option(min=1, help="Users the curves are found on.")] = 250,
    check_users: Annotated[int, typer.Option(min=0, help="Other users the dial is checked on.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampled users.")] = 0,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw dial against measured share: .svg, .png or .pdf.")
    ] = None,
) -> None:
    """Find anew what strength gives which share of a list, and say how far the dial is off on other users.

    Without --out and --replace nothing is written: the errors and the reach are printed. Needs the train extra.

    Example: tiller bundle calibrate bundles/ml-1m --dataset ml-1m --data ml-1m.zip --lengths 5,10,40 --figure dial.svg
    """
    from bundle import load_bundle, refuse_occupied
    from bundle.rewrite import write_with
    from cli.refuse import UsageRefused

    if data is not None and not dataset:
        raise UsageRefused("--data without --dataset", hint="Say which data set it is.")
    if dataset and interactions is not None:
        raise UsageRefused("--interactions and --dataset", expected="one of the two")
    config = _config(lengths, users, check_users, seed)
    if figure is not None:
        from offline.calibrate.figure import check_format

        check_format(figure)
    target = out or (folder if replace else None)
    if target is not None:
        refuse_occupied(target, replace=replace)
    bundle = load_bundle(folder)
    made = _calibrated(bundle, _taken(bundle, interactions, dataset, data), config)
    _print(bundle, made)
    if figure is not None and made.check is not None:
        from offline.calibrate.figure import draw_check

        draw_check(made.check, figure)
        typer.echo(f"{figure}: the dial against what was measured")
    if target is not None:
        text = made.to_json() + "\n"
        manifest = write_with(
            bundle, target, {"calibration.json": lambda path: _write(path, text)}, fields={},
            provenance={"calibrated_from": bundle.manifest.bundle_id}, replace=replace,
        )  # fmt: skip
        typer.echo(f"{target}: bundle {manifest.bundle_id}, calibrated")


def _config(lengths: str, users: int, check_users: int, seed: int) -> CalibrateConfig:
    """The options as a configuration; a user asked for is a user taken, whatever the work."""
    from pydantic import ValidationError

    from cli.refuse import UsageRefused
    from offline.calibrate import CalibrateConfig

    try:
        return CalibrateConfig(
            lengths=tuple(int(part) for part in lengths.split(",")),
            users=users,
            check_users=check_users,
            fewest_users=max(users, check_users, 1),
            seed=seed,
        )
    except (ValueError, ValidationError) as error:
        raise UsageRefused("--lengths", found=repr(lengths), expected="rising whole numbers, like 10,40") from error


def _taken(bundle: Bundle, interactions: Path | None, dataset: str, data: Path | None) -> Interactions | None:
    """Interactions as rows of the bundle's users and items; a data set's are the part it was trained on."""
    import pyarrow as pa

    from cli.refuse import UsageRefused
    from offline.datasets import load_dataset
    from offline.datasets.interactions import read_interactions
    from offline.recommenders.split import hold_out

    contents = bundle.contents
    if contents.user_ids is None:
        raise UsageRefused(f"{bundle.path}: users", found="none in the bundle", hint="Train with --store-users.")
    if interactions is not None:
        users = (bundle.path / "users.parquet", pa.array(contents.user_ids))
        items = (bundle.path / "items.parquet", contents.items["item_id"].combine_chunks())
        return read_interactions(interactions, users, items)
    if not dataset:
        return None
    known = load_dataset(dataset, data, seed=int(bundle.manifest.provenance.get("seed", 0)))
    same = known.user_ids == contents.user_ids and known.items["item_id"].equals(contents.items["item_id"])
    if not same or known.interactions is None:
        raise UsageRefused(
            f"--dataset {dataset}", found=f"{len(known.user_ids):,} users, {known.items.num_rows:,} items",
            expected=f"the {len(contents.user_ids):,} users and {contents.items.num_rows:,} items of the bundle",
        )  # fmt: skip
    provenance = bundle.manifest.provenance
    protocol = provenance.get("config", {}).get("protocol", "temporal")
    return hold_out(known.interactions, protocol, seed=int(provenance.get("seed", 0))).train


def _calibrated(bundle: Bundle, train: Interactions | None, config: CalibrateConfig) -> Calibration:
    import numpy as np
    from rich.console import Console

    from cli.refuse import UsageRefused
    from offline.calibrate import calibrate as run
    from offline.datasets.types import Embeddings
    from offline.evaluate.subject import Subject
    from offline.progress import make_progress

    contents = bundle.contents
    if contents.scorer == "network":
        raise UsageRefused(
            f"{bundle.path}: scorer", found="network", expected="an inner product or cosine",
            hint="The training run calibrates a network's bundle: tiller train.",
        )  # fmt: skip
    assert contents.user_vectors is not None
    vectors = np.asarray(contents.item_vectors), np.asarray(contents.user_vectors)
    embeddings = Embeddings(*vectors, contents.item_bias, contents.metric)
    subject = Subject(embeddings, contents.sae, contents.item_codes, contents.concepts, contents.arrays)
    ui = make_progress(Console(stderr=True))
    try:
        ui.stage("calibrating the dial")
        return run(subject, train, config, lambda done, total, _: ui.step(done, total, {}))
    finally:
        ui.close()


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _print(bundle: Bundle, made: Calibration) -> None:
    """Errors per channel, list length and segment; then the reach of every concept at the first list length."""
    from rich.table import Table

    console = make_console()
    families: dict[str, set[str]] = {}
    for concept in bundle.contents.concepts.concepts:
        families.setdefault(concept.family, set()).add(concept.id)
    if made.check is not None:
        errors = Table(box=None, padding=(0, 2), pad_edge=False)
        for name in ("dial error, mean", *made.check.channels):
            errors.add_column(name, justify="left" if name == "dial error, mean" else "right")
        rows = {"all concepts": [made.check.error(channel) for channel in made.check.channels]}
        for family, ids in families.items():
            if any(row.concept in ids for row in made.check.rows):
                rows[f"  {family}"] = [made.check.error(channel, ids) for channel in made.check.channels]
        for k in sorted({row.k for row in made.check.rows}):
            rows[f"  top {k}"] = [made.check.error(channel, k=k) for channel in made.check.channels]
        for name in made.check.segments:
            rows[f"  users, segment {name}"] = [made.check.segment_errors(c)[name] for c in made.check.channels]
        for name, values in rows.items():
            errors.add_row(name, *(f"{value:.4f}" for value in values))
        console.print(errors)
        console.print(f"on {made.check.users:,} users that the {made.users:,} of the curves do not include\n")
    reach = Table(box=None, padding=(0, 2), pad_edge=False)
    k = min((curve.k for curve in made.curves), default=0)
    for name in ("concept", f"share of top {k}", "demote 1, item", "query", "promote 1, item", "query"):
        reach.add_column(name, justify="left" if name == "concept" else "right")
    shown = list(dict.fromkeys(curve.concept for curve in made.curves))
    for concept_id in shown[:MOST_ROWS]:
        found = {(c.action, c.channel): c for c in made.curves if c.concept == concept_id and c.k == k}
        cells = [
            f"{found[key].reach:.1%}{' poor' if found[key].poor else ''}" if key in found else "-"
            for key in (("demote", "item"), ("demote", "query"), ("promote", "item"), ("promote", "query"))
        ]
        reach.add_row(concept_id, f"{found['promote', 'item'].base:.1%}", *cells)
    console.print(reach)
    if len(shown) > MOST_ROWS:
        console.print(f"... and {len(shown) - MOST_ROWS} more in calibration.json")
