"""The command ``python -m offline.train_sae``: embeddings in, a bundle that can be served out.

``tiller train`` runs the same ``main``. Exit codes: 0 done; 2 refused, with one sentence; 130 interrupted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from bundle.errors import DataError, TillerError, TrainingError

if TYPE_CHECKING:
    from bundle import Manifest
    from offline.config import PipelineConfig
    from offline.progress import Progress

HELP = """Train a sparse autoencoder on the embeddings of a frozen two-tower recommender and export a bundle.

Your own embeddings (Parquet: item_id, embedding and any metadata; user_id, embedding):

    python -m offline.train_sae --items items.parquet --users users.parquet --out bundles/mine

With interactions, the report also says how well the recommender ranks, beside popularity:

    python -m offline.train_sae --items items.parquet --users users.parquet --interactions taken.parquet --out bundles/mine

Vectors as numpy matrices, with their ids (text, one per line, or Parquet with metadata):

    python -m offline.train_sae --item-vectors v.npy --item-ids items.parquet --user-vectors u.npy --user-ids users.txt --out bundles/mine

A public data set, whose recommender is trained first:

    python -m offline.train_sae --dataset ml-1m --data ml-1m.zip --recommender mf --out bundles/ml-1m

A recommender with a scorer network, or a user tower that reads histories (docs/recommenders.md):

    python -m offline.train_sae --items items.parquet --users users.parquet --scorer scorer.onnx --out bundles/mine

A text column becomes concepts (genre:horror), a number intervals (year:1980s, popularity:head). A killed run goes on
where it was when the same command is given again.
"""  # noqa: E501 - commands are not broken

SECTIONS = ("sae", "recommender", "world", "label", "calibration", "evaluation")
"""Sections of a --config file, each with the keys of its own configuration."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

File = Path | None


@app.command(help=HELP, no_args_is_help=True)
def _command(
    context: typer.Context,
    *,
    out: Annotated[Path, typer.Option(help="Folder of the bundle to make.")],
    items: Annotated[File, typer.Option(help="Items: item_id, embedding, optional title, bias, metadata.")] = None,
    users: Annotated[File, typer.Option(help="Users: user_id, embedding.")] = None,
    interactions: Annotated[File, typer.Option(help="Optional: user_id, item_id, optional order, weight.")] = None,
    item_vectors: Annotated[File, typer.Option(help=".npy [items, dim] in place of the embedding column.")] = None,
    item_ids: Annotated[File, typer.Option(help="Ids of --item-vectors: text or Parquet.")] = None,
    user_vectors: Annotated[File, typer.Option(help=".npy [users, dim].")] = None,
    user_ids: Annotated[File, typer.Option(help="Ids of --user-vectors: text or Parquet.")] = None,
    embedding_column: Annotated[str, typer.Option(help="Name of the embedding column.")] = "embedding",
    bias_column: Annotated[str | None, typer.Option(help="Item bias added to the score; default: bias.")] = None,
    columns: Annotated[str | None, typer.Option(help="Metadata columns to use, with commas; default: all.")] = None,
    metric: Annotated[str, typer.Option(help="How your recommender scores: dot or cosine.")] = "dot",
    dataset: Annotated[str | None, typer.Option(help="ml-1m, ml-100k, lastfm or synthetic.")] = None,
    data: Annotated[File, typer.Option(help="Its archive or folder; default: download it.")] = None,
    recommender: Annotated[str, typer.Option(help="What is trained on --dataset: mf, ncf or sasrec.")] = "mf",
    protocol: Annotated[str, typer.Option(help="What is held out: temporal, paper, leave_last_out.")] = "temporal",
    scorer: Annotated[
        File, typer.Option(help="ONNX that scores in place of the metric: user, items -> scores.")
    ] = None,
    user_tower: Annotated[File, typer.Option(help="ONNX that makes a user: history -> user.")] = None,
    history_length: Annotated[int | None, typer.Option(help="Items it reads, if the graph does not say.")] = None,
    latents: Annotated[int | None, typer.Option(help="Width of the SAE; default from the embedding size.")] = None,
    k_items: Annotated[int | None, typer.Option(help="Active latents per item.")] = None,
    k_users: Annotated[int | None, typer.Option(help="Active latents per user, in the last stage.")] = None,
    activation: Annotated[str | None, typer.Option(help="topk, batchtopk or relu.")] = None,
    config: Annotated[File, typer.Option(help=f"YAML with sections {', '.join(SECTIONS)}; flags win.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    name: Annotated[str, typer.Option(help="Name of the bundle, for people.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a bundle that is there.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with a killed run of the same input.")] = True,
    keep_run: Annotated[bool, typer.Option("--keep-run", help="Keep OUT.run with its checkpoints.")] = False,
    evaluate: Annotated[bool, typer.Option(help="Measure fidelity and steering for the report.")] = True,
    calibrate: Annotated[bool, typer.Option(help="Measure what dose gives which share of the list.")] = True,
    store_users: Annotated[bool, typer.Option(help="Put users' ids and vectors into the bundle.")] = True,
) -> None:
    given = {name: value for name, value in locals().items() if name != "context"}
    typed = sys.argv[1:] if context.obj is None else context.obj
    try:
        train(_configure(given, typed), Console(stderr=True))
    except TillerError as error:
        _say(str(error))
        raise typer.Exit(2) from error
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from the last checkpoint")
        raise typer.Exit(130) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command on ``arguments`` (the process's when None); the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=given, prog_name="python -m offline.train_sae", obj=given)
    except SystemExit as end:
        code = end.code
    return code if isinstance(code, int) else 0


def train(config: PipelineConfig, console: Console | None = None, ui: Progress | None = None) -> Manifest:
    """Make the bundle, showing progress on ``console``, and print the summary on standard output.

    Raises:
        TillerError: whatever was refused, as one sentence.
    """
    from bundle import load_bundle
    from offline.pipeline import run
    from offline.progress import make_progress
    from offline.summary import print_summary

    started = time.perf_counter()
    manifest = run(config, ui or make_progress(console or Console(stderr=True)))
    out = Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=120)
    print_summary(out, load_bundle(config.out, verify=False), time.perf_counter() - started)
    return manifest


def _configure(given: dict[str, Any], typed: Sequence[str]) -> PipelineConfig:
    """Flags laid over the --config file, checked as one configuration."""
    from pydantic import ValidationError

    from offline.config import PipelineConfig, checked, refused
    from offline.datasets.synthetic import SyntheticConfig
    from offline.label import LabelConfig

    sections = _read_sections(given.pop("config"))
    sae = sections.get("sae", {})
    knobs = {name: given.pop(name) for name in ("latents", "activation", "k_items", "k_users")}
    sae = _with_knobs(sae, knobs)
    columns = given.pop("columns")
    try:
        return PipelineConfig(
            **given,
            columns=tuple(name.strip() for name in columns.split(",") if name.strip()) if columns else None,
            sae=sae,
            label=checked(LabelConfig, sections.get("label", {}), "label"),
            world=checked(SyntheticConfig, sections.get("world", {}), "world"),
            recommender_options=sections.get("recommender", {}),
            calibration=sections.get("calibration", {}),
            evaluation=sections.get("evaluation", {}),
            command=("python", "-m", "offline.train_sae", *typed),
        )
    except ValidationError as error:
        raise refused(error, "options", list(PipelineConfig.model_fields)) from error


def _with_knobs(sae: Mapping[str, Any], knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Flags in the place of their keys. ``k_items`` also holds for the users of stage 1, which share its tower."""
    out: dict[str, Any] = dict(sae)
    for name in ("latents", "activation"):
        if knobs[name] is not None:
            out[name] = knobs[name]
    shared = out.get("towers") == "shared"
    stages: dict[str, dict[str, Any]] = {"stage1": {}, "stage2": {}}
    if knobs["k_items"] is not None:
        stages["stage1"] = {"k_items": knobs["k_items"], "k_users": knobs["k_items"]}
        stages["stage2"] = {"k_items": knobs["k_items"]}
    if knobs["k_users"] is not None:
        stages["stage1" if shared else "stage2"]["k_users"] = knobs["k_users"]
    for stage, keys in stages.items():
        if keys and not (shared and stage == "stage2"):
            out[stage] = {**(out.get(stage) or {}), **keys}
    return out


def _read_sections(path: Path | None) -> dict[str, dict[str, Any]]:
    if path is None:
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        told = " ".join(str(error).split())
        raise DataError(
            f"{path}", found=f"not a YAML file that can be read ({told})", hint="Check --config."
        ) from error
    document = {} if document is None else document
    if not isinstance(document, dict) or not all(isinstance(part, dict) for part in document.values()):
        raise DataError(f"{path}", found="something else", expected=f"sections {', '.join(SECTIONS)}, each with keys")
    unknown = [str(key) for key in document if key not in SECTIONS]
    if unknown:
        raise TrainingError(
            f"{path}: {unknown[0]}",
            found="an unknown section",
            expected=f"one of {', '.join(SECTIONS)}",
            hint="Keys of the SAE, like latents, go below sae:.",
        )
    return document


def _say(sentence: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(escape(f"train: {sentence}"))


if __name__ == "__main__":
    sys.exit(main())
