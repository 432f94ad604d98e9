"""A link to the served bundle: moved and moved back, in one step each."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bundle.errors import BundleError, BundleMissing
from bundle.link import point, point_back, previous_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("v1", "v2"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_there_and_back(folder: Path) -> None:
    link = folder / "current"
    assert point(link, folder / "v1") is None
    assert link.resolve() == folder / "v1"
    assert not link.readlink().is_absolute()  # a mount may have another name inside a container
    assert point(link, folder / "v1") == folder / "v1"
    assert not previous_of(link).exists()  # the same again is no change
    assert point(link, folder / "v2") == folder / "v1"
    assert point_back(link) == (folder / "v1", folder / "v2")
    assert link.resolve() == folder / "v1"
    assert point_back(link) == (folder / "v2", folder / "v1")
    assert sorted(entry.name for entry in folder.iterdir()) == [".current.previous", "current", "v1", "v2"]


def test_a_bundle_elsewhere_is_named_in_full(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    point(folder / "current", elsewhere)
    assert (folder / "current").readlink() == elsewhere


def test_what_is_no_link_is_left_alone(folder: Path) -> None:
    with pytest.raises(BundleError, match="is no link: expected a link to a bundle"):
        point(folder / "v1", folder / "v2")
    with pytest.raises(BundleMissing, match="there is no link"):
        point_back(folder / "current")
    point(folder / "current", folder / "v1")
    with pytest.raises(BundleMissing, match=r"there is no link .*\.current\.previous"):
        point_back(folder / "current")


def test_a_folder_that_cannot_be_written_is_told(folder: Path) -> None:
    with pytest.raises(BundleError, match="cannot write the link"):
        point(folder / "no" / "current", folder / "v1")


def test_the_link_always_leads_somewhere(folder: Path) -> None:
    link, stop, lost = folder / "current", threading.Event(), []
    point(link, folder / "v1")

    def look() -> None:
        while not stop.is_set():
            if not link.exists():
                lost.append(1)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for place in range(200):
            point(link, folder / ("v2", "v1")[place % 2])
    finally:
        stop.set()
        looking.join()
    assert lost == []
