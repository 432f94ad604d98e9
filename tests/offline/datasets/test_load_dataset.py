from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bundle.errors import DataError
from offline.datasets import download, load_dataset

pytestmark = pytest.mark.train


@pytest.mark.parametrize("name", ["ml-1m", "ml-100k", "lastfm"])
def test_each_archive_by_name(name, official, write_zip):
    data = load_dataset(name, write_zip("a.zip", official[name]))
    assert data.name == name
    assert data.items.column_names[:2] == ["item_id", "title"]
    assert data.items.num_rows == 2
    assert len(data.interactions) == 3


def test_the_synthetic_one_needs_no_data():
    data = load_dataset("synthetic", seed=5)
    assert data.provenance["seed"] == 5
    assert data.items.num_rows == 5_000


def test_without_data_the_cache_is_asked(official, write_zip, tmp_path, monkeypatch):
    cached = write_zip("ml-100k.zip", official["ml-100k"])
    md5 = download.hashlib.md5(cached.read_bytes()).hexdigest()
    source = download.Source("ml-100k", "http://127.0.0.1:9/ml-100k.zip", "ml-100k.zip", md5)
    monkeypatch.setitem(download.SOURCES, "ml-100k", source)
    monkeypatch.setenv("TILLER_CACHE", str(tmp_path))
    assert load_dataset("ml-100k").items.num_rows == 2


def test_an_unknown_name():
    with pytest.raises(DataError) as caught:
        load_dataset("movielens-1m")
    assert str(caught.value) == (
        "dataset: found 'movielens-1m', expected one of ml-1m, ml-100k, lastfm, synthetic. "
        "Did you mean ml-1m? Own embeddings go in with --items and --users."
    )


def test_synthetic_with_data():
    with pytest.raises(DataError) as caught:
        load_dataset("synthetic", Path("a.zip"))
    assert str(caught.value) == (
        "dataset synthetic: found --data a.zip, expected no --data. It is made, not read: leave it out."
    )


def test_the_facade_imports_lazily():
    code = "import sys, offline.datasets; print([name for name in sys.modules if name.startswith('offline.datasets.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
