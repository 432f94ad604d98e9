"""scorer.onnx as a function of arrays, so that what is measured offline is measured through the file that is served."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from bundle.errors import BundleCorrupt

FloatArray = npt.NDArray[np.float32]
USERS, ITEMS = 16, 4096
"""Rows per call: an MLP 64-32-16 then holds some 17 MB of hidden units."""


class OnnxScorer:
    """``scorer(users [B, D], items [n, D])`` -> raw scores float32 [B, n].

    Args:
        path: inputs ``user`` [B, D] and ``items`` [n, D], output ``scores`` [B, n], all float32.
        threads: of ONNX Runtime; 0: as many as there are cores.

    Raises:
        BundleCorrupt: not such a graph.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises types of its own extension module, without a common base
            raise BundleCorrupt(f"{path}", found=f"{type(error).__name__}: {error}") from error
        found = ({node.name for node in self._session.get_inputs()}, [n.name for n in self._session.get_outputs()])
        if found != ({"user", "items"}, ["scores"]):
            raise BundleCorrupt(f"{path}", found=f"{sorted(found[0])} -> {found[1]}", expected="user, items -> scores")

    def __call__(self, users: npt.NDArray[np.floating], items: npt.NDArray[np.floating]) -> FloatArray:
        """Scores of every user for every item."""
        users, items = np.ascontiguousarray(users, np.float32), np.ascontiguousarray(items, np.float32)
        out = np.empty((len(users), len(items)), np.float32)
        for u in range(0, len(users), USERS):
            for v in range(0, len(items), ITEMS):
                inputs = {"user": users[u : u + USERS], "items": items[v : v + ITEMS]}
                out[u : u + USERS, v : v + ITEMS] = self._session.run(("scores",), inputs)[0]
        return out
