"""The planted world of tests/world.py as something to evaluate, with interactions that follow the scores."""

from __future__ import annotations

import numpy as np

from offline.datasets.types import Embeddings, Interactions
from offline.evaluate.subject import Subject
from tests.world import World, make_world


def embeddings_of(world: World) -> Embeddings:
    contents = world.contents
    assert contents.user_vectors is not None
    return Embeddings(contents.item_vectors, contents.user_vectors, contents.item_bias, contents.metric)


def subject_of(world: World) -> Subject:
    contents = world.contents
    return Subject(embeddings_of(world), contents.sae, contents.item_codes, contents.concepts, contents.arrays)


def taken(world: World, per_user: int = 8, seed: int = 5) -> tuple[Interactions, Interactions]:
    """Train and test: every user takes some of the 40 items of best score; every other one is held out."""
    embeddings = embeddings_of(world)
    rng = np.random.default_rng(seed)
    order = np.argsort(-(embeddings.users @ embeddings.items.T), axis=1)[:, :40]
    items = np.array([rng.permutation(row)[:per_user] for row in order]).ravel().astype(np.int32)
    users = np.repeat(np.arange(len(order)), per_user).astype(np.int32)
    every = Interactions(users, items, np.arange(len(items)).astype(np.int64), np.ones(len(items), np.float32))
    held = np.arange(len(items)) % 2 == 1
    return every.take(~held), every.take(held)


WORLD = make_world(users=40)
SUBJECT = subject_of(WORLD)
TRAIN, TEST = taken(WORLD)
