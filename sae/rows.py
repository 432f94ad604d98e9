"""The embeddings an SAE is trained on: checked, scaled, on the training device.

Legend: N items, U users, D embedding.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle import Metric
from bundle.errors import TrainingError
from sae.autoencoder import input_scale
from sae.config import SaeConfig

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """Rows of one tower as the SAE reads them [., D], their input scales [., 1], their mean and variance around it."""

    rows: Tensor
    scale: Tensor
    centre: Tensor
    variance: float

    @classmethod
    def of(cls, raw: Tensor, scale: Tensor, whiten: Tensor) -> Side:
        """Zero rows stay zero."""
        rows = (raw / scale) @ whiten
        centre = rows.mean(0)
        variance = float((rows - centre).square().sum(1).mean())
        return cls(rows, scale, centre, variance)


@dataclass(frozen=True)
class TrainingRows:
    """Both towers' rows with what the scorer needs; ``fingerprint`` names exactly this data.

    ``whiten`` [D, D] turns scaled embeddings into rows, ``colour`` turns rows back. ``one_sided``: a plain row matrix,
    such as a transformer's token states; it stands in both places and is trained on once.
    """

    users: Side
    items: Side
    raw_users: Tensor
    raw_items: Tensor
    whiten: Tensor
    colour: Tensor
    bias: Tensor | None
    pairs: tuple[IntArray, IntArray] | None
    fingerprint: str
    one_sided: bool = False

    @classmethod
    def of(
        cls,
        items: FloatArray,
        users: FloatArray | None,
        *,
        item_bias: FloatArray | None,
        metric: Metric,
        pairs: tuple[npt.ArrayLike, npt.ArrayLike] | None,
        config: SaeConfig,
        device: torch.device,
    ) -> TrainingRows:
        """Raise TrainingError where the arrays do not fit each other or there is nothing to learn."""
        _check_vectors("items" if users is not None else "rows", items)
        one_sided = users is None
        if users is None:
            _check_one_sided(config, item_bias, pairs)
            users = items
        _check_vectors("users", users)
        if items.shape[1] != users.shape[1]:
            raise TrainingError(
                "embeddings: size", found=f"{users.shape[1]} for users", expected=f"{items.shape[1]} as for items"
            )
        if item_bias is not None:
            if metric != "dot":
                raise TrainingError("item bias", found=f"with metric {metric}", expected="only with metric dot")
            if item_bias.shape != (len(items),) or not np.isfinite(item_bias).all():
                raise TrainingError(
                    "item bias", found=f"shape {item_bias.shape}", expected=f"{len(items)} finite numbers"
                )
        known = None if pairs is None else _check_pairs(pairs, len(users), len(items))
        observed = config.pair_sampling in {"interactions", "mixed"}
        if known is None and (observed or config.hide_interactions):
            asking = "hide_interactions" if config.hide_interactions else f"pair_sampling {config.pair_sampling}"
            raise TrainingError(
                asking,
                found="no interactions",
                expected="pairs of user and item rows",
                hint="Pass interactions, or use pair_sampling = uniform and hide_interactions = false.",
            )
        raw = [torch.as_tensor(np.ascontiguousarray(array, np.float32), device=device) for array in (users, items)]
        scales = [_scale(x, config) for x in raw]
        scaled = [(x / scale).cpu().numpy() for x, scale in zip(raw, scales, strict=True)]
        for name, rows in zip(("users", "items"), scaled, strict=True):
            if np.ptp(rows, axis=0).max() == 0:
                raise TrainingError(
                    f"{name}: embeddings",
                    found="all rows in one direction" if config.normalise else "all rows equal",
                    expected="rows that differ",
                    hint="Check the export of the recommender.",
                )
        matrices = whitening(scaled[0], scaled[1], config.whitening)
        whiten, colour = (torch.as_tensor(matrix, device=device) for matrix in matrices)
        sides = [Side.of(x, scale, whiten) for x, scale in zip(raw, scales, strict=True)]
        bias = (
            None if item_bias is None else torch.as_tensor(np.ascontiguousarray(item_bias, np.float32), device=device)
        )
        return cls(
            users=sides[0],
            items=sides[1],
            raw_users=raw[0],
            raw_items=raw[1],
            whiten=whiten,
            colour=colour,
            bias=bias,
            pairs=known,
            fingerprint=_fingerprint(
                items,
                users,
                item_bias,
                metric,
                known if observed or config.hides else None,
            ),
            one_sided=one_sided,
        )


def _scale(x: Tensor, config: SaeConfig) -> Tensor:
    """Input scales that bring the median row to unit norm, whatever the power, so that both towers' rows match.

    The constant goes into the exported weights (sae.to_inference).
    """
    scale = input_scale(x, normalise=config.normalise, power=config.norm_power)
    return scale * norm_unit(x, config)


def norm_unit(x: Tensor, config: SaeConfig) -> float:
    """``median |x| ^ (1 - norm_power)``: what input scales are multiplied with in training; 1 at power 1."""
    if not config.normalise or config.norm_power == 1:
        return 1.0
    median = max(float(x.norm(dim=1).median()), 1e-12)
    return float(median ** (1 - config.norm_power))


def whitening(users: FloatArray, items: FloatArray, power: float) -> tuple[FloatArray, FloatArray]:
    """``A = C^(-power / 2)`` up to a factor, and its inverse, [D, D]: ``C`` is the mean of both towers' covariances.

    Reconstruction spends its few latents where variance is; a recommender's small directions carry the finer tastes.
    Dividing them (in part) by their spread lets them count. Directions below 1e-3 of the largest variance are held to
    that floor, so that noise is not blown up. The factor keeps the total variance.
    """
    covariance = (np.cov(users.T.astype(np.float64)) + np.cov(items.T.astype(np.float64))) / 2
    values, vectors = np.linalg.eigh(covariance)
    floored = np.maximum(values, 1e-3 * values[-1])
    root = (floored / floored.mean()) ** (-power / 2)
    root *= np.sqrt(values.clip(0).sum() / (values.clip(0) * root**2).sum())
    return ((vectors * root) @ vectors.T).astype(np.float32), ((vectors / root) @ vectors.T).astype(np.float32)


def _check_vectors(name: str, array: FloatArray) -> None:
    if array.ndim != 2 or len(array) < 2 or array.shape[1] < 2:
        raise TrainingError(
            f"{name}: embeddings", found=f"shape {array.shape}", expected="at least 2 rows of at least 2 numbers"
        )
    finite = np.isfinite(array).all(1)
    if not finite.all():
        raise TrainingError(f"{name}: row {int(np.argmin(finite))}", found="NaN or infinity", expected="finite numbers")


def _check_one_sided(config: SaeConfig, item_bias: FloatArray | None, pairs: object) -> None:
    """A row matrix alone has nobody to predict for."""
    stages = [stage for stage in (config.stage1, config.stage2) if stage is not None]
    unfit = {
        "a prediction term": any(stage.predicts for stage in stages),
        f"towers {config.towers}": config.towers != "shared",
        "an item bias": item_bias is not None,
        "interactions": pairs is not None,
        f"pair_sampling {config.pair_sampling}": config.pair_sampling != "uniform",
    }
    found = [name for name, given in unfit.items() if given]
    if found:
        raise TrainingError(
            "rows without users",
            found=", ".join(found),
            expected="shared towers and reconstruction alone",
            hint="Pass users too, or take the preset klenitskiy2025.",
        )


def _check_pairs(pairs: tuple[npt.ArrayLike, npt.ArrayLike], n_users: int, n_items: int) -> tuple[IntArray, IntArray]:
    user, item = (np.asarray(part, np.int64) for part in pairs)
    if user.shape != item.shape or user.ndim != 1 or not len(user):
        raise TrainingError(
            "pairs", found=f"{user.shape} users, {item.shape} items", expected="two rows of one length, not empty"
        )
    for name, rows, count in (("user", user, n_users), ("item", item, n_items)):
        if rows.min() < 0 or rows.max() >= count:
            raise TrainingError(
                f"pairs: {name} rows", found=f"{rows.min()} to {rows.max()}", expected=f"0 to {count - 1}"
            )
    return user, item


def _fingerprint(
    items: FloatArray,
    users: FloatArray,
    bias: FloatArray | None,
    metric: Metric,
    pairs: tuple[IntArray, IntArray] | None,
) -> str:
    digest = hashlib.sha256(metric.encode())
    for array in (items, users, bias, *(pairs or ())):
        if array is not None:
            digest.update(str((array.shape, array.dtype)).encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update(b"|")
    return digest.hexdigest()
