import numpy as np
import pytest

from bundle.errors import DataError
from offline.datasets.types import Interactions
from offline.recommenders.item_knn import ItemKnn, ItemKnnConfig

pytestmark = pytest.mark.train


def of(pairs):
    user, item = (np.array(side, np.int32) for side in zip(*pairs, strict=True))
    return Interactions(user, item, np.arange(len(user)), np.ones(len(user), np.float32))


PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 2), (2, 2), (3, 3)]


def test_cosine_by_hand():
    # Users of item 0: {0, 1}; of 1: {0, 1}; of 2: {1, 2} (user 2 came twice); of 3: {3}.
    made = ItemKnn(of(PAIRS), 4, 4, ItemKnnConfig(shrink=0)).similarities.toarray()
    assert made == pytest.approx(np.array([[0, 1, 0.5, 0], [1, 0, 0.5, 0], [0.5, 0.5, 0, 0], [0, 0, 0, 0]]), abs=1e-6)


def test_scores_are_sums_over_the_own_items():
    made = ItemKnn(of(PAIRS), 4, 4, ItemKnnConfig(shrink=0))
    assert made.scores(np.array([0, 3])) == pytest.approx(np.array([[1, 1, 1, 0], [0, 0, 0, 0]]), abs=1e-6)


def test_shrinkage_takes_from_rare_pairs():
    made = ItemKnn(of(PAIRS), 4, 4, ItemKnnConfig(shrink=2)).similarities.toarray()
    assert made[0, 1] == pytest.approx(2 / (2 + 2))
    assert made[0, 2] == pytest.approx(1 / (2 + 2))


def test_only_the_nearest_stay():
    made = ItemKnn(of(PAIRS), 4, 4, ItemKnnConfig(neighbours=1, shrink=0)).similarities.toarray()
    assert (made > 0).sum(1).tolist() == [1, 1, 1, 0]
    assert made[0, 1] == pytest.approx(1)


def test_an_item_nobody_took_is_finite():
    assert np.isfinite(ItemKnn(of(PAIRS), 4, 6).scores(np.arange(4))).all()


def test_broken_interactions_are_refused():
    with pytest.raises(DataError, match="found row 3, expected 0 to 2"):
        ItemKnn(of(PAIRS), 4, 3)


def test_every_field_is_documented():
    assert [name for name, field in ItemKnnConfig.model_fields.items() if not field.description] == []
