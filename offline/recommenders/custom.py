"""A recommender of your own: its tables, and the files or modules that score items or read histories.

A scorer takes part in the SAE's training, so gradients must pass through it: a torch module, or an ONNX graph of plain
operations (offline.recommenders.onnx_module). A user tower is only asked for vectors: any graph that ONNX Runtime runs.
Legend: B users, n items, D embedding, T positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from bundle.errors import DataError
from offline.datasets.types import Embeddings
from offline.recommenders.base import TrainedRecommender
from offline.recommenders.onnx_module import OnnxModule

TOLERANCE = 1e-4
"""Largest difference of torch and ONNX Runtime, relative to the largest score."""

NEXT = "docs/recommenders.md shows the form."


class OnnxTower(nn.Module):
    """A user tower run by ONNX Runtime; no gradient passes."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__()
        self._session = session

    def forward(self, history: Tensor) -> Tensor:
        """``history`` int64 [B, T] to user embeddings [B, D]."""
        (user,) = self._session.run(["user"], {"history": history.numpy()})
        return torch.from_numpy(user)


def custom_recommender(
    embeddings: Embeddings,
    *,
    scorer: nn.Module | Path | None = None,
    user_tower: nn.Module | Path | None = None,
    history_length: int | None = None,
) -> TrainedRecommender:
    """``embeddings`` with their own scorer and user tower, checked against each other.

    ``scorer``: ``forward(users [B, D], items [n, D]) -> [B, n]``, higher is better. ``user_tower``: ``forward(history
    int64 [B, T]) -> [B, D]``. ``history_length``: T; a graph with a fixed T says it itself.

    Raises:
        DataError: a file is missing or of another form, a shape does not fit the tables, or a score is not finite.
    """
    if scorer is not None and (embeddings.metric != "dot" or embeddings.item_bias is not None):
        raise DataError(
            "scorer",
            found="an item bias beside it" if embeddings.item_bias is not None else f"metric {embeddings.metric}",
            expected="metric dot and no bias: the network's logits are the scores",
            hint="Leave --metric out and rename the bias column, or give it another place in the item vectors.",
        )
    if user_tower is None and history_length is not None:
        raise DataError("--history-length", found="no user tower", expected="--user-tower, which reads the history")
    made_scorer = _scorer_of(scorer, embeddings.items.shape[1]) if isinstance(scorer, Path) else scorer
    if made_scorer is not None:
        _check_scores(made_scorer, embeddings)
    length = history_length or 0
    made_tower = None if isinstance(user_tower, Path) else user_tower
    if isinstance(user_tower, Path):
        session, fixed = _session(user_tower, {"history": ("tensor(int64)", 2)}, "user")
        length = fixed["history"][1] or length
        if history_length is not None and length != history_length:
            raise DataError("--history-length", found=history_length, expected=f"{length}, as {user_tower} says")
        made_tower = OnnxTower(session)
    if made_tower is not None:
        if not length:
            raise DataError(
                "user tower", found="any length of history", expected="--history-length, items that it reads"
            )
        _check_tower(made_tower, embeddings, length)
    files = {"scorer": scorer, "user_tower": user_tower}
    facts: dict[str, Any] = {
        name: str(given.name) if isinstance(given, Path) else type(given).__name__
        for name, given in files.items()
        if given is not None
    }
    name = "custom" if facts else "embeddings"
    return TrainedRecommender(name, embeddings, made_scorer, made_tower, length, facts)


def _scorer_of(path: Path, dim: int) -> nn.Module:
    """The graph as a torch module, after both have said the same of random inputs."""
    forms = {"user": ("tensor(float)", 2), "items": ("tensor(float)", 2)}
    session, fixed = _session(path, forms, "scores")
    module = OnnxModule(path, ("user", "items"))
    rng = np.random.default_rng(0)
    fed = {
        name: rng.normal(size=(rows, fixed[name][1] or dim)).astype(np.float32)
        for name, rows in (("user", 3), ("items", 5))
    }
    (expected,) = session.run(["scores"], fed)
    found = module(torch.from_numpy(fed["user"]), torch.from_numpy(fed["items"])).detach().numpy()
    if found.shape != expected.shape or np.abs(found - expected).max() > TOLERANCE * max(1, np.abs(expected).max()):
        raise DataError(
            f"{path}",
            found="another result in torch than in ONNX Runtime",
            expected="the same",
            hint="Give the torch module itself: docs/recommenders.md.",
        )
    return module


def _session(
    path: Path, inputs: dict[str, tuple[str, int]], output: str
) -> tuple[onnxruntime.InferenceSession, dict[str, list[int | None]]]:
    """A session, and the sizes that each input fixes (None: any)."""
    if not path.is_file():
        raise DataError(f"{path}", found="no such file", hint=NEXT)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DataError(f"{path}", found=f"nothing that ONNX Runtime reads ({error})", hint=NEXT) from error
    found = {value.name: (value.type, len(value.shape)) for value in session.get_inputs()}
    if found != inputs or [value.name for value in session.get_outputs()] != [output]:
        told = ", ".join(f"{name} {kind} of {rank} axes" for name, (kind, rank) in found.items())
        wanted = ", ".join(f"{name} {kind} of {rank} axes" for name, (kind, rank) in inputs.items())
        outputs = ", ".join(value.name for value in session.get_outputs())
        raise DataError(f"{path}", found=f"{told} -> {outputs}", expected=f"{wanted} -> {output}", hint=NEXT)
    sizes = {
        value.name: [size if isinstance(size, int) else None for size in value.shape] for value in session.get_inputs()
    }
    return session, sizes


def _check_scores(scorer: nn.Module, embeddings: Embeddings) -> None:
    """Refuse a scorer that does not read these tables."""
    users, items = (torch.from_numpy(np.array(table[:4])) for table in (embeddings.users, embeddings.items))
    try:
        with torch.no_grad():
            scores = scorer.eval()(users, items)
    except (RuntimeError, ValueError, IndexError) as error:
        raise DataError(
            "scorer",
            found=f"it does not run on users {list(users.shape)} and items {list(items.shape)} ({error})",
            expected="the embedding size of the tables",
            hint=NEXT,
        ) from error
    if tuple(scores.shape) != (len(users), len(items)) or not bool(scores.isfinite().all()):
        raise DataError(
            "scorer",
            found=f"scores {list(scores.shape)}, {'not all' if scores.shape else 'not'} finite or of that shape",
            expected=f"finite logits {[len(users), len(items)]}, a row per user and a column per item",
            hint=NEXT,
        )


def _check_tower(tower: nn.Module, embeddings: Embeddings, length: int) -> None:
    """Refuse a tower whose users are of another size."""
    history = torch.zeros(2, length, dtype=torch.int64)
    history[:, -1] = 1
    try:
        with torch.no_grad():
            users = tower.eval()(history)
    except Exception as error:
        raise DataError(
            "user tower", found=f"it does not run on a history of {length} items ({error})", hint=NEXT
        ) from error
    wanted = (2, embeddings.users.shape[1])
    if tuple(users.shape) != wanted or not bool(users.isfinite().all()):
        raise DataError(
            "user tower", found=f"users {list(users.shape)}", expected=f"finite numbers {list(wanted)}", hint=NEXT
        )
