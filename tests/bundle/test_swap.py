"""Putting a folder in place, with the file system's exchange and without."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bundle import swap


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "content").write_text(text)
    return path


@pytest.fixture(params=["exchange", "two renames"])
def two_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The call where there is one, and a C library that lacks it."""
    if request.param == "two renames":
        monkeypatch.setattr(swap, "_renameat2", lambda: None)
    return str(request.param)


def test_into_an_empty_place(tmp_path: Path, two_ways: str) -> None:
    swap.swap_in(folder(tmp_path / "new", "new"), tmp_path / "target")
    assert (tmp_path / "target" / "content").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_over_a_folder(tmp_path: Path, two_ways: str) -> None:
    swap.swap_in(folder(tmp_path / "new", "new"), folder(tmp_path / "target", "old"))
    assert (tmp_path / "target" / "content").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_failed_swap_leaves_both(tmp_path: Path, two_ways: str) -> None:
    old = folder(tmp_path / "target", "old")
    with pytest.raises(FileNotFoundError):
        swap.swap_in(tmp_path / "never made", old)
    assert (old / "content").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_exchange_trades_places(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one", "1"), folder(tmp_path / "other", "2")
    assert swap.exchange(one, other) is True
    assert ((one / "content").read_text(), (other / "content").read_text()) == ("2", "1")


@pytest.mark.parametrize("number", sorted(swap.NOT_OFFERED))
def test_a_file_system_without_it_says_so(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_renameat2", lambda: lambda *_: -1)
    monkeypatch.setattr(swap.ctypes, "get_errno", lambda: number)
    assert swap.exchange(tmp_path / "a", tmp_path / "b") is False


def test_any_other_refusal_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swap, "_renameat2", lambda: lambda *_: -1)
    monkeypatch.setattr(swap.ctypes, "get_errno", lambda: errno.EXDEV)
    with pytest.raises(OSError, match="Invalid cross-device link") as caught:
        swap.exchange(tmp_path / "a", tmp_path / "b")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "a"), str(tmp_path / "b"))
