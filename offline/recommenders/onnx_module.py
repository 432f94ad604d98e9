"""An ONNX graph as a torch module, so that gradients pass through a scorer that is only known as a file.

Every node is one torch operation below; a graph with another operation is refused by name. What ONNX Runtime will serve
and what the SAE was trained through are compared on random inputs when the file is read (offline.recommenders.custom).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from bundle.errors import DataError

Attributes = dict[str, Any]

TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}


def _ints(tensor: Tensor) -> list[int]:
    return [int(value) for value in tensor.reshape(-1)]


def _reshape(x: Tensor, shape: Tensor) -> Tensor:
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(_ints(shape))])


def _expand(x: Tensor, shape: Tensor) -> Tensor:
    # ONNX lets a size of 1 stand for what the tensor has.
    return x * torch.ones(_ints(shape), dtype=x.dtype)


def _slice(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    along = list(range(len(starts))) if axes is None else _ints(axes)
    strides = [1] * len(starts) if steps is None else _ints(steps)
    for start, end, axis, step in zip(_ints(starts), _ints(ends), along, strides, strict=True):
        size = x.shape[axis]
        rows = list(range(size))[start : end if -size <= end < size else None : step]
        x = x.index_select(axis, torch.tensor(rows, dtype=torch.int64))
    return x


PLAIN: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "Clip": torch.clamp,
    "Div": lambda x, y: x / y if x.is_floating_point() else x // y,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Expand": _expand,
    "Greater": torch.gt,
    "Identity": lambda x: x,
    "Log": torch.log,
    "MatMul": torch.matmul,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Pow": torch.pow,
    "Relu": functional.relu,
    "Reshape": _reshape,
    "Shape": lambda x: torch.tensor(x.shape),
    "Sigmoid": torch.sigmoid,
    "Slice": _slice,
    "Softplus": functional.softplus,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
    "Where": torch.where,
}
"""Operations that their inputs decide alone."""


def _gemm(x: list[Tensor], a: Attributes) -> Tensor:
    left, right = (x[0].T if a.get("transA") else x[0]), (x[1].T if a.get("transB") else x[1])
    out = torch.matmul(left, right) * a.get("alpha", 1.0)
    return out if len(x) == 2 else torch.add(out, x[2], alpha=a.get("beta", 1.0))


def _axes(x: list[Tensor], a: Attributes) -> list[int] | None:
    """An attribute until operator set 12 or 17, the second input from then on."""
    if len(x) > 1:
        return _ints(x[1])
    return None if a.get("axes") is None else list(a["axes"])


def _reduce(reduction: Callable[..., Tensor]) -> Callable[[list[Tensor], Attributes], Tensor]:
    def operation(x: list[Tensor], a: Attributes) -> Tensor:
        axes = _axes(x, a)
        return reduction(x[0], list(range(x[0].dim())) if axes is None else axes, keepdim=bool(a.get("keepdims", 1)))

    return operation


def _unsqueeze(x: list[Tensor], a: Attributes) -> Tensor:
    out, axes = x[0], _axes(x, a) or []
    for axis in sorted(axis % (out.dim() + len(axes)) for axis in axes):
        out = out.unsqueeze(axis)
    return out


def _squeeze(x: list[Tensor], a: Attributes) -> Tensor:
    axes = _axes(x, a)
    return x[0].squeeze() if axes is None else x[0].squeeze(tuple(axes))


def _layer_norm(x: list[Tensor], a: Attributes) -> Tensor:
    bias = x[2] if len(x) > 2 else None
    return functional.layer_norm(x[0], x[0].shape[a.get("axis", -1) :], x[1], bias, a.get("epsilon", 1e-5))


def _constant_of_shape(x: list[Tensor], a: Attributes) -> Tensor:
    value = torch.from_numpy(numpy_helper.to_array(a["value"]).copy()) if "value" in a else torch.zeros(1)
    return value.expand(_ints(x[0])).contiguous()


def _gather(x: list[Tensor], a: Attributes) -> Tensor:
    axis = a.get("axis", 0) % x[0].dim()
    rows = x[1].reshape(-1) % x[0].shape[axis]
    return x[0].index_select(axis, rows).reshape(x[0].shape[:axis] + x[1].shape + x[0].shape[axis + 1 :])


WITH_ATTRIBUTES: dict[str, Callable[[list[Tensor], Attributes], Tensor]] = {
    "Cast": lambda x, a: x[0].to(TYPES[a["to"]]),
    "Concat": lambda x, a: torch.cat(x, a["axis"]),
    "Constant": lambda x, a: torch.from_numpy(numpy_helper.to_array(a["value"]).copy()),  # noqa: ARG005
    "ConstantOfShape": _constant_of_shape,
    "Elu": lambda x, a: functional.elu(x[0], a.get("alpha", 1.0)),
    "Flatten": lambda x, a: x[0].flatten(a.get("axis", 1)).flatten(0, a.get("axis", 1) - 1),
    "Gather": _gather,
    "Gelu": lambda x, a: functional.gelu(x[0], approximate=a.get("approximate", b"none").decode()),
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda x, a: functional.leaky_relu(x[0], a.get("alpha", 0.01)),
    "ReduceL2": _reduce(lambda x, axes, keepdim: torch.linalg.vector_norm(x, 2, axes, keepdim)),
    "ReduceMean": _reduce(torch.mean),
    "ReduceSum": _reduce(torch.sum),
    "Softmax": lambda x, a: functional.softmax(x[0], a.get("axis", -1)),
    "Squeeze": _squeeze,
    "Transpose": lambda x, a: x[0].permute(*a["perm"]) if "perm" in a else x[0].permute(*range(x[0].dim())[::-1]),
    "Unsqueeze": _unsqueeze,
}
"""Operations that the node's attributes decide too."""

KNOWN = sorted({*PLAIN, *WITH_ATTRIBUTES})


class OnnxModule(nn.Module):
    """``forward(*values)`` of the inputs that are named; the graph's first output. Constants are buffers."""

    def __init__(self, path: Path, inputs: tuple[str, ...]) -> None:
        """Read the graph.

        Raises:
            DataError: not an ONNX file, or an operation that is not in ``KNOWN``.
        """
        super().__init__()
        try:
            self._graph = onnx.load(str(path)).graph
        except Exception as error:
            raise DataError(f"{path}", found=f"not an ONNX file that can be read ({error})") from error
        unknown = sorted({node.op_type for node in self._graph.node} - set(KNOWN))
        if unknown:
            raise DataError(
                f"{path}: operations",
                found=", ".join(unknown),
                expected=f"only {', '.join(KNOWN)}",
                hint="Gradients must pass through it: give the torch module itself, docs/recommenders.md.",
            )
        self._names: dict[str, str] = {}
        for index, constant in enumerate(self._graph.initializer):
            self._names[constant.name] = f"constant_{index}"
            array = numpy_helper.to_array(constant)
            self.register_buffer(f"constant_{index}", torch.from_numpy(array.copy()))
        self._inputs = inputs

    def forward(self, *given: Tensor) -> Tensor:
        """The graph's first output."""
        values: dict[str, Any] = {name: getattr(self, buffer) for name, buffer in self._names.items()}
        values |= dict(zip(self._inputs, given, strict=True))
        for node in self._graph.node:
            inputs = [values[name] for name in node.input if name]
            if node.op_type in PLAIN:
                made = PLAIN[node.op_type](*inputs)
            else:
                attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
                made = WITH_ATTRIBUTES[node.op_type](inputs, attributes)
            values[node.output[0]] = made
        out: Tensor = values[self._graph.output[0].name]
        return out
