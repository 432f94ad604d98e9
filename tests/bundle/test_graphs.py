"""The optional graphs of a bundle: scorer network, user tower, proxies; and every way they can be wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bundle import BundleContents, IndexEntry, Proxy, RecallRow, load_bundle, write_bundle
from bundle.errors import BundleCorrupt
from bundle.manifest import PROXY, PROXY_VECTORS, SCORER, USER_TOWER
from bundle.reindex import write_reindexed
from offline.export import write_decoder, write_encoder
from offline.index import write_flat_index
from tests.bundle.forge import edit_manifest, identity_of, manifest_of
from tests.network import LENGTH, with_network, with_tower
from tests.world import World, make_world

ROW = RecallRow(
    query="unsteered", queries=4, recall_at_10=0.99, recall_at_100=0.98, milliseconds=0.1, flat_milliseconds=0.4
)
ENTRY = IndexEntry(
    kind="flat", params={}, faiss_version="1", seed=0, gate=0.9, asked_as="users", recall=(ROW,), rescored=32
)


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> BundleContents:
    """With every optional graph."""
    folder = tmp_path_factory.mktemp("graphs")
    world: World = make_world(items=60, users=8, dim=8, latents=12)
    return with_tower(with_network(world, folder), folder).contents


def proxy(items: int = 60) -> Proxy:
    rng = np.random.default_rng(0)
    return Proxy(
        np.array([3, 9], np.int64), rng.normal(size=(3, 2)).astype(np.float32),
        rng.normal(size=(items, 2)).astype(np.float32),
    )  # fmt: skip


def write(contents: BundleContents, target: Path, index: IndexEntry | None = None) -> Path:
    files = {
        "encoder.onnx": lambda path: write_encoder(contents.sae, path),
        "decoder.onnx": lambda path: write_decoder(contents.sae, path),
        "index.faiss": lambda path: write_flat_index(contents, path),
    }
    write_bundle(target, contents, files, name="n", recommender="ncf", provenance={}, index=index)
    return target


def test_graphs_come_back_byte_for_byte(contents: BundleContents, tmp_path: Path) -> None:
    loaded = load_bundle(write(contents, tmp_path / "b"))
    assert (loaded.manifest.scorer, loaded.manifest.history_length) == ("network", LENGTH)
    assert (loaded.contents.scorer, loaded.contents.history_length) == ("network", LENGTH)
    for name, found, given in (
        (SCORER, loaded.contents.scorer_onnx, contents.scorer_onnx),
        (USER_TOWER, loaded.contents.user_tower_onnx, contents.user_tower_onnx),
    ):
        assert found == loaded.path / name
        assert given is not None
        assert found.read_bytes() == given.read_bytes()


def test_without_them_nothing_is_said(tmp_path: Path) -> None:
    loaded = load_bundle(write(make_world(items=60, dim=8, latents=12).contents, tmp_path / "b"))
    assert (loaded.manifest.scorer, loaded.manifest.history_length) == ("metric", 0)
    assert loaded.contents.scorer_onnx is loaded.contents.user_tower_onnx is loaded.contents.proxy is None


def test_a_manifest_of_before_them_loads(tmp_path: Path) -> None:
    """Their manifest fields have defaults, so that what an older Tiller wrote means the same."""
    target = write(make_world(items=60, dim=8, latents=12).contents, tmp_path / "b")

    def forget(document: dict[str, object]) -> None:
        del document["scorer"], document["history_length"]

    edit_manifest(target, forget)
    assert load_bundle(target).manifest.scorer == "metric"


def test_a_proxy_comes_back_and_is_what_the_index_holds(contents: BundleContents, tmp_path: Path) -> None:
    with_proxy = replace(contents, proxy=proxy())
    loaded = load_bundle(write(with_proxy, tmp_path / "b", ENTRY)).contents
    assert loaded.proxy is not None
    for name in ("anchors", "projection", "vectors"):
        assert np.array_equal(getattr(loaded.proxy, name), getattr(proxy(), name))
    assert np.array_equal(loaded.index_vectors, proxy().vectors)
    assert isinstance(loaded.proxy.vectors, np.memmap)


def test_a_proxys_query_is_its_anchors_scores_through_the_projection() -> None:
    made = Proxy(np.array([0, 1]), np.array([[1, 0], [0, 2], [5, 7]], np.float32), np.zeros((3, 2), np.float32))
    assert made.query(np.array([3, 4], np.float32)).tolist() == [3 + 5, 8 + 7]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"metric": "cosine"},
            "scorer network: found metric cosine, expected metric dot and no bias: the network scores.",
        ),
        (
            {"item_bias": np.zeros(60, np.float32)},
            "scorer network: found metric dot with an item bias, expected metric dot and no bias: the network scores.",
        ),
        ({"history_length": 0}, "history length: found 0 and a tower, expected above 0 with a tower, else 0."),
        (
            {"user_tower_onnx": None},
            "history length: found 6 and no tower, expected above 0 with a tower, else 0.",
        ),
        ({"scorer_onnx": None, "proxy": proxy()}, "proxy: found without a scorer network, expected only with one."),
        ({"proxy": proxy(59)}, "proxy vectors: found float32 (59, 2), expected float32 (60, 2)."),
        ({"proxy": replace(proxy(), anchors=np.array([3, 60]))}, "proxy anchors: expected item rows, 0 to 59."),
        (
            {"proxy": replace(proxy(), projection=np.full((3, 2), np.nan, np.float32))},
            "proxy projection: found NaN or infinity, expected finite numbers.",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_written(
    contents: BundleContents, change: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(BundleCorrupt) as refused:
        write(replace(contents, **change), tmp_path / "b")  # type: ignore[arg-type]
    assert str(refused.value) == sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (SCORER, "scorer: found network without scorer.onnx. Export the bundle again."),
        (USER_TOWER, "history_length: found 6 without user_tower.onnx. Export the bundle again."),
        (PROXY, "index.rescored: found 32 without proxy.safetensors. Export the bundle again."),
        (PROXY_VECTORS, "index.rescored: found 32 without proxy_vectors.npy. Export the bundle again."),
    ],
)  # fmt: skip
def test_a_manifest_that_names_a_graph_which_is_not_listed(
    contents: BundleContents, name: str, sentence: str, tmp_path: Path
) -> None:
    target = write(replace(contents, proxy=proxy()), tmp_path / "b", ENTRY)
    (target / name).unlink()

    def forget(document: dict[str, object]) -> None:
        files = document["files"]
        assert isinstance(files, dict)
        del files[name]
        document["bundle_id"] = identity_of(files)

    edit_manifest(target, forget)
    with pytest.raises(BundleCorrupt) as refused:
        load_bundle(target)
    assert str(refused.value) == f"{target / 'manifest.json'}: {sentence}"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("scorer", "metric", "scorer: found metric and scorer.onnx. Export the bundle again."),
        ("history_length", 0, "history_length: found 0 and user_tower.onnx. Export the bundle again."),
    ],
)  # fmt: skip
def test_a_graph_that_the_manifest_is_silent_about(
    contents: BundleContents, field: str, value: object, sentence: str, tmp_path: Path
) -> None:
    target = write(contents, tmp_path / "b")
    edit_manifest(target, lambda document: document.__setitem__(field, value))
    with pytest.raises(BundleCorrupt) as refused:
        load_bundle(target)
    assert str(refused.value) == f"{target / 'manifest.json'}: {sentence}"


def test_proxies_without_measured_recall_are_refused() -> None:
    with pytest.raises(ValueError, match="a flat index of proxies without measured recall"):
        IndexEntry.model_validate(ENTRY.model_dump() | {"recall": ()})


def test_another_index_keeps_the_graphs(contents: BundleContents, tmp_path: Path) -> None:
    source = load_bundle(write(replace(contents, proxy=proxy()), tmp_path / "b", ENTRY))
    write_reindexed(source, tmp_path / "c", lambda path: write_flat_index(source.contents, path), ENTRY)
    again = load_bundle(tmp_path / "c")
    assert {SCORER, USER_TOWER, PROXY, PROXY_VECTORS} <= set(manifest_of(tmp_path / "c")["files"])
    assert again.contents.scorer == "network"
    assert again.contents.proxy is not None
