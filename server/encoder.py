"""What a request passes through before the search, as ONNX Runtime sessions: user tower, SAE, error-preserving edit.

One row per call, always: a matrix product's last bits may depend on how many rows it has, and law 2 says that an answer
does not depend on who shares the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundle import Bundle
from bundle.errors import BundleCorrupt
from server.graphs import HINT, open_graph
from server.types import FloatArray


class Encoder:
    """encoder.onnx, decoder.onnx and, where there is one, user_tower.onnx of one bundle.

    Legend: D embedding, L latents, T ``history_length``, items the tower reads (0: the bundle has no tower).
    """

    def __init__(self, bundle: Bundle) -> None:
        dims = bundle.manifest.dims
        self._encode = open_graph(bundle.path / "encoder.onnx", {"embedding": dims.embedding}, ("code", "scale"))
        self._decode = open_graph(
            bundle.path / "decoder.onnx", {"code_delta": dims.latents, "scale": 1}, ("embedding_delta",)
        )
        self.history_length = bundle.manifest.history_length
        path = bundle.contents.user_tower_onnx
        self._tower = None
        if path is not None:
            self._tower = open_graph(path, {"history": self.history_length}, ("user",), dtype=np.int64)
            # The last item's row must be readable too: a tower of a smaller catalogue would fail on some requests only.
            try:
                found = self.user([dims.items - 1])
            except Exception as error:  # ONNX Runtime raises types of its own extension module
                expected = f"a tower that reads {dims.items} items"
                raise BundleCorrupt(f"{path}", found=str(error), expected=expected, hint=HINT) from error
            if found.shape != (dims.embedding,) or not np.isfinite(found).all():
                expected = f"{dims.embedding} finite numbers"
                raise BundleCorrupt(f"{path}: user", found=f"shape {found.shape}", expected=expected, hint=HINT)

    def encode(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """User embedding [D] to its code [L] and the input scale [1, 1]."""
        code, scale = self._encode.run(("code", "scale"), {"embedding": x[None]})
        return code[0], scale

    def displacement(self, code_delta: FloatArray, scale: FloatArray) -> FloatArray:
        """Change of a user's code [L] to the change of the embedding [D]; a change of zero gives zero."""
        inputs = {"code_delta": code_delta[None], "scale": scale}
        delta: FloatArray = self._decode.run(("embedding_delta",), inputs)[0][0]
        return delta

    def user(self, rows: Sequence[int]) -> FloatArray:
        """A history of item rows, newest last, to the user's embedding [D]; of a longer one the newest T count.

        Only where ``history_length`` is above 0.
        """
        assert self._tower is not None, "asked a bundle without a user tower"
        history = np.zeros((1, self.history_length), np.int64)
        newest = np.asarray(rows[-self.history_length :], np.int64) + 1
        history[0, self.history_length - len(newest) :] = newest
        x: FloatArray = self._tower.run(("user",), {"history": history})[0][0]
        return x
