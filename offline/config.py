"""What a whole run is asked to do, frozen, and how overrides of the SAE's own configuration are put into it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rapidfuzz.process import extractOne

from bundle import Metric
from bundle.errors import TrainingError
from offline.calibrate.config import CalibrateConfig
from offline.datasets.synthetic import SyntheticConfig
from offline.evaluate.config import EvaluateConfig
from offline.label import LabelConfig
from offline.recommenders.registry import CONFIGS, Name
from offline.recommenders.split import Protocol
from sae.config import ActivationName, SaeConfig
from sae.presets import PRESETS, preset

ModelT = TypeVar("ModelT", bound=BaseModel)


class PipelineConfig(BaseModel):
    """A run: where the data comes from, what is trained, and where the bundle goes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    out: Path = Field(description="folder of the bundle")
    name: str = Field(
        default="", description="name of the bundle, for people; left out: the data set's or the folder's"
    )
    replace: bool = Field(default=False, description="replace a bundle that is there")
    seed: int = Field(default=0, ge=0, description="of the planted world, the recommender, the SAE and every halving")
    device: str = Field(default="cpu", description="cpu | cuda | cuda:N, for the recommender and the SAE")

    dataset: Literal["ml-1m", "ml-100k", "lastfm", "synthetic"] | None = Field(
        default=None, description="a public data set, whose recommender is trained first; or give your own tables"
    )
    data: Path | None = Field(default=None, description="its archive or folder; left out: downloaded")
    world: SyntheticConfig = Field(default_factory=SyntheticConfig, description="sizes of the data set synthetic")
    recommender: Name = Field(default="mf", description="what is trained on a public data set: mf | ncf | sasrec")
    recommender_options: dict[str, Any] = Field(default_factory=dict, description="overrides of its configuration")

    protocol: Protocol = Field(default="temporal", description="what is held out: temporal | paper | leave_last_out")

    items: Path | None = Field(default=None, description="Parquet: item_id, embedding, metadata columns")
    users: Path | None = Field(default=None, description="Parquet: user_id, embedding")
    interactions: Path | None = Field(default=None, description="Parquet: user_id, item_id, optionally a time")
    item_vectors: Path | None = Field(default=None, description=".npy [N, D] in place of the embedding column")
    item_ids: Path | None = Field(default=None, description="ids of item_vectors: text, one per line, or Parquet")
    user_vectors: Path | None = Field(default=None, description=".npy [U, D]")
    user_ids: Path | None = Field(default=None, description="ids of user_vectors")
    embedding_column: str = Field(default="embedding", description="name of the embedding column")
    bias_column: str | None = Field(default=None, description="item bias added to the inner product; default 'bias'")
    columns: tuple[str, ...] | None = Field(default=None, description="metadata columns to use; left out: all")
    metric: Metric = Field(default="dot", description="how the recommender scores: dot | cosine")

    scorer: Path | None = Field(default=None, description="ONNX: the network that scores in place of the metric")
    user_tower: Path | None = Field(default=None, description="ONNX: the network that makes a user of a history")
    history_length: int | None = Field(default=None, ge=1, description="items it reads; left out: as its graph says")

    sae: dict[str, Any] = Field(default_factory=dict, description="overrides of SaeConfig.for_data")
    label: LabelConfig = Field(default_factory=LabelConfig, description="how concepts are looked for")
    evaluation: dict[str, Any] = Field(default_factory=dict, description="overrides of EvaluateConfig")
    evaluate: bool = Field(default=True, description="measure fidelity and steering, write evaluation.json and .html")
    calibration: dict[str, Any] = Field(default_factory=dict, description="overrides of CalibrateConfig")
    calibrate: bool = Field(default=True, description="measure what dose gives which share (calibration.json)")
    store_users: bool = Field(default=True, description="put user ids and vectors into the bundle")
    resume: bool = Field(default=True, description="go on with a killed run of the same configuration and data")
    keep_run: bool = Field(default=False, description="keep the run folder with its checkpoints")
    command: tuple[str, ...] = Field(default=(), description="the command line, for the provenance")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        own = [self.items, self.users, self.interactions, self.item_vectors, self.user_vectors]
        own += [self.scorer, self.user_tower]
        if self.dataset is not None:
            if any(path is not None for path in own):
                raise TrainingError(
                    "input", found="--dataset and own tables", expected="one of the two", hint="Leave one out."
                )
            if self.metric != "dot":
                raise TrainingError(
                    "metric",
                    found=f"{self.metric} with recommender {self.recommender}",
                    expected="dot, which it is trained for",
                    hint="Leave --metric out.",
                )
        elif self.data is not None:
            raise TrainingError("input", found="--data without --dataset", hint="Say which data set it is: --dataset.")
        elif self.items is None and self.item_vectors is None:
            raise TrainingError(
                "input",
                found="nothing to train on",
                expected="--items and --users, or --dataset",
                hint="Look at the examples: python -m offline.train_sae --help",
            )
        elif self.users is None and self.user_vectors is None:
            raise TrainingError(
                "input",
                found="items without users",
                expected="--users TABLE.parquet, or --user-vectors X.npy with --user-ids IDS",
                hint="The SAE reads both towers: a rule on the query channel edits a user.",
            )
        elif self.recommender != "mf" or self.recommender_options:
            raise TrainingError(
                "recommender",
                found="asked for beside own tables",
                expected="--dataset: own embeddings are taken as they are",
                hint="Leave it out; networks of your own go in with --scorer and --user-tower.",
            )
        check_sae_keys(self.sae)
        _ = self.recommender_config, self.evaluate_config, self.calibrate_config
        return self

    @property
    def title(self) -> str:
        """Name of the bundle."""
        return self.name or self.dataset or self.out.name or "bundle"

    @property
    def label_config(self) -> LabelConfig:
        """``label`` with the run's seed; ``columns`` are chosen here for public data, by the reader for own tables."""
        columns = self.label.columns if self.dataset is None else self.columns or self.label.columns
        return self.label.model_copy(update={"seed": self.seed, "columns": columns})

    @property
    def recommender_config(self) -> BaseModel:
        """The recommender's configuration; TrainingError names a wrong key."""
        return checked(CONFIGS[self.recommender], self.recommender_options, "recommender")

    @property
    def evaluate_config(self) -> EvaluateConfig:
        """The evaluation's configuration, with the run's seed; TrainingError names a wrong key."""
        return checked(EvaluateConfig, {"seed": self.seed, **self.evaluation}, "evaluation")

    @property
    def calibrate_config(self) -> CalibrateConfig:
        """The calibration's configuration, with the run's seed; TrainingError names a wrong key."""
        return checked(CalibrateConfig, {"seed": self.seed, **self.calibration}, "calibration")


def check_sae_keys(overrides: Mapping[str, Any]) -> None:
    """Refuse, before any data is read, what no data could make right: unknown keys and wrong types."""
    make_sae_config(overrides, dim=4096, n_items=10**6, n_users=10**6, seed=0)


def make_sae_config(
    overrides: Mapping[str, Any], *, dim: int, n_items: int, n_users: int, seed: int, network: bool = False
) -> SaeConfig:
    """``SaeConfig.for_data`` with ``overrides`` laid over it, stages key by key.

    The key ``preset`` names another form to start from (sae.presets); ``network``: the scorer is one.

    Raises:
        TrainingError: an unknown key or preset (the nearest is named), or a value that cannot be.
    """
    overrides = dict(overrides)
    form = overrides.pop("preset", "default")
    if form not in PRESETS:
        raise TrainingError("sae: preset", found=repr(form), expected=f"one of {', '.join(PRESETS)}")
    activation: ActivationName = "topk"
    for name in get_args(ActivationName):
        if overrides.get("activation") == name:
            activation = name
    derived = SaeConfig.for_data(dim, n_items, n_users, activation=activation, network=network, seed=seed)
    if form != "default":
        derived = preset(form, dim, n_items, n_users, network=network, seed=seed)
    base = derived.model_dump()
    width = overrides.get("latents")
    if isinstance(width, int) and width > 3:
        _cap_sparsity(base, width)
    if overrides.get("towers") == "shared" and "stage2" not in overrides:
        base["stage2"] = None
    try:
        return SaeConfig.model_validate(_laid_over(base, overrides))
    except ValidationError as error:
        raise refused(error, "sae", _known(base)) from error


def checked(model: type[ModelT], given: Mapping[str, Any], where: str) -> ModelT:
    """``given`` as a configuration, or a TrainingError that names section and key."""
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise refused(error, where, list(model.model_fields)) from error


def refused(error: ValidationError, where: str, known: list[str]) -> TrainingError:
    """The first complaint of pydantic as one sentence: section, key, what was found, the nearest key."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    what = f"{where}: {key}" if key else where
    if first["type"] != "extra_forbidden":
        found = f"{first['input']!r}" if not isinstance(first["input"], dict) else None
        return TrainingError(what, found=found, expected=first["msg"].removeprefix("Value error, "))
    nearest = extractOne(key, known)
    hint = f"Did you mean {nearest[0]}?" if nearest and nearest[1] >= 60 else None
    return TrainingError(what, found="an unknown key", expected=f"one of {', '.join(known)}", hint=hint)


def _cap_sparsity(base: dict[str, Any], width: int) -> None:
    """The default sparsity follows a narrower SAE, as in ``for_data``; what is given is not touched."""
    for stage in ("stage1", "stage2"):
        if base[stage] is None:
            continue
        base[stage]["k_items"] = min(base[stage]["k_items"], width // 4)
        base[stage]["k_users"] = min(base[stage]["k_users"], width // (4 if stage == "stage1" else 2))


def _laid_over(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(base)
    for key, value in overrides.items():
        below = base.get(key)
        out[key] = _laid_over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return out


def _known(base: Mapping[str, Any]) -> list[str]:
    keys = []
    for key, value in base.items():
        keys += [f"{key}.{inner}" for inner in value] if isinstance(value, Mapping) else [key]
    return keys
