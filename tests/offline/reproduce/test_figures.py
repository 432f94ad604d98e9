"""Figures: the same bytes twice, the files' colours on disk and the page's on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from offline.reproduce.figures import INK, SERIES, Drawing, bars, dots, lines, paths, scatter

pytestmark = pytest.mark.train


def drawing() -> Drawing:
    panels = [("one", [("a", [0, 1], [0.5, None]), ("b", [0, 1], [0.1, 0.2])])]
    return Drawing("small", "words", lambda: lines(panels, "x", levels=[[(0.3, "level", 1)]], categorical=True))


def test_the_same_bytes_on_disk_and_on_the_page(tmp_path: Path) -> None:
    first, second = drawing(), drawing()
    assert first.files == second.files
    assert first.on_page() == second.on_page()
    first.save(tmp_path)
    assert (tmp_path / "small.svg").read_bytes() == first.files["svg"]
    with Image.open(tmp_path / "small.png") as image:
        assert image.getpixel((0, 0))[:3] == (255, 255, 255)
        assert image.width > 1000


def test_the_page_has_the_pages_colours() -> None:
    file, page = drawing().files["svg"].decode(), drawing().on_page()
    assert SERIES[0] in file
    assert INK in file
    assert not [colour for colour in (INK, *SERIES) if colour in page]
    assert "var(--c1)" in page
    assert 'id="small-' in page


@pytest.mark.parametrize(
    "made",
    [
        lambda: bars([("title", ["a", "b"], [1.0, 2.0], [1])], percent=True),
        lambda: dots(["a", "b"], [("title", [[0.1, None], [0.2, 0.3]])], ["one", "two"], "x"),
        lambda: paths([("title", [("way", [0, 1], [1, None])])], "x", "y", points=[(0.5, 0.5)], points_in=(0,)),
        lambda: scatter([("title", [0, 1, 2], [0.1, 0.2, 0.3])], (1, 3), "y"),
    ],
    ids=["bars", "dots", "paths", "scatter"],
)
def test_every_kind_says_its_titles(made: object) -> None:
    svg = Drawing("kind", "words", made).files["svg"].decode()  # type: ignore[arg-type]
    assert ">title<" in svg
