"""docs/configuration.md is what the code says, and its file is one that a server takes."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.configuration import page
from server.arguments import read_settings
from server.settings import Settings
from tests.docs_reader import ROOT


def test_the_page_is_written_from_the_code_and_names_every_setting() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == page(), "run: python -m deploy.configuration > docs/configuration.md"
    rows = re.findall(r"^\| `--([a-z0-9-]+)` \|", written, re.MULTILINE)
    assert sorted(rows) == sorted(name.replace("_", "-") for name in Settings.model_fields)


def test_the_example_file_is_taken(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(# tiller\.yaml.*?)```", page(), re.DOTALL)
    file = tmp_path / "tiller.yaml"
    file.write_text(example)
    settings = read_settings(["--config", str(file)])
    assert (settings.bundle, settings.host, settings.max_k) == (Path("bundles/demo"), "0.0.0.0", 200)
