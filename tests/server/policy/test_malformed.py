"""One malformed file per refusal; beside each stands the whole message (NAME.yaml, NAME.txt)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from server.policy import PolicyError, load_policies

FIXTURES = Path(__file__).parent / "malformed"
NAMES = sorted(file.stem for file in FIXTURES.glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_refused_with_its_whole_message(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("policies").mkdir()
    shutil.copy(FIXTURES / f"{name}.yaml", "policies")
    with pytest.raises(PolicyError) as refused:
        load_policies(Path("policies"))
    assert str(refused.value) + "\n" == (FIXTURES / f"{name}.txt").read_text(encoding="utf-8")


def test_every_fixture_has_a_message_and_every_message_a_fixture() -> None:
    assert len(NAMES) >= 60
    assert sorted(file.stem for file in FIXTURES.glob("*.txt")) == NAMES
    assert {file.suffix for file in FIXTURES.iterdir()} == {".yaml", ".txt"}


def test_a_folder_of_all_of_them_reports_each_file_once_in_order(tmp_path: Path) -> None:
    for name in NAMES:
        shutil.copy(FIXTURES / f"{name}.yaml", tmp_path)
    with pytest.raises(PolicyError) as refused:
        load_policies(tmp_path)
    files = [problem.file for problem in refused.value.problems]
    assert list(dict.fromkeys(files)) == [f"{name}.yaml" for name in NAMES]
    assert refused.value.field == refused.value.problems[0].field
