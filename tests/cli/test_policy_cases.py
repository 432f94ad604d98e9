"""`tiller policy test`: cases that hold and cases that do not, over the planted world."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Tiller

POLICIES = """policies:
  - name: kids
    owner: safety
    mandatory: true
    when: {surface: kids}
    rules: [{action: filter, concept: "genre:horror"}]
  - name: west
    owner: shop
    when: {surface: home, country: {not: US}, rollout: 50}
    rules: [{action: promote, concept: "genre:western", strength: 1.0}]
  - name: evenings
    owner: shop
    when: {time: {timezone: Europe/Berlin, hours: "18:00-23:00"}}
    rules: [{action: demote, concept: "genre:comedy"}]
  - name: trial
    owner: shop
    mode: shadow
    rules: [{action: promote, concept: "genre:documentary"}]
"""
NOON, EVENING = "at: 2026-07-01T12:00:00+02:00", "at: 2026-07-01T20:00:00+02:00"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    (folder / "tests").mkdir(parents=True)
    (folder / "all.yaml").write_text(POLICIES)
    return folder


def write(folder: Path, *cases: str) -> Path:
    file = folder / "tests" / "cases.yaml"
    lines = [f"  - {{name: case {n}, {case}}}" for n, case in enumerate(cases)]
    file.write_text("cases:\n" + "\n".join(lines) + "\n")
    return file


HOLDS = [
    f"given: {{attributes: {{surface: kids}}, {NOON}}}, expect: {{fires: [kids], silent: [west, evenings]}}",
    f"given: {{attributes: {{surface: kids}}, {NOON}}}, expect: {{fires_only: [kids], shadows: [trial]}}",
    f"given: {{attributes: {{surface: tv}}, {EVENING}}}, expect: {{fires_only: [evenings]}}",
    f"given: {{attributes: {{surface: kids}}, ignore_policies: true, {EVENING}}}, expect: {{fires_only: [kids]}}",
    f"given: {{attributes: {{surface: home, country: US}}, {NOON}}}, expect: {{silent: [west]}}",
]
HOLDS_OF_LISTS = [
    f"given: {{attributes: {{surface: kids}}, {NOON}, rules: [{{action: promote, concept: 'genre:horror'}}]}}, "
    "expect: {absent: ['genre:horror'], short: false}",
    f"given: {{attributes: {{surface: home}}, users: 12, {NOON}}}, expect: {{reach: {{west: {{min: 0.2, max: 0.8}}}}}}",
    f"given: {{{NOON}, users: 5}}, expect: {{overlap: {{min: 1}}}}",
    f"given: {{{NOON}, k: 200, attributes: {{surface: kids}}}}, expect: {{short: true}}",
    f"given: {{{NOON}, user: u3, rules: [{{action: promote, concept: 'genre:western', strength: 1}}]}}, "
    "expect: {share: {'genre:western': {min: 0.5}}}",
]


def test_cases_without_a_bundle(tiller: Tiller, folder: Path) -> None:
    write(folder, *HOLDS)
    ran = tiller("policy", "test", folder)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [*(f"ok    case {n}" for n in range(5)), "5 cases: 5 passed, 0 failed"]


def test_cases_that_look_at_lists(tiller: Tiller, folder: Path, planted: Path) -> None:
    write(folder, *HOLDS, *HOLDS_OF_LISTS)
    ran = tiller("policy", "test", folder, "--bundle", planted)
    assert (ran.code, ran.err) == (0, ""), ran.out
    assert ran.out.splitlines()[-1] == "10 cases: 10 passed, 0 failed"


FAILS = [
    (f"given: {{attributes: {{surface: tv}}, {NOON}}}, expect: {{fires: [kids]}}",
     "fires: kids does not fire: it wants surface to be kids, the request says tv"),
    (f"given: {{{NOON}}}, expect: {{fires: [kids]}}", "the request says nothing"),
    (f"given: {{{NOON}}}, expect: {{fires: [evenings]}}",
     "fires: evenings does not fire: it is open 18:00-23:00 (Europe/Berlin), and that is not now"),
    (f"given: {{attributes: {{surface: home, country: US}}, {NOON}}}, expect: {{fires: [west]}}",
     "it leaves out country US"),
    (f"given: {{attributes: {{surface: home}}, {NOON}, users: 12}}, expect: {{fires: [west]}}",
     "of 12 users: it reaches 50 %"),
    (f"given: {{{NOON}}}, expect: {{fires: [trial]}}", "it is in shadow mode"),
    (f"given: {{attributes: {{surface: kids}}, {NOON}}}, expect: {{shadows: [kids]}}", "it is enforced, not in shadow"),
    (f"given: {{{EVENING}, ignore_policies: true}}, expect: {{fires: [evenings]}}",
     "the request ignores policies, and it is not mandatory"),
    (f"given: {{{EVENING}}}, expect: {{fires_only: []}}", "fires_only: evenings fires as well"),
    (f"given: {{{EVENING}}}, expect: {{silent: [evenings]}}", "silent: evenings reaches 1 of 1 users"),
    (f"given: {{{NOON}, users: 12}}, expect: {{reach: {{kids: {{min: 0.5}}}}}}",
     "reach kids: expected at least 0.5, found 0.000  ..........|.........."),
    (f"given: {{{NOON}, users: 12}}, expect: {{absent: ['genre:comedy']}}", "absent genre:comedy: "),
    (f"given: {{{NOON}, users: 12}}, expect: {{share: {{'genre:horror': {{max: 0.01}}}}}}",
     "expected at most 0.01, found 0."),
    (f"given: {{{NOON}, users: 12, rules: [{{action: filter, concept: 'genre:horror'}}]}}, "
     "expect: {overlap: {min: 1}}",
     "overlap: expected at least 1, found 0."),
    (f"given: {{{NOON}, users: 12}}, expect: {{short: true}}",
     "short: the lists of 12 of 12 users are full, u0 for one"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "said"), FAILS, ids=[str(n) for n in range(len(FAILS))])
def test_what_does_not_hold_is_told(tiller: Tiller, folder: Path, planted: Path, case: str, said: str) -> None:
    file = write(folder, case)
    ran = tiller("policy", "test", folder, "--bundle", planted)
    assert (ran.code, ran.err) == (1, "")
    head, place, fault, summary = ran.out.splitlines()
    assert (head, summary) == ("FAIL  case 0", "1 case: 0 passed, 1 failed")
    assert place.strip().startswith(f"{file}:2, ")
    assert said in fault


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("expect: {silent: [kid]}", "no policy 'kid' in the folder. Did you mean 'kids'?"),
        ("expect: {absent: ['genre:horror']}", "looks at lists or at users of a bundle. Name one: --bundle DIR."),
        ("given: {users: 3}, expect: {fires: [trial]}", "Name one: --bundle DIR."),
    ],
)
def test_a_case_that_cannot_be_run_is_refused(tiller: Tiller, folder: Path, case: str, said: str) -> None:
    write(folder, case)
    ran = tiller("policy", "test", folder)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert "cases.yaml:2: case 0" in ran.err


def test_a_concept_that_the_bundle_lacks_is_refused(tiller: Tiller, folder: Path, planted: Path) -> None:
    write(folder, "expect: {absent: ['genre:horor']}")
    ran = tiller("policy", "test", folder, "--bundle", planted)
    assert ran.code == 2
    assert "Nearest: genre:horror" in ran.err


def test_files_may_be_named(tiller: Tiller, folder: Path) -> None:
    file = write(folder, HOLDS[0])
    other = file.rename(folder.parent / "elsewhere.yaml")
    assert tiller("policy", "test", folder, other).code == 0
    ran = tiller("policy", "test", folder)
    assert (ran.code, ran.out) == (2, "")
    assert "no cases" in ran.err
