from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from cli.console import ASCII, UNICODE, signs
from cli.tables import Listing, Marked, Place, legend, movement, share_table, side_by_side


def rendered(renderable: RenderableType, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    console.print(renderable)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("rank", "was", "told"),
    [(1, 1, "="), (2, 5, "↑3"), (5, 2, "↓3"), (4, 37, "new 37"), (4, 11, "new 11"), (4, 10, "↑6"), (4, 0, "new")],
)
def test_movement(rank: int, was: int, told: str) -> None:
    assert movement(rank, was, 10, UNICODE) == told


def western(item: str, *, carries: bool, was: int = 0) -> Place:
    return Place(item, f"Film {item}", frozenset({"genre:western"} if carries else ()), was)


BEFORE = Listing("unsteered", (western("a", carries=False, was=1), western("b", carries=True, was=2)), moves=False)
AFTER = Listing("promote genre:western", (western("b", carries=True, was=2), western("c", carries=True, was=9)))


def test_lists_side_by_side_need_no_colour() -> None:
    lines = rendered(side_by_side([BEFORE, AFTER], [Marked("genre:western", "promote")], UNICODE, 70), width=70)
    assert [line.split() for line in lines if "─" not in line] == [
        ["unsteered", "promote", "genre:western"],
        ["1", "Film", "a", "●", "Film", "b", "↑1"],
        ["2", "●", "Film", "b", "●", "Film", "c", "new", "9"],
        ["●", "1", "of", "2", "●", "2", "of", "2"],
    ]


def test_several_concepts_are_letters() -> None:
    both = Place("x", "Film x", frozenset({"genre:western", "genre:horror"}))
    one = Place("y", "Film y", frozenset({"genre:horror"}))
    listing = Listing("steered", (both, one), moves=False)
    concepts = [Marked("genre:western", "promote"), Marked("genre:horror", "filter")]
    lines = rendered(side_by_side([listing], concepts, ASCII, 60), width=60)
    assert any("AB Film x" in line for line in lines)
    assert any(" B Film y" in line and "A" not in line for line in lines)
    assert lines[-1].split() == ["A", "1", "of", "2", "B", "2", "of", "2"]


def test_a_short_list_leaves_its_places_empty() -> None:
    short = Listing("filter genre:western", (western("a", carries=False, was=1),))
    lines = rendered(side_by_side([BEFORE, short], [Marked("genre:western", "filter")], ASCII, 100))
    assert [line.split() for line in lines][-2] == ["2", "*", "Film", "b"]
    assert [line.split() for line in lines][-1] == ["*", "1", "of", "2", "*", "0", "of", "1"]


def test_a_title_too_long_is_cut_and_not_wrapped() -> None:
    long = Listing("unsteered", (Place("a", "A" * 200, frozenset()),), moves=False)
    lines = rendered(side_by_side([long], [], UNICODE, 50), width=50)
    assert sum("A" in line for line in lines) == 1


def test_an_item_without_title_shows_its_id() -> None:
    lines = rendered(side_by_side([Listing("x", (Place("m0001", "", frozenset()),), moves=False)], [], ASCII, 100))
    assert any("m0001" in line for line in lines)


def test_legend_names_the_sign_and_the_moves() -> None:
    text = legend([Marked("genre:western", "promote")], [BEFORE, AFTER], UNICODE).plain
    assert text == "● genre:western   ↑n ↓n moved n places   new n: came from unsteered rank n"
    assert legend([Marked("genre:western")], [BEFORE], ASCII).plain.strip() == "* genre:western"


def test_share_table() -> None:
    rows = [("genre:western", {"unsteered": 0.04, "promote 1": 0.5})]
    lines = rendered(share_table(rows, ["unsteered", "promote 1"], ASCII))
    assert lines[-1].split() == ["genre:western", "4.0%", "50.0%", "#####"]


def test_signs_follow_the_terminal() -> None:
    ascii_file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert signs(Console(file=ascii_file)) is ASCII
    assert signs(Console(file=io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))) is UNICODE
