"""ONNX graphs of a bundle as sessions: one thread each, their inputs and outputs proved before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from bundle.errors import BundleCorrupt

HINT = "Export the bundle again."


def open_graph(
    path: Path, inputs: Mapping[str, int], outputs: Sequence[str], *, dtype: type[np.generic] = np.float32
) -> onnxruntime.InferenceSession:
    """The graph in a file, run once on zeros.

    Args:
        path: an ONNX file.
        inputs: name -> size of the second axis; the first is free, and a graph may leave the second free too. All of
            ``dtype``.
        outputs: names of float32 outputs, exactly these.
        dtype: float32 or int64.

    Raises:
        BundleCorrupt: not a graph that this ONNX Runtime runs, or not the one that was expected.
    """
    options = onnxruntime.SessionOptions()
    # One thread and no spinning: the graph takes microseconds, and idle ONNX threads that spin starve the search.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what is wrong is raised, and told once
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises types of its own extension module, without a common base
        found = f"{type(error).__name__}: {error}"
        raise BundleCorrupt(f"{path}", found=found, hint=HINT) from error
    sizes = {node.name: _size(node.shape, inputs.get(node.name)) for node in session.get_inputs()}
    if sizes != dict(inputs) or {node.name for node in session.get_outputs()} != set(outputs):
        raise BundleCorrupt(f"{path}: inputs", found=sizes, expected=dict(inputs), hint=HINT)
    try:
        session.run(list(outputs), {name: np.zeros((1, size), dtype) for name, size in inputs.items()})
    except Exception as error:  # the same: another dtype, or sizes inside that do not fit
        raise BundleCorrupt(f"{path}", found=f"{type(error).__name__}: {error}", hint=HINT) from error
    return session


def _size(shape: Sequence[object], wanted: int | None) -> object:
    """Size of the second axis of two; what is wanted where the graph leaves it free."""
    if len(shape) != 2:
        return None
    return shape[1] if isinstance(shape[1], int) else wanted
