"""Documentation that cannot rot: links resolve, and what can be typed, set or measured is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bundle import Concept, ConceptArrays, Manifest, Purity, Quality
from bundle.manifest import MANIFEST, OPTIONAL_FILES, REQUIRED_FILES, SIGNATURE
from cli.main import app
from server.settings import Settings
from server.telemetry import Telemetry
from tests.docs_reader import ROOT, anchors, commands, links, pages, words

CLI_PAGE = ROOT / "docs" / "cli.md"
DELEGATED = {"train", "serve", "search"}


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _walk(child, (*path, name))


COMMANDS: dict[tuple[str, ...], Any] = dict(_walk(typer.main.get_command(app)))


def _sections() -> dict[tuple[str, ...], str]:
    """``## `tiller concepts list` `` -> the text below it."""
    parts = re.split(r"^## `tiller ([\w ]+)`$", CLI_PAGE.read_text(), flags=re.MULTILINE)
    return {tuple(name.split()): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(link)
    assert not broken


def test_every_command_has_its_section_and_every_section_its_command() -> None:
    assert set(_sections()) == set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_documented(path: tuple[str, ...]) -> None:
    options = {option for parameter in COMMANDS[path].params for option in parameter.opts if option.startswith("--")}
    documented = set(re.findall(r"--[a-z][a-z0-9-]*", _sections()[path])) | {"--help"}
    assert options <= documented
    if path[0] not in DELEGATED:
        assert documented <= options | {"--help"} | {o for p in COMMANDS[path].params for o in p.secondary_opts}


def test_every_flag_of_the_server_is_documented() -> None:
    flags = {f"--{name.replace('_', '-')}" for name in Settings.model_fields}
    switches = {f"--no-{flag[2:]}" for flag in flags}
    documented = set(re.findall(r"`(--[a-z][a-z0-9-]*)`", _sections()["serve",])) - {"--no-reuse-port"}
    assert flags <= documented
    assert documented <= flags | switches


def test_every_flag_of_training_is_documented() -> None:
    from offline.train_sae import app as training

    given = [option for parameter in typer.main.get_command(training).params
             for option in (*parameter.opts, *parameter.secondary_opts)]  # fmt: skip
    documented = set(re.findall(r"`(--[a-z][a-z0-9-]*)`", _sections()["train",]))
    assert documented == set(given) - {"--help"}


def test_every_file_field_and_array_of_a_bundle_is_documented() -> None:
    page = (ROOT / "docs" / "bundle-format.md").read_text()
    arrays = [field.name for field in fields(ConceptArrays) if field.name != "gains"]
    names = [MANIFEST, SIGNATURE, *REQUIRED_FILES, *OPTIONAL_FILES, *Manifest.model_fields, *Concept.model_fields,
             *Quality.model_fields, *Purity.model_fields, *arrays]  # fmt: skip
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_metric_is_documented() -> None:
    exported = {family.name for family in Telemetry().registry.collect() if family.name.startswith("tiller_")}
    documented = set(re.findall(r"^\| `(tiller_[a-z_]+)`", (ROOT / "docs" / "monitoring.md").read_text(), re.MULTILINE))
    assert exported == {name.removesuffix("_total") for name in documented}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_shows_an_example_in_its_help(path: tuple[str, ...]) -> None:
    help_text = COMMANDS[path].help or COMMANDS[path].callback.__doc__
    assert f"Example: tiller {' '.join(path)}" in " ".join(help_text.split())


def test_commands_in_the_docs_exist_and_take_the_options_they_are_given() -> None:
    wrong = []
    for page in pages():
        for command in commands(page):
            typed = words(command)
            if typed[:1] != ["tiller"]:
                continue
            path = next((p for p in (tuple(typed[1:3]), tuple(typed[1:2])) if p in COMMANDS), None)
            if path is None:
                wrong.append(f"{page.name}: {command}: no such command")
                continue
            if path[0] in DELEGATED:
                continue
            known = {o for p in COMMANDS[path].params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            given = {word.partition("=")[0] for word in typed if word.startswith("-")}
            wrong += [f"{page.name}: {command}: no option {option}" for option in sorted(given - known)]
    assert not wrong
