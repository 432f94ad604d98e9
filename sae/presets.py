"""Published SAE forms and plain baselines by name, as configurations that can be read, changed and compared.

``default``: ``SaeConfig.for_data``, two stages (docs/decisions/003 and 008).
``topk``, ``batchtopk``: one shared SAE, reconstruction only (Gao et al. 2024, arXiv 2406.04093; Bussmann et al. 2024,
arXiv 2412.06410).
``matryoshka``: ``batchtopk`` whose prefixes of an eighth, a quarter and half of the width must reconstruct by
themselves, so that early latents are general and late ones fine (Bussmann et al. 2025, arXiv 2503.17547).
``arviv2025``: Arviv et al. 2025 (arXiv 2511.18024) as in their public code: one SAE for both towers, decoder tied to
the encoder, ReLU, 1.1 latents per dimension, rows as they are; 0.1 x mean square + 0.01 x KL of the mean activation to
.05 + beta x prediction error through the frozen recommender; Adam at a constant 1e-3, 256 observed pairs per step. For
an inner product the prediction error is the mean square over the whole block of the step's users and items, for a
network (NCF) the cross-entropy over the pairs. Not carried over: the min-max and layer normalisation before their MF's
SAE.
``klenitskiy2025``: the setting of Klenitskiy et al. 2025 (arXiv 2507.12202): one SAE of the token states of a
transformer's residual stream, rows as they are, eight latents per dimension, here with TopK 32; for
``train_sae(rows, None, ...)``.
"""

from __future__ import annotations

from typing import Literal, get_args

from sae.config import SaeConfig, StageConfig

PresetName = Literal["default", "topk", "batchtopk", "matryoshka", "arviv2025", "klenitskiy2025"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)


def preset(
    name: PresetName,
    dim: int,
    n_items: int,
    n_users: int,
    *,
    seed: int = 0,
    network: bool = False,
    beta: float = 1.0,
) -> SaeConfig:
    """Configuration of the form ``name`` for embeddings of size ``dim``.

    ``network``: the scorer is a network and not an inner product. ``beta``: weight of the prediction error of
    ``arviv2025``, which needs interactions; the others ignore it.
    """
    if name == "arviv2025":
        return _arviv(dim, seed=seed, network=network, beta=beta)
    if name == "klenitskiy2025":
        return _klenitskiy(dim, seed=seed)
    if name == "default":
        return SaeConfig.for_data(dim, n_items, n_users, network=network, seed=seed)
    derived = SaeConfig.for_data(dim, n_items, n_users, seed=seed, activation="topk" if name == "topk" else "batchtopk")
    widths = tuple(sorted({max(1, derived.latents // part) for part in (8, 4, 2)})) if name == "matryoshka" else ()
    plain = {"towers": "shared", "stage2": None, "matryoshka": widths, "pair_sampling": "uniform"}
    return derived.model_copy(update=plain)


def _arviv(dim: int, *, seed: int, network: bool, beta: float) -> SaeConfig:
    latents = max(2, round(1.1 * dim))
    return SaeConfig(
        latents=latents,
        activation="relu",
        tied=True,
        towers="shared",
        normalise=False,
        whitening=0.0,
        units="raw",
        stage1=StageConfig(
            steps=20_000,
            learning_rate=1e-3,
            schedule="constant",
            k_users=latents,
            k_items=latents,
            reconstruction=0.1,
            prediction_block=0.0 if network else beta,
            prediction_cross_entropy=beta if network else 0.0,
            kl_sparsity=0.01,
            unit_decoder=False,
        ),
        batch_users=256,
        batch_items=256,
        pair_sampling="interactions",
        kl_target=0.05,
        kl_squash=False,
        seed=seed,
    )


def _klenitskiy(dim: int, *, seed: int) -> SaeConfig:
    latents = 8 * dim
    k = min(32, latents // 4)
    return SaeConfig(
        latents=latents,
        activation="topk",
        towers="shared",
        normalise=False,
        whitening=0.0,
        stage1=StageConfig(steps=5_000, learning_rate=1e-3, k_users=k, k_items=k),
        batch_items=2048,
        seed=seed,
    )
