"""The embedded catalogue: a planted world of films whose concepts, tastes and hidden labels are known.

A user u likes a few concepts and takes items without replacement from a Plackett-Luce draw (Plackett, 1975) over
    utility[u, v] = sum_c taste[u, c] depth[v, c] + era[u] age[v] + style[u] . style[v] - zipf log(rank[v]),
so taking ``n`` items is one top-n of ``utility + Gumbel noise`` (the Gumbel-top-k trick). ``depth`` is how much of a
concept is in an item: .4 to 1.2 for its members, about 0 for the others. ``era`` is how much a user prefers recent
films, ``style`` a taste no concept names. Legend: N items, U users, M interactions, C concepts.

A share of the true labels is missing from the metadata: what a tag rule does not see, and a read-out may.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bundle import concept_id
from offline.datasets.planted import ERA, Planted, plant
from offline.datasets.titles import make_titles
from offline.datasets.types import Dataset, Interactions

FloatArray = npt.NDArray[np.float32]

FIRST_YEAR, LAST_YEAR = 1930, 2024
_BLOCK = 1_024  # users per block of the draw: 20 MB of utilities at 5,000 items


class SyntheticConfig(BaseModel):
    """Sizes and strengths of the planted world; the defaults are the embedded catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int = Field(default=5_000, ge=300, description="catalogue size; the concepts' sizes scale with it")
    users: int = Field(default=20_000, ge=20, description="number of users")
    mean_interactions: float = Field(default=50, ge=5, description="mean interactions per user (log-normal, from 5)")
    likes: tuple[int, int] = Field(default=(2, 5), description="fewest and most concepts a user likes")
    taste: float = Field(default=1.2, ge=0, description="scale of the liking, in logits (see tastes())")
    era: float = Field(default=0.4, ge=0, description="spread over users of the pull towards recent films, in logits")
    style: float = Field(default=0.25, ge=0, description="strength of each of the unnamed taste dimensions, in logits")
    style_dims: int = Field(default=6, ge=0, description="number of taste dimensions that no concept names")
    blur: float = Field(default=0.12, ge=0, description="noise of an item's depth in every concept, member or not")
    zipf: float = Field(default=0.7, ge=0, description="exponent of the popularity law: weight = rank ** -zipf")
    hidden: float = Field(default=0.05, ge=0, lt=1, description="share of the true labels missing from the metadata")

    @model_validator(mode="after")
    def _likes_fit(self) -> SyntheticConfig:
        if not 1 <= self.likes[0] <= self.likes[1] <= 14:
            raise ValueError(f"likes: found {self.likes}, expected 1 <= fewest <= most <= 14")
        if self.mean_interactions > self.items / 4:
            raise ValueError(
                f"mean_interactions: found {self.mean_interactions:g}, expected at most a quarter of the "
                f"{self.items:,} items"
            )
        return self


@dataclass(frozen=True)
class _Utility:
    """``users`` [U, F] @ ``items`` [N, F].T + ``bias`` [N]."""

    users: FloatArray
    items: FloatArray
    bias: FloatArray


def make_synthetic(config: SyntheticConfig | None = None, *, seed: int = 0) -> Dataset:
    """Make the world; the same config and seed give the same world.

    ``truth``: ``item_concepts`` bool [N, C]; ``concept_names`` list of C ids (``genre:noir``); ``item_labels`` bool
    [N, C], what the metadata shows of it; ``user_tastes`` float32 [U, C] in logits; and the utility's parts
    ``user_factors`` [U, F], ``item_factors`` [N, F], ``item_bias`` [N], a recommender that knows everything.
    """
    config = config or SyntheticConfig()
    # One stream per part: more users do not change the titles.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(7)]
    world = plant(config.items, streams[0])
    names = [concept_id(family, name) for family, name in zip(world.families, world.names, strict=True)]
    years = _years(world, streams[1])
    titles = make_titles([world.names[genre] for genre in world.leading], years, streams[2])
    labels = world.members & (streams[3].random(world.members.shape) >= config.hidden)
    taste = tastes(config, world.members.mean(axis=0), streams[4])
    utility = _utility(config, world, taste, years, streams[5])
    interactions = _draw(utility, config, streams[6])
    popularity = np.bincount(interactions.item, minlength=config.items)
    return Dataset(
        name="synthetic",
        items=_table(world, labels, titles, years, popularity),
        user_ids=[f"u{row:05d}" for row in range(config.users)],
        interactions=interactions,
        provenance={
            "dataset": "synthetic",
            "seed": seed,
            "config": config.model_dump(mode="json"),
            "items": config.items,
            "users": config.users,
            "interactions": len(interactions),
            "order": "position",
        },
        truth={
            "item_concepts": world.members,
            "item_labels": labels,
            "concept_names": names,
            "user_tastes": taste,
            "user_factors": utility.users,
            "item_factors": utility.items,
            "item_bias": utility.bias,
        },
    )


def tastes(config: SyntheticConfig, share: npt.NDArray[np.float64], rng: np.random.Generator) -> FloatArray:
    """Liking of each user for each concept, float32 [U, C], zero for most.

    A liked concept gets ``taste * weight * (1 + log(1 / share) / 2)``, weight uniform in .5 to 1.5: a rare concept must
    pull harder to be noticed in a list. Which ones: by the square root of their share, so that rare ones have friends.
    """
    fewest, most = config.likes
    count = rng.integers(fewest, most + 1, size=(config.users, 1))
    keys = 0.5 * np.log(share) + rng.gumbel(size=(config.users, len(share)))
    rank = np.argsort(np.argsort(-keys, axis=1), axis=1)
    weight = rng.uniform(0.5, 1.5, size=keys.shape) * (1 - 0.5 * np.log(share))
    return np.where(rank < count, config.taste * weight, 0).astype(np.float32)


def _years(world: Planted, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    middle = np.array([ERA.get(world.names[genre], 1990) for genre in world.leading])
    # Reflected, not clipped: a clipped tail would pile up in the last year.
    years = np.round(middle + rng.normal(0, 16, size=len(middle))).astype(np.int64)
    years = np.where(years > LAST_YEAR, 2 * LAST_YEAR - years, years)
    return np.clip(np.where(years < FIRST_YEAR, 2 * FIRST_YEAR - years, years), FIRST_YEAR, LAST_YEAR)


def _utility(
    config: SyntheticConfig, world: Planted, taste: FloatArray, years: npt.NDArray[np.int64], rng: np.random.Generator
) -> _Utility:
    era = rng.normal(0, config.era, size=(config.users, 1))
    user_style = rng.normal(size=(config.users, config.style_dims)) * config.style
    item_style = rng.normal(size=(config.items, config.style_dims))
    age = (years - years.mean()) / years.std()
    rank = 1 + rng.permutation(config.items)
    depth = world.members * rng.uniform(0.4, 1.2, world.members.shape) + rng.normal(0, config.blur, world.members.shape)
    return _Utility(
        users=np.hstack([taste, era, user_style]).astype(np.float32),
        items=np.hstack([depth, age[:, None], item_style]).astype(np.float32),
        bias=(-config.zipf * np.log(rank)).astype(np.float32),
    )


def _counts(config: SyntheticConfig, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    spread = 0.6
    wanted = config.mean_interactions * np.exp(rng.normal(-(spread**2) / 2, spread, size=config.users))
    return np.clip(np.round(wanted), 5, config.items // 2).astype(np.int64)


def _draw(utility: _Utility, config: SyntheticConfig, rng: np.random.Generator) -> Interactions:
    counts = _counts(config, rng)
    taken: list[npt.NDArray[np.intp]] = []
    for start in range(0, config.users, _BLOCK):
        users = slice(start, start + _BLOCK)
        score = utility.users[users] @ utility.items.T + utility.bias
        # -log(Exp(1)) is a standard Gumbel; a float32 draw can be 0.
        score -= np.log(np.maximum(rng.standard_exponential(score.shape, dtype=np.float32), 1e-7))
        most = int(counts[users].max())
        top = np.argpartition(score, -most, axis=1)[:, -most:]
        ranked = np.take_along_axis(top, np.argsort(-np.take_along_axis(score, top, axis=1), axis=1), axis=1)
        taken.extend(row[:count] for row, count in zip(ranked, counts[users], strict=True))
    user = np.repeat(np.arange(config.users, dtype=np.int32), counts)
    item = np.concatenate(taken).astype(np.int32)
    # The draw brings the best first; history has no such order.
    shuffled = np.lexsort((rng.random(len(user)), user))
    position = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Interactions(user, item[shuffled], position.astype(np.int64), np.ones(len(user), np.float32))


def _table(
    world: Planted,
    labels: npt.NDArray[np.bool_],
    titles: list[str],
    years: npt.NDArray[np.int64],
    popularity: npt.NDArray[np.int64],
) -> pa.Table:
    def listed(family: str) -> list[list[str]]:
        columns = [c for c, of in enumerate(world.families) if of == family]
        return [[world.names[c] for c in columns if row[c]] for row in labels.tolist()]

    return pa.table(
        {
            "item_id": pa.array([f"m{row:04d}" for row in range(len(titles))], pa.string()),
            "title": pa.array(titles, pa.string()),
            "genre": pa.array(listed("genre"), pa.list_(pa.string())),
            "mood": pa.array(listed("mood"), pa.list_(pa.string())),
            "setting": pa.array([names[0] if names else None for names in listed("setting")], pa.string()),
            "year": pa.array(years, pa.int32()),
            "popularity": pa.array(popularity, pa.int32()),
        }
    )
