"""Files with conditions -> who is reached."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.policy import PolicySet, load_policies
from server.policy.rollout import place

TEXT = """\
policies:
  - name: advent
    owner: shop
    when:
      surface: [home, search]
      country: {not: [US, CA]}
      time: {timezone: Europe/Berlin, from: 2026-12-01, until: 2026-12-24}
      rollout: 25
    rules: [{action: promote, concept: "genre:christmas"}]
  - name: evenings
    owner: shop
    mandatory: true
    when:
      time:
        - {timezone: Europe/Berlin, hours: 18:00-23:00}
        - {timezone: Europe/Berlin, days: [sat, sun]}
    rules: [{action: filter, concept: "genre:news", membership: activation, fallback: fill}]
  - name: trial
    owner: search
    when: {rollout: {percent: 50, by: session, salt: spring}}
    rules: [{action: filter, concept: "genre:horror", membership: readout}]
  - name: never
    owner: search
    when: {rollout: 0}
    rules: [{action: filter, concept: "genre:horror"}]
"""
ADVENT = datetime(2026, 12, 10, 11, tzinfo=UTC).timestamp()  # a Thursday, noon in Berlin
EVENING = datetime(2026, 12, 10, 18, tzinfo=UTC).timestamp()
JANUARY = datetime(2027, 1, 7, 11, tzinfo=UTC).timestamp()
INSIDE = next(f"u{n}" for n in range(100) if place("advent", f"u{n}") < 0.25)
OUTSIDE = next(f"u{n}" for n in range(100) if place("advent", f"u{n}") >= 0.25)


@pytest.fixture
def policies(tmp_path: Path) -> PolicySet:
    (tmp_path / "all.yaml").write_text(TEXT)
    return load_policies(tmp_path)


def names(policies: PolicySet, *, user: str | None = INSIDE, at: float = ADVENT, **attributes: str) -> list[str]:
    return [policy.name for policy in policies.chosen(attributes, user=user, at=at)]


def test_every_condition_must_hold(policies: PolicySet) -> None:
    assert names(policies, surface="home", country="DE") == ["advent"]
    assert names(policies, surface="search") == ["advent"]  # no country at all is not one of those left out
    assert names(policies, surface="home", country="US") == []
    assert names(policies, surface="kids", country="DE") == []
    assert names(policies, country="DE") == []
    assert names(policies, surface="home", user=OUTSIDE) == []
    assert names(policies, surface="home", user=None) == []
    assert names(policies, surface="home", at=JANUARY) == []


def test_one_of_several_windows_must_be_open(policies: PolicySet) -> None:
    assert names(policies, at=EVENING) == ["evenings"]
    assert names(policies, at=datetime(2026, 12, 12, 3, tzinfo=UTC).timestamp()) == ["evenings"]
    assert names(policies, at=ADVENT) == []


def test_a_rollout_by_an_attribute(policies: PolicySet) -> None:
    sessions = [f"s{n}" for n in range(50)]
    reached = [session for session in sessions if names(policies, session=session) == ["trial"]]
    assert reached == [session for session in sessions if place("spring", session) < 0.5]
    assert 0 < len(reached) < len(sessions)


def test_a_request_can_switch_off_what_is_not_mandatory(policies: PolicySet) -> None:
    asked = {"surface": "home"}
    both = policies.matching(asked, user=INSIDE, at=EVENING)
    assert [rule.source for rule in both] == ["policy:advent", "policy:evenings"]
    left = policies.matching(asked, user=INSIDE, at=EVENING, mandatory_only=True)
    assert [rule.source for rule in left] == ["policy:evenings"]


def test_words_for_who_is_a_member_and_for_short_lists(policies: PolicySet) -> None:
    rules = {rule.source: rule for policy in policies.policies for rule in policy.rules}
    assert rules["policy:evenings"].membership == rules["policy:trial"].membership == "readout"
    assert (rules["policy:evenings"].fills, rules["policy:trial"].fills) == (True, False)


def test_without_an_instant_it_is_now(policies: PolicySet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.policy.policies.time.time", lambda: EVENING)
    assert [rule.source for rule in policies.matching({})] == ["policy:evenings"]
    monkeypatch.setattr("server.policy.policies.time.time", lambda: ADVENT)
    assert policies.matching({}) == ()
