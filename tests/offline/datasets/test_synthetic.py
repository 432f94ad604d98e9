from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from bundle import CONCEPT_ID
from offline.datasets.planted import AT_5000, size_of
from offline.datasets.synthetic import SyntheticConfig, make_synthetic

pytestmark = pytest.mark.train

SMALL = SyntheticConfig(items=300, users=400, mean_interactions=20)


@pytest.fixture(scope="module")
def world():
    """The embedded catalogue as it is shipped."""
    return make_synthetic()


@pytest.fixture(scope="module")
def small():
    return make_synthetic(SMALL, seed=3)


def test_the_embedded_catalogue_has_the_sizes_it_promises(world):
    assert (world.items.num_rows, len(world.user_ids)) == (5_000, 20_000)
    assert len(set(world.user_ids)) == 20_000
    assert 900_000 < len(world.interactions) < 1_100_000
    assert len(world.truth["concept_names"]) == 23
    sizes = world.truth["item_concepts"].sum(axis=0)
    assert sizes.tolist() == [size for concepts in AT_5000.values() for size in concepts.values()]
    assert (sizes.min(), sizes.max()) == (40, 1_500)


def test_titles_are_readable_and_unique(world):
    titles = world.items["title"].to_pylist()
    assert len(set(titles)) == 5_000
    assert all(title.endswith(f"({year})") for title, year in zip(titles, world.items["year"].to_pylist(), strict=True))
    # A sequel's number appears only where a name is used up.
    assert sum(" II (" in title for title in titles) < 50


def test_concepts_overlap_and_every_item_has_a_genre(world):
    members, names = world.truth["item_concepts"], world.truth["concept_names"]
    genres = [index for index, name in enumerate(names) if name.startswith("genre:")]
    assert members[:, genres].any(axis=1).all()
    assert (members.sum(axis=1) >= 2).mean() > 0.7
    settings = [index for index, name in enumerate(names) if name.startswith("setting:")]
    assert members[:, settings].sum(axis=1).max() == 1
    # Noir goes with crime: more often together than independence gives.
    noir, crime = names.index("genre:noir"), names.index("genre:crime")
    assert members[members[:, noir], crime].mean() > 2 * members[:, crime].mean()


def test_concept_names_are_what_a_rule_would_name(small):
    assert all(CONCEPT_ID.match(name) for name in small.truth["concept_names"])
    assert "genre:science-fiction" in small.truth["concept_names"]


def test_metadata_shows_the_labels_and_hides_one_in_twenty(world):
    members, labels, names = (world.truth[key] for key in ("item_concepts", "item_labels", "concept_names"))
    assert not (labels & ~members).any()
    assert 1 - labels.sum() / members.sum() == pytest.approx(0.05, abs=0.01)
    horror = names.index("genre:horror")
    assert [("Horror" in genres) for genres in world.items["genre"].to_pylist()] == labels[:, horror].tolist()
    desert = names.index("setting:desert")
    assert [(place == "Desert") for place in world.items["setting"].to_pylist()] == labels[:, desert].tolist()


def test_nothing_hidden_when_asked():
    truth = make_synthetic(SyntheticConfig(items=300, users=50, mean_interactions=10, hidden=0)).truth
    assert (truth["item_labels"] == truth["item_concepts"]).all()


def test_interactions_are_whole(world):
    taken = world.interactions
    assert (taken.user.dtype, taken.item.dtype, taken.order.dtype, taken.weight.dtype) == (
        np.int32, np.int32, np.int64, np.float32,
    )  # fmt: skip
    pairs = taken.user.astype(np.int64) * 5_000 + taken.item
    assert len(np.unique(pairs)) == len(taken)  # nobody takes an item twice
    counts = np.bincount(taken.user, minlength=20_000)
    assert counts.min() >= 5
    assert counts.mean() == pytest.approx(50, rel=0.02)
    # order is 0, 1, 2, ... within each user
    assert (taken.order == np.arange(len(taken)) - np.repeat(np.cumsum(counts) - counts, counts)).all()
    assert world.items["popularity"].to_pylist() == np.bincount(taken.item, minlength=5_000).tolist()


def test_popularity_is_zipf_like(world):
    counts = np.sort(np.bincount(world.interactions.item, minlength=5_000))[::-1]
    slope = np.polyfit(np.log(np.arange(10, 2_000)), np.log(counts[10:2_000]), 1)[0]
    assert slope == pytest.approx(-0.7, abs=0.15)
    assert counts.min() > 0


def test_users_take_what_they_like(world):
    members, names, liked = (world.truth[key] for key in ("item_concepts", "concept_names", "user_tastes"))
    assert ((liked > 0).sum(axis=1) >= 2).all()
    assert ((liked > 0).sum(axis=1) <= 5).all()
    taken, counts = world.interactions, np.bincount(world.interactions.user)
    for concept in range(len(names)):
        share = np.bincount(taken.user, weights=members[taken.item, concept]) / counts
        fans = liked[:, concept] > 0
        assert share[fans].mean() > 1.5 * share[~fans].mean(), names[concept]


def test_the_end_of_a_history_is_like_its_beginning(world):
    """The draw finds the best items first; order must not show it."""
    taken = world.interactions
    counts = np.bincount(taken.user)
    late = taken.order >= counts[taken.user] // 2
    popularity = np.bincount(taken.item, minlength=5_000)
    assert popularity[taken.item[late]].mean() == pytest.approx(popularity[taken.item[~late]].mean(), rel=0.01)


def test_the_known_utility_predicts_what_was_taken(small):
    truth, taken = small.truth, small.interactions
    score = truth["user_factors"] @ truth["item_factors"].T + truth["item_bias"]
    chosen = score[taken.user, taken.item].mean()
    assert chosen - score.mean() > 0.75 * score.std()


def test_same_seed_same_world_other_seed_another(small):
    again, other = make_synthetic(SMALL, seed=3), make_synthetic(SMALL, seed=4)
    assert again.items.equals(small.items)
    assert (again.interactions.item == small.interactions.item).all()
    assert (again.truth["user_tastes"] == small.truth["user_tastes"]).all()
    assert other.items["title"].to_pylist() != small.items["title"].to_pylist()


def test_more_users_do_not_change_the_catalogue(small):
    more = make_synthetic(SMALL.model_copy(update={"users": 500}), seed=3)
    assert more.items.drop(["popularity"]).equals(small.items.drop(["popularity"]))


@pytest.mark.parametrize(("at_5000", "items", "size"), [(40, 5_000, 40), (40, 300, 10), (1_500, 300, 90), (1, 300, 10)])
def test_sizes_scale_and_keep_a_floor(at_5000, items, size):
    assert size_of(at_5000, items) == size


def test_the_smallest_world_keeps_its_sizes(small):
    wanted = [size_of(size, 300) for concepts in AT_5000.values() for size in concepts.values()]
    assert small.truth["item_concepts"].sum(axis=0).tolist() == wanted


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("items", 299, "Input should be greater than or equal to 300"),
        ("hidden", 1, "Input should be less than 1"),
        ("likes", (3, 2), "likes: found (3, 2), expected 1 <= fewest <= most <= 14"),
        ("mean_interactions", 2000, "mean_interactions: found 2000, expected at most a quarter of the 5,000 items"),
        ("colour", "red", "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_config_is_refused(field, value, message):
    with pytest.raises(ValidationError) as caught:
        SyntheticConfig(**{field: value})
    assert message in str(caught.value)


@pytest.mark.parametrize("field", list(SyntheticConfig.model_fields))
def test_every_field_is_documented(field):
    assert SyntheticConfig.model_fields[field].description


def test_concepts_can_be_learned_from_the_interactions_alone(world):
    """64 axes of a truncated SVD, a linear probe fitted on labels of one half, scored on the truth of the other."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import svds
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    taken, users, items = world.interactions, 20_000, 5_000
    by_user = np.bincount(taken.user, minlength=users)
    by_item = np.bincount(taken.item, minlength=items)
    # Divided by the roots of both degrees, so that popularity is not what the first axes are about.
    values = (by_user[taken.user] * by_item[taken.item]) ** -0.5
    matrix = csr_matrix((values.astype(np.float32), (taken.user, taken.item)), shape=(users, items))
    _, strength, axes = svds(matrix, k=64, random_state=0)
    vectors = (axes * strength[:, None]).T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    fitted = np.random.default_rng(0).random(items) < 0.5
    members, labels, names = (world.truth[key] for key in ("item_concepts", "item_labels", "concept_names"))
    areas = {}
    for index, name in enumerate(names):
        probe = LogisticRegression(C=100, max_iter=1_000).fit(vectors[fitted], labels[fitted, index])
        areas[name] = roc_auc_score(members[~fitted, index], probe.decision_function(vectors[~fitted]))
    assert min(areas.values()) > 0.93, areas
    assert np.mean(list(areas.values())) > 0.97, areas
