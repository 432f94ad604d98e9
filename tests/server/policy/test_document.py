from __future__ import annotations

import pytest

from server.policy.document import Document, path, read_document


def parse(text: str) -> Document:
    document, problems = read_document(text, "a.yaml")
    assert problems == []
    assert document is not None
    return document


def test_data_and_the_line_of_every_place() -> None:
    document = parse(
        "# title\npolicies:\n  - name: a   # here\n    when:\n      country: [DE,\n        AT]\n  - {name: b}\n"
    )
    assert document.data == {"policies": [{"name": "a", "when": {"country": ["DE", "AT"]}}, {"name": "b"}]}
    assert document.lines == {
        (): 2,
        ("policies",): 2,
        ("policies", 0): 3,
        ("policies", 0, "name"): 3,
        ("policies", 0, "when"): 4,
        ("policies", 0, "when", "country"): 5,
        ("policies", 0, "when", "country", 0): 5,
        ("policies", 0, "when", "country", 1): 6,
        ("policies", 1): 7,
        ("policies", 1, "name"): 7,
    }


def test_a_place_that_is_not_there_has_the_line_around_it() -> None:
    document = parse("\n\npolicies:\n  - name: a\n")
    assert document.line(("policies", 0, "owner")) == 4
    assert document.line(("nothing", "here")) == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("yes", "yes"),
        ("off", "off"),
        ("NO", "NO"),
        ("'true'", "true"),
        ('"0.5"', "0.5"),
        ("-12", -12),
        ("007", 7),
        ("0x1F", "0x1F"),
        ("12:30", "12:30"),
        ("2024-01-31", "2024-01-31"),
        (".5", 0.5),
        ("1.", 1.0),
        ("2e-1", 0.2),
        (".inf", ".inf"),
        ("1_000", "1_000"),
        ("9" * 5000, "9" * 5000),
        ("genre:children's", "genre:children's"),
        ("|\n    two\n    lines\n", "two\nlines\n"),
    ],
)
def test_scalars_of_yaml_1_2(text: str, value: object) -> None:
    data = parse(f"key: {text}").data
    assert data == {"key": value}
    assert type(data["key"]) is type(value)  # type: ignore[index]  # True == 1 is not enough


def test_a_byte_of_the_second_key_does_not_move_the_first_ones_lines() -> None:
    document, problems = read_document("a:\n  b: 1\n\na:\n  b: 2\n  c: 3\n", "a.yaml")
    assert document is not None
    assert document.data == {"a": {"b": 1}}
    assert document.lines == {(): 1, ("a",): 1, ("a", "b"): 2}
    assert [str(p) for p in problems] == [
        "a.yaml:4: a: key given twice. It stands on line 1 already; keep one of the two."
    ]


def test_paths_are_those_of_bad_request_and_never_break_the_line() -> None:
    assert path(("policies", 0, "rules", 12, "strength")) == "policies[0].rules[12].strength"
    assert path(()) == ""
    assert path(("a\nb",)) == "'a\\nb...'"
    assert path(("x" * 61,)) == "'" + "x" * 57 + "...'"
