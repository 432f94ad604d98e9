"""concepts.yaml changed by a program: what people wrote stays, what would not load is not written."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.customs import FILE, delete, save
from server.errors import NotAllowed, PolicyError, UnknownConcept
from server.policy import load_policies
from server.subject import Custom, Examples, Items, Mixture

COSY = Custom(
    "custom:cosy", "Cosy crime", Mixture((("genre:mystery", 1.0), ("genre:comedy", 0.5))), "Murder, with tea."
)
USING = "policies:\n  - {name: mine, owner: me, rules: [{action: promote, concept: custom:cosy}]}\n"


def test_a_folder_gets_its_file_and_reads_back_what_was_saved(tmp_path: Path) -> None:
    save(tmp_path, COSY)
    picked = Custom("custom:picked", "picked", Examples(("1214", "yes"), ("12:30",)))
    save(tmp_path, picked)
    found = {custom.id: custom for custom in load_policies(tmp_path).concepts}
    assert (found["custom:cosy"].subject, found["custom:cosy"].description) == (COSY.subject, "Murder, with tea.")
    assert found["custom:picked"].subject == picked.subject
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_comments_and_order_stay(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(
        "# ours\nconcepts:\n  custom:z: {items: ['1']}  # the first\n  custom:a:\n    like: ['2']\npolicies: []\n"
    )
    save(tmp_path, Custom("custom:a", "a", Items(("3",))))
    assert (tmp_path / FILE).read_text() == (
        "# ours\nconcepts:\n  custom:z: {items: ['1']}  # the first\n  custom:a:\n    items:\n    - '3'\npolicies: []\n"
    )
    delete(tmp_path, "custom:z")
    assert [custom.id for custom in load_policies(tmp_path).concepts] == ["custom:a"]
    assert (tmp_path / FILE).read_text().startswith("# ours\n")


def test_what_a_policy_names_stays(tmp_path: Path) -> None:
    save(tmp_path, COSY)
    (tmp_path / "mine.yaml").write_text(USING)
    with pytest.raises(PolicyError) as refused:
        delete(tmp_path, "custom:cosy")
    assert str(refused.value) == "custom:cosy is named by policy mine (mine.yaml:2). Change these policies first."
    (tmp_path / "mine.yaml").unlink()
    delete(tmp_path, "custom:cosy")
    assert load_policies(tmp_path).concepts == ()


def test_files_that_people_keep_are_left_alone(tmp_path: Path) -> None:
    text = "concepts:\n  custom:cosy: {items: ['1']}\n"
    (tmp_path / "own.yaml").write_text(text)
    for change in (lambda: save(tmp_path, COSY), lambda: delete(tmp_path, "custom:cosy")):
        with pytest.raises(PolicyError, match=r"custom:cosy stands in own.yaml:2: expected .*concepts.yaml"):
            change()
    assert (tmp_path / "own.yaml").read_text() == text
    assert not (tmp_path / FILE).exists()


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownConcept, match="no such custom concept: found 'custom:cosy', expected one of: none"):
        delete(tmp_path, "custom:cosy")


def test_what_would_not_load_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("policies: 1\n")
    with pytest.raises(PolicyError, match=r"broken.yaml:1: policies: wrong type"):
        save(tmp_path, COSY)
    assert not (tmp_path / FILE).exists()


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("server.customs.tempfile.mkstemp", refuse)
    with pytest.raises(NotAllowed, match="cannot be written: found Read-only file system"):
        save(tmp_path, COSY)
    assert list(tmp_path.iterdir()) == []
