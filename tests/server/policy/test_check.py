from __future__ import annotations

from pathlib import Path

import pytest

from server.policy import PolicySet, check_attributes, check_concepts, load_policies

TEXT = """\
policies:
  - name: kids
    owner: safety
    when: {surfce: kids, region: eu}
    rules:
      - {action: filter, concept: genre:horor}
      - {action: promote, concept: genre:Comedy}
      - {action: demote, concept: genre:drama}
      - {action: demote, concept: latent:3}
      - {action: demote, concept: latent:999}
      - {action: promote, concept: mood:zzz}
"""
OFFERED = ["genre:horror", "genre:comedy", "genre:drama", "genre:children's", *(f"latent:{i}" for i in range(8))]


@pytest.fixture
def policies(tmp_path: Path) -> PolicySet:
    (tmp_path / "kids.yaml").write_text(TEXT)
    return load_policies(tmp_path)


def test_concepts_that_a_bundle_lacks_come_with_the_nearest_names(policies: PolicySet) -> None:
    warnings = check_concepts(policies, OFFERED)
    assert [str(warning) for warning in warnings] == [
        "kids.yaml:6: policy kids: the bundle does not offer 'genre:horor', so the filter cannot be held. "
        "Did you mean 'genre:horror'?",
        "kids.yaml:7: policy kids: the bundle does not offer 'genre:Comedy', so the promote does nothing. "
        "Did you mean 'genre:comedy'?",
        "kids.yaml:9: policy kids: 'latent:3' means something else after the next training; name a concept.",
        "kids.yaml:10: policy kids: the bundle does not offer 'latent:999', so the demote does nothing.",
        "kids.yaml:11: policy kids: the bundle does not offer 'mood:zzz', so the promote does nothing.",
    ]
    assert (warnings[0].policy, warnings[0].subject, warnings[0].nearest) == ("kids", "genre:horor", ("genre:horror",))


def test_nothing_to_say_where_all_are_offered(policies: PolicySet) -> None:
    offered = {"genre:horor", "genre:Comedy", "genre:drama", "mood:zzz", "latent:3", "latent:999"}
    assert [warning.subject for warning in check_concepts(policies, offered)] == ["latent:3", "latent:999"]
    assert check_concepts(PolicySet(), ()) == []


def test_an_attribute_that_is_nearly_a_usual_one_is_warned_about(policies: PolicySet) -> None:
    assert [str(warning) for warning in check_attributes(policies)] == [
        "kids.yaml:2: policy kids: requests usually do not carry the attribute 'surfce'. Did you mean 'surface'?"
    ]
