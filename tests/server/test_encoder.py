"""Parity: ONNX Runtime = the numpy reference, for every kind of bundle; an edit of nothing moves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import BundleCorrupt
from server.encoder import Encoder
from tests.server.worlds import KINDS, engine, opened


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_onnx_equals_numpy(kind: str) -> None:
    core = engine(kind)
    sae = core.catalogue.bundle.contents.sae
    for x in np.random.default_rng(0).normal(size=(50, sae.dim)).astype(np.float32):
        code, scale = core.encoder.encode(x)
        np.testing.assert_allclose(code, sae.encode(x[None], "user")[0], atol=2e-6)
        np.testing.assert_allclose(scale, sae.scale(x[None]), rtol=1e-6)
        change = np.random.default_rng(1).normal(size=sae.latents).astype(np.float32)
        np.testing.assert_allclose(
            core.encoder.displacement(change, scale), sae.delta(change[None], scale, "user")[0], atol=1e-5
        )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_change_is_no_displacement(kind: str) -> None:
    core = engine(kind)
    dims = core.catalogue.bundle.manifest.dims
    _, scale = core.encoder.encode(np.ones(dims.embedding, np.float32))
    moved = core.encoder.displacement(np.zeros(dims.latents, np.float32), scale)
    assert moved.tolist() == [0.0] * dims.embedding


def test_a_zero_row_has_scale_one() -> None:
    _, scale = engine("dot").encoder.encode(np.zeros(16, np.float32))
    assert scale.tolist() == [[1.0]]


def test_a_broken_graph_is_refused_by_name() -> None:
    with opened() as core:
        path = core.catalogue.bundle.path / "encoder.onnx"
        path.write_bytes(b"not a graph")
        with pytest.raises(BundleCorrupt, match=r"encoder\.onnx: found .*Export the bundle again\."):
            Encoder(core.catalogue.bundle)


def test_another_bundles_graph_is_refused() -> None:
    with opened() as core, opened(dim=8, latents=12) as other:
        bundle = core.catalogue.bundle
        (bundle.path / "encoder.onnx").write_bytes((other.catalogue.bundle.path / "encoder.onnx").read_bytes())
        with pytest.raises(BundleCorrupt) as refused:
            Encoder(bundle)
        assert str(refused.value) == (
            f"{bundle.path / 'encoder.onnx'}: inputs: found {{'embedding': 8}}, expected {{'embedding': 16}}. "
            "Export the bundle again."
        )
