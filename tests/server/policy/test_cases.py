"""Files of cases: read as strictly as policies. What comes of running them: tests/cli/test_policy_cases.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.errors import PolicyError
from server.policy.cases import EXPECTED_OF_CASES, CaseEntry, CaseFile, ExpectEntry, GivenEntry, RangeEntry, load_cases
from server.types import Action

GOOD = """\
cases:
  - name: everything
    given:
      attributes: {surface: kids}
      users: 20
      at: 2026-12-24T20:00:00+01:00
      rules: [{action: promote, concept: genre:horror, strength: 1}]
      ignore_policies: true
      k: 5
    expect:
      fires: [a]
      fires_only: []
      shadows: [b]
      silent: [c]
      reach: {a: {min: 0.4, max: 0.6}}
      absent: {genre:horror: either}
      share: {genre:comedy: {min: 0.2}}
      overlap: {max: 1}
      short: false
  - name: little
    expect: {absent: [genre:horror, latent:3]}
"""


def refusal(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "cases.yaml"
    file.write_text(text)
    with pytest.raises(PolicyError) as refused:
        load_cases([file])
    return [line.strip().removeprefix(f"{file}:") for line in str(refused.value).splitlines()]


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "cases.yaml").write_text(GOOD)
    everything, little = load_cases([tmp_path])
    given, expect = everything.entry.given, everything.entry.expect
    assert (given.attributes, given.users, given.k, given.ignore_policies) == ({"surface": "kids"}, 20, 5, True)
    assert given.at == datetime(2026, 12, 24, 19, tzinfo=UTC)
    assert [(rule.action, rule.concept, rule.strength, rule.source) for rule in everything.rules] == [
        (Action.PROMOTE, "genre:horror", 1.0, "request")
    ]
    assert expect.policies == ("a", "b", "c", "a")
    assert expect.members == {"genre:horror": "either"}
    assert little.entry.expect.members == {"genre:horror": "label", "latent:3": "label"}
    assert (everything.line, little.line, little.file) == (2, 20, str(tmp_path / "cases.yaml"))
    assert (expect.looks_at_lists, little.entry.given.user) == (True, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cases: []", "1: cases: "),
        ("case: []", "1: case: unknown key: found 'case', expected one of cases. Did you mean 'cases'?"),
        ("cases: [{name: a, expect: {}}]",
         "1: cases[0].expect: nothing expected: found a mapping, expected a mapping with at least one of fires, "
         "fires_only, shadows, silent, reach, absent, share, overlap, short."),
        ("cases: [{name: a, expect: {fire: [x]}}]", "Did you mean 'fires'?"),
        ("cases: [{name: a, given: {usr: u1}, expect: {short: true}}]", "Did you mean 'user'?"),
        ("cases: [{name: a, given: {user: u1, users: 3}, expect: {short: true}}]", "both user and users"),
        ("cases: [{name: a, given: {at: 2026-12-24T20:00:00}, expect: {short: true}}]",
         "1: cases[0].given.at: no offset: found '2026-12-24T20:00:00', expected a moment with its offset, such as "
         "2026-12-24T20:00:00+01:00. Say which: 2026-12-24T20:00:00Z is UTC, 2026-12-24T20:00:00+01:00 an hour ahead "
         "of it."),
        ("cases: [{name: a, given: {at: christmas}, expect: {short: true}}]", "not a moment"),
        ("cases: [{name: a, given: {at: 2026-12-24}, expect: {short: true}}]", "not a moment"),
        ("cases: [{name: a, expect: {share: {genre:comedy: {min: 0.5, max: 0.2}}}}]", "never true"),
        ("cases: [{name: a, expect: {share: {genre:comedy: {}}}}]", "no end"),
        ("cases: [{name: a, expect: {share: {genre:comedy: {min: 20}}}}]",
         "1: cases[0].expect.share.genre:comedy.min: out of range: found 20, expected a number from 0 to 1."),
        ("cases: [{name: a, expect: {overlap: {least: 1}}}]",
         "1: cases[0].expect.overlap.least: unknown key: found 'least', expected one of min, max."),
        ("cases: [{name: a, expect: {absent: {genre:horror: labels}}}]", "absent.genre:horror: not a choice"),
        ("cases: [{name: a, given: {rules: [{action: filter, concept: genre:horror, fallback: fill}]}, "
         "expect: {short: true}}]", "not taken by a request"),
        ("cases: [{name: a, given: {rules: [{action: filtre, concept: genre:horror}]}, expect: {short: true}}]",
         "Did you mean 'filter'?"),
        ("cases: [{name: a, expect: {short: true}}, {name: a, expect: {short: true}}]", "name taken"),
        ("cases: [", "not valid YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(tmp_path: Path, text: str, said: str) -> None:
    first, *faults = refusal(tmp_path, text + "\n")
    assert first.startswith("cases: ")
    assert first.endswith("no case was run.")
    assert any(said in fault for fault in faults), faults


def test_no_cases_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no cases: expected a file with the key cases"):
        load_cases([tmp_path])
    with pytest.raises(PolicyError, match="cannot be read: found No such file"):
        load_cases([tmp_path / "gone.yaml"])


@pytest.mark.parametrize("model", [CaseFile, CaseEntry, GivenEntry, ExpectEntry, RangeEntry])
def test_every_field_is_described_and_says_what_it_expects(model: type[CaseFile]) -> None:
    for name, info in model.model_fields.items():
        assert info.description, name
        assert EXPECTED_OF_CASES[name]
