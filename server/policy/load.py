"""Policy files, from a folder or as they are -> PolicySet, or one PolicyError that lists every fault of every file.

All files are read before the first is parsed, each up to a bound; hidden files (a Kubernetes mount keeps its own
``..data`` there) and subfolders are not looked at; links are followed inside the folder, not out of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from server.errors import PolicyError, Problem
from server.policy.conditions import When
from server.policy.diagnose import POLICIES, problems_of
from server.policy.document import Document, read_document
from server.policy.naming import CustomEntry
from server.policy.policies import Policy, PolicySet
from server.policy.rollout import Rollout
from server.policy.schema import MAX_POLICIES, PolicyEntry, RuleEntry
from server.subject import Custom
from server.types import REQUEST, Action, Channel, Membership, Rule

MAX_FILE_BYTES = 256 * 1024
MAX_FILES = 200
SUFFIXES = (".yaml", ".yml")
MEMBERSHIPS = {
    None: Membership.DEFAULT,
    "label": Membership.LABEL,
    "activation": Membership.READOUT,
    "readout": Membership.READOUT,  # the word of earlier files
    "either": Membership.EITHER,
}


def load_policies(folder: Path | None) -> PolicySet:
    """Read, check and compile the ``*.yaml`` and ``*.yml`` files of ``folder``; without a folder there are no policies.

    Raises:
        PolicyError: the folder is not there, or at least one file is refused; ``problems`` has every fault.
    """
    if folder is None:
        return PolicySet()
    contents, problems = read_folder(folder)
    return compile_files(contents, str(folder), problems)


def compile_files(contents: Mapping[str, bytes], origin: str, problems: Iterable[Problem] = ()) -> PolicySet:
    """Check and compile files that are read already.

    Args:
        contents: file name -> content; the names' order is the order of what is told about them.
        origin: where they come from, for people.
        problems: what was wrong with other files.

    Raises:
        PolicyError: a file is refused, or there were problems.
    """
    problems = list(problems)
    policies: list[Policy] = []
    concepts: list[Custom] = []
    names: dict[str, tuple[str, int, int]] = {}
    for file, content in contents.items():
        document, faults = parse(content, file)
        if document is not None:
            parsed, refused = problems_of(document, file, POLICIES)
            faults += refused + _taken(document, file, names)
            if parsed is not None:
                policies += [_compile(e, document, file, i) for i, e in enumerate(parsed.policies)]
                concepts += [_custom(name, e, document, file) for name, e in (parsed.concepts or {}).items()]
        problems += sorted(faults, key=lambda fault: fault.line)
    if len(names) > MAX_POLICIES:
        most = f"at most {MAX_POLICIES} over all files"
        problems.append(Problem("all files", 0, "policies", "too many", str(len(names)), most))
    problems += _twice(concepts)
    if problems:
        raise PolicyError(origin, problems=tuple(problems))
    return PolicySet(tuple(policies), revision_of(contents), origin, tuple(sorted(concepts, key=lambda one: one.id)))


def revision_of(contents: Mapping[str, bytes]) -> str:
    """First 12 hex digits of sha256 over (length, name, length, content) of every file by name.

    A folder without policy files has "e3b0c44298fc", the digest of nothing.
    """
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        for part in (name.encode("utf-8", "surrogateescape"), content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def read_folder(folder: Path) -> tuple[dict[str, bytes], list[Problem]]:
    """The policy files of a folder, name -> content, by name; and what cannot be read.

    Raises:
        PolicyError: the folder is not there, or has too many files.
    """
    try:
        found = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        hint = "Create it, or name another folder."
        raise PolicyError(
            f"policy folder {folder} cannot be read", found=error.strerror, expected="a folder", hint=hint
        ) from error
    files = [e for e in found if not e.name.startswith(".") and e.suffix.lower() in SUFFIXES and not e.is_dir()]
    if len(files) > MAX_FILES:
        raise PolicyError(
            f"policy folder {folder} has too many files", found=len(files), expected=f"at most {MAX_FILES}"
        )
    contents: dict[str, bytes] = {}
    problems: list[Problem] = []
    for entry in files:
        if entry.is_symlink() and not _inside(entry, folder):
            hint = "Put the file itself there, or name the folder that it lies in."
            problems.append(Problem(entry.name, 0, "", "a link out of the folder", None, None, hint))
            continue
        if entry.exists() and not entry.is_file():  # a pipe would block the start
            problems.append(Problem(entry.name, 0, "", "not a regular file"))
            continue
        try:
            with entry.open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            problems.append(Problem(entry.name, 0, "", "cannot be read", error.strerror))
            continue
        if len(content) > MAX_FILE_BYTES:
            hint = "Split it into several files."
            problems.append(Problem(entry.name, 0, "", "too large", None, f"at most {MAX_FILE_BYTES} bytes", hint))
            continue
        contents[entry.name] = content
    return contents, problems


def _inside(entry: Path, folder: Path) -> bool:
    """Whether a link stays in the folder, wherever that lies itself; Kubernetes mounts files as links to their own."""
    return folder.resolve() in entry.resolve().parents


def parse(content: bytes, file: str) -> tuple[Document | None, list[Problem]]:
    """One file's text as data with lines; None where it cannot be read."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x}"
        return None, [Problem(file, line, "", "not UTF-8", found, None, "Save the file as UTF-8.")]
    return read_document(text, file)


def _taken(document: Document, file: str, names: dict[str, tuple[str, int, int]]) -> list[Problem]:
    """Names that an earlier policy has; read from the data, so that a file with other faults is checked as well."""
    entries = document.data.get("policies") if isinstance(document.data, dict) else None
    problems: list[Problem] = []
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        line = document.line(("policies", index, "name"))
        other, at, place = names.setdefault(name, (file, line, index))
        if (other, place) != (file, index):
            field = f"policies[{index}].name"
            hint = f"{other}:{at} has it already; a name is unique over the folder."
            problems.append(Problem(file, line, field, "name taken", repr(name), None, hint))
    return problems


def _twice(concepts: Iterable[Custom]) -> list[Problem]:
    """Ids of custom concepts that an earlier file has."""
    first: dict[str, Custom] = {}
    problems: list[Problem] = []
    for concept in concepts:
        other = first.setdefault(concept.id, concept)
        if other is not concept:
            hint = f"{other.file}:{other.line} has it already; an id is unique over the folder."
            field = f"concepts.{concept.id}"
            problems.append(Problem(concept.file, concept.line, field, "name taken", repr(concept.id), None, hint))
    return problems


def _custom(name: str, entry: CustomEntry, document: Document, file: str) -> Custom:
    called = entry.display_name or name.partition(":")[2]
    return Custom(name, called, entry.subject, entry.description, file, document.line(("concepts", name)))


def _compile(entry: PolicyEntry, document: Document, file: str, index: int) -> Policy:
    loc = ("policies", index)
    when = entry.when or When()
    part = when.part
    return Policy(
        name=entry.name,
        owner=entry.owner,
        description=entry.description,
        enabled=entry.enabled,
        shadow=entry.mode == "shadow",
        priority=entry.priority,
        when=tuple((name, frozenset(values)) for name, values in sorted(when.attributes.items())),
        rules=tuple(to_rule(rule, entry) for rule in entry.rules),
        file=file,
        line=document.line(loc),
        rule_lines=tuple(document.line((*loc, "rules", place)) for place in range(len(entry.rules))),
        unless=tuple((name, frozenset(values)) for name, values in sorted(when.excluded.items())),
        windows=tuple(window.compile() for window in when.windows),
        rollout=None if part is None else Rollout(part.percent, part.salt or entry.name, part.by),
        mandatory=entry.mandatory,
    )


def to_rule(rule: RuleEntry, policy: PolicyEntry | None = None) -> Rule:
    """An entry as the engine takes it: a policy's rule, or without one a request's."""
    action = Action(rule.action)
    return Rule.about(
        rule.given,
        action,
        strength=1.0 if action is Action.FILTER or rule.share is not None else rule.strength,
        channel=Channel(rule.channel),
        membership=MEMBERSHIPS[rule.membership],
        source=REQUEST if policy is None else f"policy:{policy.name}",
        priority=0 if policy is None else policy.priority,
        shadow=policy is not None and policy.mode == "shadow",
        fills=rule.fallback == "fill",
        share=None if rule.share is None else rule.share.max if action is Action.DEMOTE else rule.share.min,
    )
