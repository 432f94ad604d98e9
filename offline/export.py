"""Turns arrays into what the server loads: encoder.onnx, decoder.onnx and the exact index. No torch.

The graphs are built node by node from the numpy form (bundle.sae), not traced from torch: they are small enough to
read, they hold no training-only branch, and one parity test covers numpy = torch = ONNX Runtime. Both graphs are the
*user* tower's, which is what a request passes through; item codes are stored.
"""

from __future__ import annotations

from dataclasses import replace as replace_fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from bundle import BundleContents, IndexEntry, Manifest, SaeWeights, TowerWeights, profile_users, write_bundle
from bundle.writer import FileWriter
from offline.index import write_flat_index
from offline.proxy import EXACT_ITEMS, proxy_index

OPSET = 17
"""Has TopK with int64 k, ScatterElements and ReduceL2 with attribute axes; ONNX Runtime 1.13 and later run it."""

IR_VERSION = 8


def export_bundle(
    target: Path,
    contents: BundleContents,
    *,
    name: str,
    recommender: str,
    provenance: dict[str, Any],
    evaluation: dict[str, FileWriter] | None = None,
    users: npt.NDArray[np.float32] | None = None,
    replace: bool = False,
) -> Manifest:
    """Write a whole bundle: the contents, their serving forms and, if given, ``evaluation.json`` and ``.html``.

    ``users`` [U, D]: the user vectors that the SAE was trained on, for their profile; None: those of the contents.
    A scorer network over more items than a request can score gets proxies, if their recall is good enough.
    """
    index: IndexEntry | None = None
    if contents.scorer_onnx is not None and contents.proxy is None and contents.items.num_rows > EXACT_ITEMS:
        made = proxy_index(contents)
        if made is not None:
            contents, index = replace_fields(contents, proxy=made[0]), made[1]
    files: dict[str, FileWriter] = {
        "encoder.onnx": lambda path: write_encoder(contents.sae, path),
        "decoder.onnx": lambda path: write_decoder(contents.sae, path),
        "index.faiss": lambda path: write_flat_index(contents, path),
        **(evaluation or {}),
    }
    return write_bundle(
        target, contents, files, name=name, recommender=recommender, provenance=provenance, index=index,
        user_profile=profile_users(
            contents.sae, contents.user_vectors if users is None else users, unit=contents.metric == "cosine"
        ),
        replace=replace,
    )  # fmt: skip


def write_encoder(sae: SaeWeights, path: Path) -> None:
    """``embedding`` [B, D] -> ``code`` [B, L], ``scale`` [B, 1]."""
    tower = sae.user
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = [
        _constant("w_enc", tower.w_enc),
        _constant("b_enc", tower.b_enc),
        _constant("input_bias", tower.input_bias),
    ]
    if sae.normalise:
        constants += [_constant("zero", np.float32(0)), _constant("one", np.float32(1))]
        divisor = "norm"
        nodes += [
            helper.make_node("ReduceL2", ["embedding"], ["norm"], axes=[1], keepdims=1),
            helper.make_node("Greater", ["norm", "zero"], ["has_norm"]),
        ]
        if sae.norm_power != 1:
            divisor = "norm_to_power"
            constants.append(_constant("power", np.float32(sae.norm_power)))
            nodes.append(helper.make_node("Pow", ["norm", "power"], [divisor]))
        nodes += [
            helper.make_node("Where", ["has_norm", divisor, "one"], ["scale"]),
            helper.make_node("Div", ["embedding", "scale"], ["unit"]),
        ]
    else:
        constants += [_constant("zeros", np.zeros((sae.dim, 1), np.float32)), _constant("one", np.float32(1))]
        nodes += [
            helper.make_node("MatMul", ["embedding", "zeros"], ["none"]),
            helper.make_node("Add", ["none", "one"], ["scale"]),
            helper.make_node("Identity", ["embedding"], ["unit"]),
        ]
    nodes += [
        helper.make_node("Sub", ["unit", "input_bias"], ["centred"]),
        helper.make_node("MatMul", ["centred", "w_enc"], ["product"]),
        helper.make_node("Add", ["product", "b_enc"], ["pre"]),
        helper.make_node("Relu", ["pre"], ["positive"]),
    ]
    more_nodes, more_constants = _activation(tower)
    _write(
        path,
        nodes + more_nodes,
        constants + more_constants,
        inputs={"embedding": ("B", sae.dim)},
        outputs={"code": ("B", sae.latents), "scale": ("B", 1)},
    )


def write_decoder(sae: SaeWeights, path: Path) -> None:
    """The error-preserving edit: ``code_delta`` [B, L], ``scale`` [B, 1] -> ``embedding_delta`` [B, D].

    No bias: a change of zero is a displacement of zero.
    """
    _write(
        path,
        [
            helper.make_node("MatMul", ["code_delta", "w_dec"], ["unit_delta"]),
            helper.make_node("Mul", ["unit_delta", "scale"], ["embedding_delta"]),
        ],
        [_constant("w_dec", sae.user.w_dec)],
        inputs={"code_delta": ("B", sae.latents), "scale": ("B", 1)},
        outputs={"embedding_delta": ("B", sae.dim)},
    )


def _activation(tower: TowerWeights) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes from ``positive`` = max(pre, 0) to ``code``."""
    activation = tower.activation
    if activation.kind == "topk" and activation.k is not None and activation.k < tower.w_enc.shape[1]:
        return (
            [
                helper.make_node("TopK", ["positive", "k"], ["values", "indices"], axis=1, largest=1, sorted=1),
                helper.make_node("Mul", ["positive", "nought"], ["empty"]),
                helper.make_node("ScatterElements", ["empty", "indices", "values"], ["code"], axis=1),
            ],
            [_constant("k", np.array([activation.k], np.int64)), _constant("nought", np.float32(0))],
        )
    if activation.kind == "threshold":
        return (
            [
                helper.make_node("Greater", ["pre", "threshold"], ["above"]),
                helper.make_node("Where", ["above", "positive", "nought"], ["code"]),
            ],
            [_constant("threshold", np.float32(activation.threshold)), _constant("nought", np.float32(0))],
        )
    return [helper.make_node("Identity", ["positive"], ["code"])], []


def _constant(name: str, array: npt.ArrayLike) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def _write(
    path: Path,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    *,
    inputs: dict[str, tuple[str | int, ...]],
    outputs: dict[str, tuple[str | int, ...]],
) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        constants,
    )
    model = helper.make_model(
        graph, producer_name="tiller", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
