"""Who sees what differently, against lists asked for one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from server.errors import InvalidRequest, UnknownUser
from server.policy import PolicySet, changes, compile_files
from server.preview import MOST_SITUATIONS, Preview, Sample, Stopped, compare, situations
from server.steer import Engine
from server.types import Query
from tests.server.worlds import engine as planted_engine
from tests.server.worlds import opened

KIDS = """
  - name: kids
    owner: safety
    when: {surface: kids}
    rules: [{action: filter, concept: "genre:horror"}]
"""
HOME = """
  - name: home
    owner: shop
    when: {surface: home, rollout: 50}
    rules: [{action: promote, concept: "genre:western", strength: 1.0}]
"""


def policies(*texts: str) -> PolicySet:
    return compile_files({"all.yaml": ("policies:" + ("".join(texts) or " []")).encode()}, "policies")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return planted_engine("dot")


def preview(engine: Engine, old: PolicySet, new: PolicySet, **sample: object) -> Preview:
    return compare(replace(engine, policies=old), replace(engine, policies=new), Sample(**sample))  # type: ignore[arg-type]


def test_the_same_policies_change_nothing(engine: Engine) -> None:
    same = preview(engine, policies(KIDS), policies(KIDS))
    assert (same.changes, same.situations) == ((), ())
    (looked,) = preview(engine, policies(KIDS), policies(KIDS), attributes={"surface": "kids"}).situations
    assert (looked.users, looked.changed, looked.overlap, looked.examples) == (12, 0, 1.0, ())
    assert [(share.concept, share.ruled) for share in looked.shares] == [("genre:horror", True)]


def test_numbers_are_those_of_the_lists_asked_one_by_one(engine: Engine) -> None:
    old, new = policies(), policies(KIDS)
    (looked,) = preview(engine, old, new, k=20).situations
    assert looked.attributes == {"surface": "kids"}
    steered = replace(engine, policies=new)
    lists = {}
    for user in engine.catalogue.bundle.contents.user_ids or ():
        query = Query(k=20, user_id=user, attributes={"surface": "kids"})
        lists[user] = engine.recommend(query).ranking.items, steered.recommend(query).ranking.items
    horror = np.unpackbits(engine.catalogue.find("genre:horror").members(), count=240, bitorder="little").astype(bool)
    kept = {user: len(np.intersect1d(was, now)) / 20 for user, (was, now) in lists.items()}
    assert (looked.users, looked.changed) == (12, sum(not np.array_equal(was, now) for was, now in lists.values()))
    assert looked.overlap == pytest.approx(np.mean(list(kept.values())))
    share = looked.shares[0]
    assert (share.concept, share.ruled, share.after) == ("genre:horror", True, 0.0)
    assert share.before == pytest.approx(np.mean([horror[was].mean() for was, _ in lists.values()]))
    assert all(abs(other.after - other.before) >= 0.01 for other in looked.shares[1:])
    worst = sorted(kept, key=lambda user: (kept[user], user))[:3]
    assert [example.user_id for example in looked.examples] == worst
    ids = engine.catalogue.item_ids
    assert [item.item_id for item in looked.examples[0].after] == [ids[row] for row in lists[worst[0]][1]]
    assert [(one.policy, one.before, one.after) for one in looked.fired] == [("kids", 0, 12)]


def test_every_different_policy_brings_its_situation(engine: Engine) -> None:
    both = preview(engine, policies(KIDS), policies(HOME))
    assert [change.name for change in both.changes] == ["home", "kids"]
    assert [dict(one.attributes) for one in both.situations] == [{"surface": "home"}, {"surface": "kids"}]
    home, kids = both.situations
    reached = [one.after for one in home.fired if one.policy == "home"]
    assert 0 < reached[0] < 12  # half of them, by hash
    assert home.changed <= reached[0]
    assert [(one.policy, one.before, one.after) for one in kids.fired] == [("kids", 12, 0)]


def test_situations_are_bounded_and_plain_ones_come_first() -> None:
    many = "".join(KIDS.replace("name: kids", f"name: k{n}").replace("kids}", f"s{n}}}") for n in range(20))
    always = KIDS.replace("    when: {surface: kids}\n", "").replace("kids", "always")
    new = policies(many, always)
    found = situations(PolicySet(), new, changes(PolicySet(), new))
    assert len(found) == MOST_SITUATIONS
    assert found[0] == {}


def test_the_instant_decides_about_windows(engine: Engine) -> None:
    evening = policies(KIDS.replace("surface: kids", "surface: kids, time: {timezone: UTC, hours: '18:00-23:00'}"))
    assert preview(engine, policies(), evening, at=19 * 3600.0).situations[0].changed > 0
    assert preview(engine, policies(), evening, at=12 * 3600.0).situations[0].changed == 0


def test_a_sample_is_drawn_by_its_seed(engine: Engine) -> None:
    def users(**sample: object) -> list[int]:
        (looked,) = preview(engine, policies(), policies(KIDS), **sample).situations
        return [looked.users]

    assert users(users=5) == [5]
    assert users(user_ids=("u1", "u2", "u1")) == [2]
    first = preview(engine, policies(), policies(KIDS), users=4, seed=1, at=0.0)
    assert first == preview(engine, policies(), policies(KIDS), users=4, seed=1, at=0.0)


def test_refusals(engine: Engine) -> None:
    with pytest.raises(UnknownUser, match="nobody"):
        preview(engine, policies(), policies(KIDS), user_ids=("nobody",))
    with pytest.raises(InvalidRequest, match="k: found 0"):
        preview(engine, policies(), policies(KIDS), k=0)
    with opened(users=1) as small:
        object.__setattr__(small.catalogue.bundle.contents, "user_ids", None)
        with pytest.raises(UnknownUser, match="stores no users"):
            preview(small, policies(), policies(KIDS))


def test_it_ends_when_nobody_waits(engine: Engine) -> None:
    told = []

    def step(done: int, total: int) -> bool:
        told.append((done, total))
        return done < 3

    old, new = replace(engine, policies=policies()), replace(engine, policies=policies(KIDS))
    with pytest.raises(Stopped):
        compare(old, new, Sample(), step)
    assert told == [(1, 12), (2, 12), (3, 12)]
