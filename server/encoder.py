"""The SAE at serving time: ONNX Runtime sessions for the user's code and for the error-preserving edit.

One row per call, always: a matrix product's last bits may depend on how many rows it has, and law 2 says that an answer
does not depend on who shares the batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from bundle import Bundle
from bundle.errors import BundleCorrupt
from server.types import FloatArray


class Encoder:
    """encoder.onnx and decoder.onnx of one bundle. Legend: D embedding, L latents."""

    def __init__(self, bundle: Bundle) -> None:
        dims = bundle.manifest.dims
        self._encode = _session(bundle.path / "encoder.onnx", {"embedding": dims.embedding}, ("code", "scale"))
        self._decode = _session(
            bundle.path / "decoder.onnx", {"code_delta": dims.latents, "scale": 1}, ("embedding_delta",)
        )

    def encode(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """User embedding [D] to its code [L] and the input scale [1, 1]."""
        code, scale = self._encode.run(("code", "scale"), {"embedding": x[None]})
        return code[0], scale

    def displacement(self, code_delta: FloatArray, scale: FloatArray) -> FloatArray:
        """Change of a user's code [L] to the change of the embedding [D]; a change of zero gives zero."""
        inputs = {"code_delta": code_delta[None], "scale": scale}
        delta: FloatArray = self._decode.run(("embedding_delta",), inputs)[0][0]
        return delta


def _session(path: Path, inputs: dict[str, int], outputs: tuple[str, ...]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One thread and no spinning: the graph takes microseconds, and idle ONNX threads that spin starve the search.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises types of its own extension module, without a common base
        found = f"{type(error).__name__}: {error}"
        raise BundleCorrupt(f"{path}", found=found, hint="Export the bundle again.") from error
    sizes = {node.name: node.shape[1] for node in session.get_inputs()}
    if sizes != inputs or {node.name for node in session.get_outputs()} != set(outputs):
        raise BundleCorrupt(f"{path}: inputs", found=sizes, expected=inputs, hint="Export the bundle again.")
    session.run(outputs, {name: np.zeros((1, size), np.float32) for name, size in inputs.items()})
    return session
