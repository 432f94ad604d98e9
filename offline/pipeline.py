"""The whole way: data -> recommender -> SAE -> codes -> concepts -> evaluation -> a verified bundle.

Each arrow is a stage that reports through ``offline.progress``. What would be refused at the end is refused before the
first long stage; what a killed run has done is found again in its run folder (offline.workspace).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from bundle import BundleContents, Calibration, Manifest, load_bundle, refuse_occupied
from bundle.disk import told_of_refusals
from bundle.errors import TrainingError
from bundle.writer import FileWriter
from offline import inputs, stages
from offline.config import PipelineConfig
from offline.export import export_bundle
from offline.progress import Progress, Quiet
from offline.provenance import make_provenance
from offline.threads import few_threads
from offline.workspace import Workspace

GO_ON = "Make room or give the right to write; the same command goes on from what is kept."


@dataclass
class _Clock:
    """Seconds of every stage, and the way to the person who waits."""

    ui: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, title: str) -> Iterator[None]:
        self.ui.stage(title)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)


def run(
    config: PipelineConfig,
    ui: Progress | None = None,
    *,
    scorer: nn.Module | None = None,
    user_tower: nn.Module | None = None,
) -> Manifest:
    """Make a bundle at ``config.out`` and verify it; the manifest of what lies there.

    ``scorer``, ``user_tower``: torch modules of one's own beside one's own tables, in place of their ONNX files
    (offline.recommenders.custom says what they read and make).

    Raises:
        BundleExists: the output is taken; DataError: the input is off; TrainingError: a stage cannot go on.
    """
    ui = ui or Quiet()
    refuse_occupied(config.out, replace=config.replace)
    workspace = Workspace(config.out)
    done = False
    try:
        refusals = told_of_refusals(TrainingError, f"the run in {workspace.folder} stopped", GO_ON)
        with refusals, TemporaryDirectory(prefix="tiller-") as folder, few_threads():
            modules = {"scorer": scorer, "user_tower": user_tower}
            manifest = _run(config, workspace, _Clock(ui), modules=modules, folder=Path(folder))
        done = True
    finally:
        ui.close()
        workspace.release(delete=done and not config.keep_run)
    return manifest


def _run(
    config: PipelineConfig,
    workspace: Workspace,
    clock: _Clock,
    *,
    modules: dict[str, nn.Module | None],
    folder: Path,
) -> Manifest:
    """``folder``: for files on their way into the bundle."""
    ui = clock.ui
    with clock.stage("data", f"reading {config.dataset or 'tables'}"):
        dataset, recommender = inputs.load(config, ui, modules)
    told = workspace.claim(inputs.deciding_facts(config, dataset, modules), resume=config.resume)
    if told:
        ui.say(told)
    split = inputs.hold_out(dataset.interactions, config.protocol, seed=config.seed)
    if recommender is None:
        with clock.stage("recommender", f"training the recommender ({config.recommender})"):
            recommender = inputs.recommend(config, dataset, split, workspace=workspace, ui=ui)
    embeddings, graphs = recommender.embeddings, inputs.graphs(config, recommender, folder)
    with clock.stage("ranking", "ranking against popularity"):
        ranking = inputs.rank(recommender, split, dataset, config.protocol)
    with clock.stage("sae", "training the SAE, stage 1"):
        trained = stages.train(config, recommender, split, workspace=workspace, ui=ui)
    with clock.stage("concepts", "naming concepts"):
        codes = stages.encode_items(trained.weights, embeddings.items)
        labels = stages.label(config, dataset, codes, recommender=recommender, sae=trained.weights, split=split, ui=ui)
    contents = BundleContents(
        sae=trained.weights,
        metric=embeddings.metric,
        items=dataset.items,
        item_vectors=embeddings.items,
        item_bias=embeddings.item_bias,
        item_codes=codes,
        concepts=labels.concepts,
        arrays=labels.arrays,
        calibration=Calibration(),
        user_ids=dataset.user_ids if config.store_users else None,
        user_vectors=embeddings.users if config.store_users else None,
        history_length=recommender.history_length,
        scorer_onnx=graphs.get("scorer"),
        user_tower_onnx=graphs.get("user_tower"),
    )
    if config.calibrate:
        with clock.stage("calibration", "calibrating the dial"):
            contents = stages.calibrated(config, contents, recommender, split, ui)
    provenance = make_provenance(config, dataset, trained, labels, ranking=ranking, recommender=recommender)
    evaluation: dict[str, FileWriter] = {}
    if config.evaluate:
        with clock.stage("evaluation", "measuring fidelity and steering"):
            document = stages.measure(
                config, contents, recommender, split, trained=trained, provenance=provenance, ui=ui
            )
            evaluation = stages.evaluation_files(document, config.title)
            contents = stages.steered(contents, document)
    with clock.stage("export", "writing and verifying the bundle"):
        manifest = export_bundle(
            config.out,
            contents,
            name=config.title,
            recommender=recommender.name,
            provenance={**provenance, "seconds": dict(clock.seconds)},
            evaluation=evaluation,
            users=embeddings.users,
            replace=config.replace,
        )
        load_bundle(config.out, verify=True)
    return manifest
