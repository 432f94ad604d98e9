"""Planted recommenders that are no dot product: a small scorer network and a user tower, as ONNX and as numpy.

The scorer is an MLP whose hidden units fire on ``user + item``: roughly the length of the sum, which grows where the
two point the same way, but by no inner product. The tower is a mean of item embeddings that weighs the newest most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle import BundleContents
from tests.world import World

FloatArray = npt.NDArray[np.float64]
LENGTH = 6
"""Items that the tower reads."""


@dataclass(frozen=True)
class Mlp:
    """Weights [D, 48], [48, 16], [16] and biases [48], [16] of the scorer; the user's and the item's part are alike."""

    first: FloatArray
    bias: FloatArray
    second: FloatArray
    bias2: FloatArray
    last: FloatArray

    @classmethod
    def make(cls, dim: int, seed: int = 0) -> Mlp:
        rng = np.random.default_rng(seed + 77)
        draw = rng.normal
        return cls(
            *(
                array.astype(np.float32).astype(np.float64)
                for array in (
                    draw(size=(dim, 48)),
                    draw(scale=0.1, size=48),
                    np.abs(draw(size=(48, 16))) / 16,
                    draw(scale=0.1, size=16) + 0.1,
                    np.abs(draw(size=16)) / 2,
                )
            )
        )

    def scores(self, users: npt.NDArray[np.floating], items: npt.NDArray[np.floating]) -> FloatArray:
        """Scores [B, n] of users [B, D] and items [n, D], in double precision."""
        hidden = (users.astype(np.float64) @ self.first)[:, None] + (items.astype(np.float64) @ self.first)[None]
        hidden = np.maximum(hidden + self.bias, 0)
        return np.asarray(np.maximum(hidden @ self.second + self.bias2, 0) @ self.last)

    def write(self, path: Path) -> Path:
        """The same as scorer.onnx."""
        node = helper.make_node
        nodes = [
            node("MatMul", ["user", "first"], ["u"]),
            node("Unsqueeze", ["u", "one"], ["u3"]),
            node("MatMul", ["items", "first"], ["v"]),
            node("Add", ["v", "bias"], ["vb"]),
            node("Add", ["u3", "vb"], ["h"]),
            node("Relu", ["h"], ["hidden"]),
            node("MatMul", ["hidden", "second"], ["h2"]),
            node("Add", ["h2", "bias2"], ["h2b"]),
            node("Relu", ["h2b"], ["hidden2"]),
            node("MatMul", ["hidden2", "last"], ["scores"]),
        ]
        constants = {
            name: getattr(self, name).astype(np.float32) for name in ("first", "bias", "second", "bias2", "last")
        }
        return _write(
            path,
            nodes,
            {**constants, "one": np.array([1], np.int64)},
            inputs={
                "user": (TensorProto.FLOAT, ("B", len(self.first))),
                "items": (TensorProto.FLOAT, ("n", len(self.first))),
            },
            output=("scores", ("B", "n")),
        )


def tower_user(vectors: npt.NDArray[np.floating], rows: list[int], length: int = LENGTH) -> FloatArray:
    """What the tower makes of item rows, newest last: the newest weighs 1, each older one half of the next."""
    newest = rows[-length:]
    weights = 0.5 ** np.arange(len(newest))[::-1]
    return np.asarray(weights @ vectors[newest].astype(np.float64))


def write_tower(
    path: Path, vectors: npt.NDArray[np.floating], length: int = LENGTH, *, axis: str | None = None
) -> Path:
    """user_tower.onnx over these item embeddings [N, D]; row 0 of its table is the padding; ``axis``: T has a name."""
    table = np.vstack([np.zeros((1, vectors.shape[1])), vectors]).astype(np.float32)
    weights = (0.5 ** np.arange(length)[::-1]).astype(np.float32).reshape(1, length, 1)
    nodes = [
        helper.make_node("Gather", ["table", "history"], ["read"], axis=0),
        helper.make_node("Mul", ["read", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axis"], ["user"], keepdims=0),
    ]
    return _write(
        path,
        nodes,
        {"table": table, "weights": weights, "axis": np.array([1], np.int64)},
        inputs={"history": (TensorProto.INT64, ("B", axis or length))},
        output=("user", ("B", vectors.shape[1])),
    )


def with_network(world: World, folder: Path, seed: int = 0) -> World:
    """The world scored by an MLP, the query channel's effects measured through it."""
    contents = world.contents
    mlp = Mlp.make(contents.sae.dim, seed)
    arrays = replace(
        contents.arrays,
        direction_effect=_effects(contents, mlp, contents.arrays.direction, world.labels),
        latent_effect=_effects(contents, mlp, np.eye(contents.sae.latents), contents.item_codes.dense().T > 0),
    )
    path = mlp.write(folder / "scorer.onnx")
    return replace(world, contents=replace(contents, arrays=arrays, scorer_onnx=path))


def with_tower(world: World, folder: Path, length: int = LENGTH) -> World:
    """The world with a user tower beside its stored users."""
    path = write_tower(folder / "user_tower.onnx", world.contents.item_vectors, length)
    return replace(world, contents=replace(world.contents, user_tower_onnx=path, history_length=length))


def _effects(
    contents: BundleContents, mlp: Mlp, directions: npt.NDArray[np.floating], members: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Mean rise of the members over an average item, for a small step along each direction, per unit of it."""
    assert contents.user_vectors is not None
    users, items, step = contents.user_vectors[:12], contents.item_vectors, 0.1
    out = np.zeros(len(directions), np.float32)
    for row, (direction, own) in enumerate(zip(directions, members, strict=True)):
        move = direction @ contents.sae.user.w_dec
        rise = (mlp.scores(users + step * move, items) - mlp.scores(users - step * move, items)) / (2 * step)
        out[row] = rise[:, own].mean() - rise.mean() if own.any() else 0
    return out


def _write(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, npt.NDArray[np.generic]],
    *,
    inputs: dict[str, tuple[int, tuple[str | int, ...]]],
    output: tuple[str, tuple[str | int, ...]],
) -> Path:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return path
