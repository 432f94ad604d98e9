"""Turns torch modules into what the server loads: scorer.onnx and user_tower.onnx.

scorer.onnx      user float32 [B, D], items float32 [n, D] -> scores float32 [B, n]
user_tower.onnx  history int64 [B, T] -> user float32 [B, D]; item row + 1, 0 = padding on the left, newest last

Any module of these forms will do, a user's own too. The graph is traced, so what the module does must not depend on the
values of its inputs; every export is run with ONNX Runtime on other sizes and compared with torch before it is kept.
The serving forms of the SAE need no torch and are written in ``offline.export``. Legend: B users, n items, D embedding,
T positions.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from torch import nn

from bundle.errors import TrainingError

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference between torch and ONNX Runtime, relative to the largest value of a check."""


def export_scorer(scorer: nn.Module, path: Path, *, dim: int) -> None:
    """Write ``scorer``, ``forward(users [B, D], items [n, D]) -> [B, n]``.

    Raises:
        TrainingError: it cannot be traced, or the graph says something else than the module.
    """
    generator = torch.Generator().manual_seed(0)
    examples = [tuple(torch.randn(count, dim, generator=generator) for count in sizes) for sizes in ((3, 5), (1, 7))]
    _export(
        scorer,
        path,
        examples,
        inputs=["user", "items"],
        output="scores",
        axes={"user": {0: "B"}, "items": {0: "n"}, "scores": {0: "B", 1: "n"}},
    )


def export_user_tower(tower: nn.Module, path: Path, *, history_length: int, n_items: int) -> None:
    """Write ``tower``, ``forward(history int64 [B, T]) -> [B, D]``; any T up to ``history_length`` that it can read.

    Raises:
        TrainingError: it cannot be traced, or the graph says something else than the module.
    """
    generator = torch.Generator().manual_seed(0)
    examples = []
    for batch in (2, 3):
        history = torch.randint(1, n_items + 1, (batch, history_length), generator=generator)
        # A padded row, and none beside it: the graph must hold for both.
        history[0, : history_length // 2] = 0
        examples.append((history,))
    _export(tower, path, examples, inputs=["history"], output="user", axes={"history": {0: "B"}, "user": {0: "B"}})


def _export(
    module: nn.Module,
    path: Path,
    examples: Sequence[tuple[torch.Tensor, ...]],
    *,
    inputs: list[str],
    output: str,
    axes: dict[str, dict[int, str]],
) -> None:
    try:
        with TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
            # The tracer, which needs no package beside torch and onnx, warns that it is the older exporter and of every
            # size it reads; whether the graph holds for other sizes is measured below.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module.eval(),
                examples[0],
                str(Path(folder) / path.name),
                input_names=inputs,
                output_names=[output],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
            model = onnx.load(str(Path(folder) / path.name))
    except Exception as error:
        raise TrainingError(
            f"{path.name}: {type(module).__name__}",
            found=f"a module that cannot be traced ({' '.join(str(error).split())[:300]})",
            expected="tensors in, tensors out, no branch on their values",
            hint="Write the ONNX file yourself and give it as it is: docs/recommenders.md.",
        ) from error
    model.producer_name, model.producer_version = "tiller", ""
    onnx.checker.check_model(model, full_check=True)
    _compare(module, model, examples, inputs, path.name)
    onnx.save(model, str(path))


def _compare(
    module: nn.Module,
    model: onnx.ModelProto,
    examples: Sequence[tuple[torch.Tensor, ...]],
    inputs: list[str],
    name: str,
) -> None:
    """Refuse a graph that differs from the module, on the traced sizes and on others."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for example in examples:
        with torch.no_grad():
            expected = module(*example).numpy()
        fed = {key: value.numpy() for key, value in zip(inputs, example, strict=True)}
        try:
            (found,) = session.run(None, fed)
        except Exception as error:
            raise TrainingError(
                f"{name}: {type(module).__name__}",
                found=f"a graph that does not run on inputs {[list(value.shape) for value in example]} ({error})",
                expected="any number of rows",
                hint="Do not fix the batch in the module, as in view(32, -1).",
            ) from error
        difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise TrainingError(
                f"{name}: {type(module).__name__}",
                found=f"a graph that differs from the module by {difference:.2g}",
                expected=f"at most {TOLERANCE:g} of the largest value",
                hint="The trace depends on the inputs' values, or dropout is on.",
            )
