"""The policy folder's ``concepts.yaml``, changed by a program: concepts of one's own put in and taken out.

What people wrote in it, comments and order included, stays as it is; the file is replaced in one step, so that whoever
reads it reads the old or the new one.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from server.errors import NotAllowed, PolicyError, UnknownConcept
from server.policy import PolicySet, compile_files, read_folder
from server.subject import Custom, parts_of

FILE = "concepts.yaml"
NEW = b"# Concepts of our own (docs/policies.md). `tiller concepts save` writes here too.\nconcepts: {}\n"


def save(folder: Path, custom: Custom) -> None:
    """Write a concept into the folder, in the place of what has its id.

    Raises:
        PolicyError: the folder would not load with it, or another file than concepts.yaml has its id.
        NotAllowed: the folder cannot be written.
    """
    contents = _contents(folder)
    for known in _compiled(contents, folder).concepts:
        if known.id == custom.id and known.file != FILE:
            raise PolicyError(
                f"{custom.id} stands in {known.file}:{known.line}", expected=f"no such id, or one in {FILE}",
                hint="Change it there: this writes no file that people keep.",
            )  # fmt: skip
    document = _document(contents.get(FILE, NEW))
    if not document.get("concepts"):
        document["concepts"] = {}
    document["concepts"][custom.id] = _entry(custom)
    _put(folder, contents, document)


def delete(folder: Path, concept_id: str) -> None:
    """Take a concept out of the folder.

    Raises:
        UnknownConcept: it is not there.
        PolicyError: a policy names it, it stands in another file, or the folder does not load.
        NotAllowed: the folder cannot be written.
    """
    contents = _contents(folder)
    policies = _compiled(contents, folder)
    known = next((one for one in policies.concepts if one.id == concept_id), None)
    if known is None:
        names = ", ".join(one.id for one in policies.concepts[:5]) or "none"
        raise UnknownConcept("no such custom concept", field="id", found=repr(concept_id), expected=f"one of: {names}")
    if known.file != FILE:
        raise PolicyError(
            f"{concept_id} stands in {known.file}:{known.line}", expected=f"one in {FILE}", hint="Take it out there."
        )
    users = [
        f"policy {policy.name} ({policy.file}:{line})"
        for policy in policies.policies
        for rule, line in zip(policy.rules, policy.rule_lines, strict=True)
        if concept_id in (rule.concept, *(() if rule.subject is None else rule.subject.concepts))
    ]
    if users:
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        raise PolicyError(f"{concept_id} is named by {', '.join(users[:3])}{more}", hint="Change these policies first.")
    document = _document(contents[FILE])
    del document["concepts"][concept_id]
    _put(folder, contents, document)


def _contents(folder: Path) -> dict[str, bytes]:
    contents, problems = read_folder(folder)
    if problems:
        raise PolicyError(str(folder), problems=tuple(problems))
    return contents


def _compiled(contents: Mapping[str, bytes], folder: Path) -> PolicySet:
    return compile_files(contents, str(folder))


def _put(folder: Path, contents: Mapping[str, bytes], document: Any) -> None:
    out = io.BytesIO()
    _yaml().dump(document, out)
    content = out.getvalue()
    _compiled({**contents, FILE: content}, folder)  # what would not load is not written
    target = folder / FILE
    try:
        handle, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).chmod(target.stat().st_mode & 0o777 if target.exists() else 0o644)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        folder_handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(folder_handle)
        finally:
            os.close(folder_handle)
    except OSError as error:
        raise NotAllowed(
            f"the policy folder {folder} cannot be written", found=error.strerror,
            hint=f"Put the concept into its {FILE} where the folder comes from.",
        ) from error  # fmt: skip


def _entry(custom: Custom) -> dict[str, Any]:
    parts = parts_of(custom.subject)
    said: dict[str, Any] = {}
    if custom.display_name != custom.id.partition(":")[2]:
        said["display_name"] = custom.display_name
    if custom.description:
        said["description"] = custom.description
    said["concepts"] = dict(parts.concepts)
    said |= {name: list(getattr(parts, name)) for name in ("like", "unlike", "items")}
    return {name: value for name, value in said.items() if value}


def _document(content: bytes) -> Any:
    return _yaml().load(content)


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 1 << 16
    return yaml
