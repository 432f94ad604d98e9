"""Every refusal of a request: its type, its field and its whole sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server.errors import InvalidRequest, NotAllowed, SteeringError, UnknownConcept, UnknownUser
from server.settings import Limits
from server.steer import Engine
from server.types import Action, Channel, Membership, Query, Rule
from tests.server.worlds import engine
from tests.world import make_world, write_world

GOOD = Query(k=10, user_id="u0")
NAN = np.zeros(16, np.float32)
NAN[3] = np.nan

REFUSALS: dict[str, tuple[Query, type[SteeringError], str, str]] = {
    "k zero": (replace(GOOD, k=0), InvalidRequest, "k", "k: found 0, expected 1 to 500."),
    "k large": (replace(GOOD, k=501), InvalidRequest, "k", "k: found 501, expected 1 to 500."),
    "no user": (
        Query(k=10),
        InvalidRequest,
        "user",
        "who is asking: found nobody, expected one of user_id, embedding, history.",
    ),
    "two users": (
        replace(GOOD, embedding=np.ones(16, np.float32)),
        InvalidRequest,
        "user",
        "who is asking: found user_id and embedding, expected one of user_id, embedding, history.",
    ),
    "empty user": (
        replace(GOOD, user_id=""),
        InvalidRequest,
        "user_id",
        "user_id is empty. Name a user, or send an embedding.",
    ),
    "unknown user": (
        replace(GOOD, user_id="u77"),
        UnknownUser,
        "user_id",
        "unknown user: found 'u77', expected one of 12 users. Nearest: u7. Or send the embedding.",
    ),
    "short embedding": (
        Query(k=10, embedding=np.ones(5, np.float32)),
        InvalidRequest,
        "embedding.values",
        "embedding has the wrong length: found 5 numbers, expected 16. "
        "Is it from the recommender that this bundle was made for?",
    ),
    "NaN": (
        Query(k=10, embedding=NAN),
        InvalidRequest,
        "embedding.values[3]",
        "embedding.values[3]: found nan, expected a finite number.",
    ),
    "zeros": (
        Query(k=10, embedding=np.zeros(16, np.float32)),
        InvalidRequest,
        "embedding.values",
        "embedding cannot be ranked by: found zeros only, expected a vector.",
    ),
    "huge": (
        Query(k=10, embedding=np.full(16, 1e30, np.float32)),
        InvalidRequest,
        "embedding.values",
        "embedding cannot be ranked by: found a norm of 4e+30, expected a vector.",
    ),
    "unknown concept": (
        replace(GOOD, rules=(Rule(Action.FILTER, "genre:horor"),)),
        UnknownConcept,
        "rules[0].concept",
        "unknown concept: found 'genre:horor'. Nearest: genre:horror.",
    ),
    "not offered": (
        replace(GOOD, rules=(Rule(Action.PROMOTE, "genre:musical"),)),
        UnknownConcept,
        "rules[0].concept",
        "concept 'genre:musical' is not offered by this bundle: 3 items carry it; at least 10 are needed to fit and "
        "score a read-out. Nearest: genre:film-noir, genre:comedy, genre:children's.",
    ),
    "unknown latent": (
        replace(GOOD, rules=(Rule(Action.DEMOTE, "latent:24"),)),
        UnknownConcept,
        "rules[0].concept",
        "unknown latent: found 'latent:24', expected latent:0 to latent:23.",
    ),
    "strength above one": (
        replace(GOOD, rules=(Rule(Action.PROMOTE, "genre:horror", 1.5),)),
        InvalidRequest,
        "rules[0].strength",
        "rules[0].strength: found 1.5, expected 0 (off) to 1 (full). "
        "The action says the direction: use DEMOTE or PROMOTE, not a sign.",
    ),
    "strength below zero": (
        replace(GOOD, rules=(Rule(Action.PROMOTE, "genre:horror", -0.5),)),
        InvalidRequest,
        "rules[0].strength",
        "rules[0].strength: found -0.5, expected 0 (off) to 1 (full). "
        "The action says the direction: use DEMOTE or PROMOTE, not a sign.",
    ),
    "strength NaN": (
        replace(GOOD, rules=(Rule(Action.PROMOTE, "genre:horror", float("nan")),)),
        InvalidRequest,
        "rules[0].strength",
        "rules[0].strength: found nan, expected 0 (off) to 1 (full). "
        "The action says the direction: use DEMOTE or PROMOTE, not a sign.",
    ),
    "duplicate": (
        replace(GOOD, rules=(Rule(Action.DEMOTE, "genre:horror"), Rule(Action.DEMOTE, "genre:horror", 0.9))),
        InvalidRequest,
        "rules[1]",
        "duplicate rules: rules[0] says demote genre:horror, rules[1] says demote. "
        "Say one thing about a concept in one request.",
    ),
    "contradictory": (
        replace(GOOD, rules=(Rule(Action.PROMOTE, "genre:horror"), Rule(Action.FILTER, "genre:horror", 1.0))),
        InvalidRequest,
        "rules[1]",
        "contradictory rules: rules[0] says promote genre:horror, rules[1] says filter. "
        "Say one thing about a concept in one request.",
    ),
    "label of a latent": (
        replace(GOOD, rules=(Rule(Action.FILTER, "latent:3", 1.0, membership=Membership.LABEL),)),
        InvalidRequest,
        "rules[0].membership",
        "rules[0].membership: found label, expected readout. latent:3 is a latent: nothing labels its items.",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSALS))
def test_refusal(case: str) -> None:
    query, kind, field, sentence = REFUSALS[case]
    with pytest.raises(kind) as refused:
        engine("dot").recommend(query)
    assert str(refused.value) == sentence
    assert refused.value.field == field
    assert type(refused.value) is kind


def test_limits_are_the_servers() -> None:
    core = replace(engine("dot"), limits=Limits(max_rules=1, max_exclude=2, allow_ignore_policies=False))
    two = (Rule(Action.DEMOTE, "genre:horror"), Rule(Action.DEMOTE, "genre:comedy"))
    with pytest.raises(InvalidRequest) as rules:
        core.recommend(replace(GOOD, rules=two))
    assert str(rules.value) == "too many rules: found 2, expected at most 1."
    with pytest.raises(InvalidRequest) as exclude:
        core.recommend(replace(GOOD, exclude=("a", "b", "c")))
    assert str(exclude.value) == "too many ids to exclude: found 3, expected at most 2."
    with pytest.raises(NotAllowed) as off:
        core.recommend(replace(GOOD, use_policies=False))
    assert str(off.value) == "this server does not let requests switch the policies off."


def test_a_direction_that_does_not_raise_its_items_is_refused_on_the_query_channel(tmp_path: Path) -> None:
    world = make_world()
    arrays = replace(world.contents.arrays, direction_effect=-world.contents.arrays.direction_effect)
    spoilt = replace(world, contents=replace(world.contents, arrays=arrays))
    core = Engine.open(write_world(spoilt, tmp_path / "bundle"))
    with pytest.raises(InvalidRequest) as refused:
        core.recommend(replace(GOOD, rules=(Rule(Action.PROMOTE, "genre:horror", 0.5, Channel.QUERY),)))
    assert str(refused.value) == (
        "rules[0].channel: found query, expected item. Moving users along genre:horror does not raise its items "
        "in this bundle."
    )
