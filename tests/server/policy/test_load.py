from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.policy import PolicyError, PolicySet, Problem, load_policies, revision_of
from server.policy.load import MAX_FILE_BYTES, MAX_FILES
from server.policy.schema import MAX_POLICIES
from server.types import Action, Channel, Membership, Rule

KIDS = """\
policies:
  - name: kids
    owner: safety
    description: No horror.
    priority: 7
    when: {surface: kids, country: [DE, AT]}
    rules:
      - {action: filter, concept: genre:horror, membership: either}
      - action: promote
        concept: genre:comedy
        strength: 1
        channel: query
"""
TRIAL = """\
policies:
  - {name: trial, owner: search, mode: shadow, rules: [{action: demote, concept: "year:1980s"}]}
  - {name: old, owner: search, enabled: false, rules: [{action: filter, concept: latent:0}]}
"""
Writer = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    """Writes files into ``policies`` and returns that folder, relative, so that messages are the same everywhere."""
    monkeypatch.chdir(tmp_path)

    def files(**contents: str | bytes) -> Path:
        folder = Path("policies")
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            data = content.encode() if isinstance(content, str) else content
            (folder / name.replace("__", ".")).write_bytes(data)
        return folder

    return files


def refused_for(folder: Path) -> tuple[Problem, ...] | None:
    """The problems, or None where the folder is read."""
    try:
        load_policies(folder)
    except PolicyError as refused:
        return refused.problems
    return None


def refusal(folder: Path) -> str:
    with pytest.raises(PolicyError) as refused:
        load_policies(folder)
    return str(refused.value)


def test_a_file_becomes_rules(write: Writer) -> None:
    loaded = load_policies(write(kids__yaml=KIDS))
    (policy,) = loaded.policies
    assert (policy.name, policy.owner, policy.description) == ("kids", "safety", "No horror.")
    assert (policy.enabled, policy.shadow, policy.priority) == (True, False, 7)
    assert policy.when == (("country", frozenset({"DE", "AT"})), ("surface", frozenset({"kids"})))
    assert (policy.file, policy.line, policy.rule_lines) == ("kids.yaml", 2, (8, 9))
    assert policy.rules == (
        Rule(Action.FILTER, "genre:horror", 1.0, Channel.ITEM, Membership.EITHER, "policy:kids", 7),
        Rule(Action.PROMOTE, "genre:comedy", 1.0, Channel.QUERY, Membership.DEFAULT, "policy:kids", 7),
    )
    assert loaded.loaded_from == "policies"


def test_shadow_disabled_and_defaults(write: Writer) -> None:
    trial, old = load_policies(write(trial__yml=TRIAL)).policies
    assert trial.rules == (Rule(Action.DEMOTE, "year:1980s", 0.5, source="policy:trial", shadow=True),)
    assert (trial.shadow, trial.enabled, trial.when) == (True, True, ())
    assert (old.shadow, old.enabled) == (False, False)
    assert old.rules == (Rule(Action.FILTER, "latent:0", 1.0, source="policy:old"),)


def test_files_are_read_in_the_order_of_their_names(write: Writer) -> None:
    folder = write(b__yaml=KIDS, a__yml=TRIAL, C__YAML="policies: []")
    assert [policy.name for policy in load_policies(folder).policies] == ["trial", "old", "kids"]


def test_no_folder_and_empty_folder(write: Writer) -> None:
    assert load_policies(None) == PolicySet((), "none", None)
    assert load_policies(write()) == PolicySet((), "e3b0c44298fc", "policies")
    assert hashlib.sha256(b"").hexdigest().startswith("e3b0c44298fc")


def test_revision_follows_names_and_contents_only(write: Writer) -> None:
    folder = write(a__yaml=KIDS)
    first = load_policies(folder).revision
    digest = hashlib.sha256(
        (6).to_bytes(8, "big") + b"a.yaml" + len(KIDS).to_bytes(8, "big") + KIDS.encode()
    ).hexdigest()
    assert first == digest[:12]
    os.utime(folder / "a.yaml", (1, 1))
    write(README="not a policy", notes__txt="nor this")
    assert load_policies(folder).revision == first
    (folder / "a.yaml").rename(folder / "b.yaml")
    renamed = load_policies(folder).revision
    write(b__yaml=KIDS + "# reviewed\n")
    assert len({first, renamed, load_policies(folder).revision}) == 3


def test_revision_cannot_be_confused_by_moving_bytes_between_name_and_content() -> None:
    assert revision_of({"a": b"bc"}) != revision_of({"ab": b"c"})
    assert revision_of({"a": b"1", "b": b"2"}) == revision_of({"b": b"2", "a": b"1"})


def test_hidden_files_and_subfolders_are_not_looked_at(write: Writer) -> None:
    folder = write(kids__yaml=KIDS, __hidden__yaml="nonsense", draft__yaml__bak="nonsense")
    (folder / "archive.yaml").mkdir()
    (folder / "archive.yaml" / "bad.yaml").write_text("nonsense")
    assert [policy.name for policy in load_policies(folder).policies] == ["kids"]


def test_a_kubernetes_mount_is_read_through_its_links(write: Writer) -> None:
    folder = write()
    version = folder / "..2024_01_31"
    version.mkdir()
    (version / "kids.yaml").write_text(KIDS)
    (folder / "..data").symlink_to("..2024_01_31")
    (folder / "kids.yaml").symlink_to("..data/kids.yaml")
    Path("mounted").symlink_to("policies")
    loaded = load_policies(Path("mounted"))
    assert [policy.name for policy in loaded.policies] == ["kids"]
    assert loaded.revision == revision_of({"kids.yaml": KIDS.encode()})


def test_a_byte_order_mark_and_windows_line_ends_are_taken(write: Writer) -> None:
    folder = write(kids__yaml=b"\xef\xbb\xbf" + KIDS.replace("\n", "\r\n").encode())
    assert load_policies(folder).policies[0].rule_lines == (8, 9)


def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.yaml").write_text(KIDS)
    end = "expected a folder. Create it, or name another folder."
    missing, file = refusal(Path("nowhere")), refusal(Path("file.yaml"))
    assert missing == f"policy folder nowhere cannot be read: found No such file or directory, {end}"
    assert file == f"policy folder file.yaml cannot be read: found Not a directory, {end}"


def test_what_cannot_be_read_is_reported_with_the_rest(write: Writer) -> None:
    folder = write(big__yaml="# " + "x" * MAX_FILE_BYTES, ok__yaml=KIDS, z__yaml="policies:\n")
    (folder / "gone.yaml").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.yaml")
    assert refusal(folder) == (
        "policies: 4 problems, no policy was loaded.\n"
        "  big.yaml: too large: expected at most 262144 bytes. Split it into several files.\n"
        "  gone.yaml: cannot be read: found No such file or directory.\n"
        "  pipe.yaml: not a regular file.\n"
        "  z.yaml:1: policies: wrong type: found nothing, expected a list of at most 1000 policies."
    )


def test_a_link_out_of_the_folder_is_not_followed(write: Writer) -> None:
    folder = write(ok__yaml=KIDS)
    Path("secret.yaml").write_text(KIDS)
    (folder / "a.yaml").symlink_to(Path("secret.yaml").resolve())
    (folder / "b.yaml").symlink_to("../secret.yaml")
    assert refusal(folder) == (
        "policies: 2 problems, no policy was loaded.\n"
        "  a.yaml: a link out of the folder. Put the file itself there, or name the folder that it lies in.\n"
        "  b.yaml: a link out of the folder. Put the file itself there, or name the folder that it lies in."
    )


def test_a_file_of_the_largest_size_is_read(write: Writer) -> None:
    folder = write(kids__yaml=KIDS + "#" * (MAX_FILE_BYTES - len(KIDS)))
    assert len(load_policies(folder).policies) == 1


def test_too_many_files(write: Writer) -> None:
    folder = write(**{f"f{i}__yaml": "policies: []" for i in range(MAX_FILES)})
    assert load_policies(folder).policies == ()
    write(one_more__yaml="policies: []")
    assert refusal(folder) == "policy folder policies has too many files: found 201, expected at most 200."


def test_a_name_is_unique_over_the_folder(write: Writer) -> None:
    second = KIDS.replace("owner: safety", "owner: safety\n    nmae: kids")
    assert refusal(write(a__yaml=KIDS, b__yaml=second)) == (
        "policies: 2 problems, no policy was loaded.\n"
        "  b.yaml:2: policies[0].name: name taken: found 'kids'. "
        "a.yaml:2 has it already; a name is unique over the folder.\n"
        "  b.yaml:4: policies[0].nmae: unknown key: found 'nmae', expected one of name, owner, description, enabled, "
        "mode, priority, mandatory, when, rules. Did you mean 'name'?"
    )


def test_a_name_is_unique_within_one_line(write: Writer) -> None:
    entry = "{name: a, owner: b, rules: [{action: filter, concept: genre:drama}]}"
    assert refusal(write(a__yaml=f"policies: [{entry}, {entry}]")) == (
        "policies: 1 problem, no policy was loaded.\n"
        "  a.yaml:1: policies[1].name: name taken: found 'a'. "
        "a.yaml:1 has it already; a name is unique over the folder."
    )


def test_too_many_policies_over_all_files(write: Writer) -> None:
    def part(low: int, high: int) -> str:
        line = "  - {{name: p{}, owner: b, rules: [{{action: filter, concept: genre:drama}}]}}\n"
        return "policies:\n" + "".join(line.format(i) for i in range(low, high))

    folder = write(a__yaml=part(0, 500), b__yaml=part(500, MAX_POLICIES))
    assert len(load_policies(folder).policies) == 1000
    write(c__yaml=part(MAX_POLICIES, MAX_POLICIES + 1))
    assert refusal(folder) == (
        "policies: 1 problem, no policy was loaded.\n"
        "  all files: policies: too many: found 1001, expected at most 1000 over all files."
    )


def test_lists_and_texts_are_bounded(write: Writer) -> None:
    rules = "".join(f"      - {{action: demote, concept: latent:{i}}}\n" for i in range(101))
    values = ", ".join(f"v{i}" for i in range(1001))
    text = (
        f"policies:\n  - name: {'n' * 65}\n    owner: {'o' * 201}\n    description: {'d' * 2001}\n"
        f"    when:\n      surface: [{values}]\n    rules:\n{rules}"
    )
    assert refusal(write(a__yaml=text)) == (
        "policies: 5 problems, no policy was loaded.\n"
        f"  a.yaml:2: policies[0].name: not a valid name: found '{'n' * 57}...', expected lower-case letters, digits, "
        "'-' and '_', at most 64, such as kids-no-horror.\n"
        f"  a.yaml:3: policies[0].owner: too long: found '{'o' * 57}...', expected text of 1 to 200 characters: "
        "a team or a person.\n"
        f"  a.yaml:4: policies[0].description: too long: found '{'d' * 57}...', expected text of at most 2000 "
        "characters.\n"
        "  a.yaml:6: policies[0].when.surface: too many: found a list of 1001, expected a list of 1 to 1000 texts.\n"
        "  a.yaml:7: policies[0].rules: too many: found a list of 101, expected a list of 1 to 100 rules."
    )


def test_all_problems_are_kept_and_the_message_is_bounded(write: Writer) -> None:
    folder = write(a__yaml="policies:\n" + "  - 1\n" * 150)
    with pytest.raises(PolicyError) as refused:
        load_policies(folder)
    assert [problem.line for problem in refused.value.problems] == list(range(2, 152))
    lines = str(refused.value).split("\n")
    assert len(lines) == 102
    assert (lines[0], lines[-1]) == ("policies: 150 problems, no policy was loaded.", "  ... and 50 more.")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(data: st.DataObject, tmp_path: Path) -> None:
    good = (KIDS + TRIAL.removeprefix("policies:\n")).encode()
    at = data.draw(st.integers(0, len(good)))
    gone = data.draw(st.integers(0, 12))
    junk = data.draw(
        st.one_of(st.binary(max_size=6), st.text("[]{}:-?&*!|>%@'\"\\\n #~<,U", max_size=8).map(str.encode))
    )
    (tmp_path / "a.yaml").write_bytes(good[:at] + junk + good[at + gone :])
    problems = refused_for(tmp_path)
    if problems is not None:
        assert {problem.file for problem in problems} == {"a.yaml"}
        assert all(str(problem).isprintable() for problem in problems)


def test_the_package_needs_neither_wire_nor_metrics_nor_logs() -> None:
    code = (
        "import sys, server.policy; "
        "print(sorted({'grpc', 'prometheus_client', 'structlog', 'torch', 'protos'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_loading_leaves_the_folder_as_it_was(write: Writer) -> None:
    folder = write(kids__yaml=KIDS)
    shutil.copytree(folder, "before")
    load_policies(folder)
    assert [entry.name for entry in folder.iterdir()] == ["kids.yaml"]
    assert (folder / "kids.yaml").read_bytes() == Path("before/kids.yaml").read_bytes()
