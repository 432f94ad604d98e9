"""The page: whole, self-contained, well-formed, escaped, and the same bytes for the same evaluation."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bundle import ConceptFile
from offline.evaluate.html import Cell, Column, count, number, percent, table
from offline.evaluate.report import write_html
from tests.offline.evaluate.planted import WORLD
from tests.offline.evaluate.test_run import measured

HISTORY = [
    {"stage": stage, "step": step, "loss": 1 / step, "explained_variance": 0.5, "l0": 8.0, "dead_share": 0.0}
    for stage in ("stage1", "stage2")
    for step in (50, 100)
]
VOID = {"meta", "br", "link", "img", "path", "use", "rect", "line"}


class Page(HTMLParser):
    """Collects ids, links and text, and complains about tags that do not close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in {"href", "src", "xlink:href"}:
                self.links.append(str(value))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def evaluation() -> dict[str, Any]:
    return json.loads(json.dumps(measured(history=HISTORY, provenance={"command": ["tiller", "train"], "seed": 0})))


@pytest.fixture(scope="module")
def path(evaluation: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "evaluation.html"
    write_html(evaluation, path, title="Planted <world>")
    return path


def test_every_section_is_there_and_the_navigation_leads_to_it(path: Path) -> None:
    page = read(path)
    wanted = ["recommender", "sae", "concepts", "fidelity", "steering", "strength", "training", "provenance"]
    assert [link[1:] for link in page.links if link.startswith("#") and link[1:] in wanted] == wanted
    assert set(wanted) <= set(page.ids)


def test_it_needs_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    page = read(path)
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\((?!#)|<link|<img|fetch\(", text)
    assert set(re.findall(r"https?://[^\"'\s<]+", text)) <= {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
    }  # fmt: skip


def test_ids_are_unique_although_there_are_several_figures(path: Path) -> None:
    page = read(path)
    assert len(page.ids) == len(set(page.ids))
    assert path.read_text(encoding="utf-8").count("<svg ") == 4


def test_figures_wear_the_pages_colours(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    figures = re.findall(r"<svg .*?</svg>", text, flags=re.DOTALL)
    for figure in figures:
        assert "var(--ink)" in figure
        assert not re.search(r"#0[0-9]0[0-9]0[0-9]", figure)
    assert "prefers-color-scheme: dark" in text


def test_figures_in_tables_are_the_evaluations(path: Path, evaluation: dict[str, Any]) -> None:
    words = [word.strip() for word in read(path).words]
    assert f"{evaluation['fidelity']['variants']['both']['kendall_tau']:.3f}" in words
    assert f"{evaluation['recommender']['recommender']['ndcg@10']:.4f}" in words
    for row in evaluation["steering"]["rows"]:
        if row["method"] == "item" and row["reached"]:
            assert f"{row['ndcg_kept']:.3f}" in words
    assert "genre:musical" in words
    assert "3 items carry it; at least 10 are needed to fit and score a read-out" in words


def test_same_evaluation_same_bytes(path: Path, evaluation: dict[str, Any], tmp_path: Path) -> None:
    write_html(evaluation, tmp_path / "again.html", title="Planted <world>")
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()


def test_what_comes_from_data_is_escaped(evaluation: dict[str, Any], tmp_path: Path) -> None:
    changed = json.loads(json.dumps(evaluation))
    changed["concepts"]["not_offered"][0]["reason"] = "<script>alert(1)</script>"
    changed["provenance"]["name"] = "</pre><b>"
    write_html(changed, tmp_path / "page.html", title="<i>")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "</pre><b>" not in text
    assert "<title>&lt;i&gt;</title>" in text
    read(tmp_path / "page.html")


def test_without_interactions_or_history(tmp_path: Path) -> None:
    alone = measured(train=None, test=None, held_out=None)
    write_html(alone, tmp_path / "page.html")
    page = read(tmp_path / "page.html")
    assert "training" not in page.ids
    assert alone["missing"][0] in "".join(page.words)


def test_a_bundle_without_concepts(tmp_path: Path) -> None:
    lost = [concept for concept in WORLD.contents.concepts.concepts if not concept.offered]
    arrays = WORLD.contents.arrays
    empty = arrays.__class__(
        **{name: getattr(arrays, name)[:0] for name in vars(arrays) if name != "latent_effect"},
        latent_effect=arrays.latent_effect,
    )
    none = measured(concepts=ConceptFile(concepts=tuple(lost)), arrays=empty)
    assert none["steering"]["means"] == []
    write_html(none, tmp_path / "page.html")
    assert "No concept is offered, so there is nothing to steer." in "".join(read(tmp_path / "page.html").words)


def test_cells() -> None:
    assert (number(0.12345).shown, percent(0.5).shown, count(12345).shown) == ("0.123", "50.0 %", "12,345")
    assert number(None) == Cell("–", None)
    drawn = table("c", [Column("a"), Column("b", "g")], [[Cell("x", "x"), number(None)]], [Cell("mean", None)] * 2)
    assert '<td data-value="">–</td>' in drawn
    assert '<tr class="mean">' in drawn
    assert '<td colspan="1"></td><th scope="colgroup" colspan="1">g</th>' in drawn
