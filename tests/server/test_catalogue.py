"""Names to rows: concepts, latents, users, search."""

from __future__ import annotations

import numpy as np
import pytest

from server import bits
from server.errors import UnknownConcept
from server.types import Membership
from tests.server.worlds import engine, opened


def test_a_concept_is_its_row_of_the_bundle() -> None:
    catalogue = engine("dot").catalogue
    contents = catalogue.bundle.contents
    western = catalogue.find("genre:western")
    np.testing.assert_array_equal(western.gain, contents.arrays.gains[3])
    np.testing.assert_array_equal(np.sort(western.posting), np.flatnonzero(contents.arrays.gains[3] >= 0.1))
    assert (np.diff(western.posting_gain) <= 0).all()
    assert western.core == (contents.arrays.gains[3] >= 0.5).sum()
    np.testing.assert_array_equal(western.posting_vectors, contents.item_vectors[western.posting])
    label, readout = (western.members(m) for m in (Membership.LABEL, Membership.READOUT))
    np.testing.assert_array_equal(western.members(), label)
    np.testing.assert_array_equal(western.members(Membership.EITHER), label | readout)
    assert bits.count(label & ~readout, 240) + bits.count(readout & ~label, 240) > 0


def test_a_latent_is_its_column_of_the_codes() -> None:
    """Gain 1 at the 90th percentile of its activations, and a member wherever it is active."""
    catalogue = engine("dot").catalogue
    column = catalogue.bundle.contents.item_codes.dense()[:, 7]
    latent = catalogue.find("latent:7")
    np.testing.assert_allclose(latent.gain, np.clip(column / np.quantile(column[column > 0], 0.9), 0, 1), rtol=1e-6)
    np.testing.assert_array_equal(np.unpackbits(latent.members(), count=240, bitorder="little"), column > 0)
    assert latent.direction.nonzero()[0].tolist() == [7]
    assert catalogue.item_count("latent:7") == (column > 0).sum()


@pytest.mark.parametrize(
    "name", ["latent:", "latent:x", "latent:-1", "latent:²", "latent:24", "latent:07", "latent:1_0"]
)
def test_what_is_not_a_latent(name: str) -> None:
    with pytest.raises(UnknownConcept) as refused:
        engine("dot").catalogue.find(name)
    assert str(refused.value) == f"unknown latent: found {name!r}, expected latent:0 to latent:23."
    assert not engine("dot").catalogue.is_offered(name)


def test_top_items_are_the_strongest_first() -> None:
    catalogue = engine("dot").catalogue
    top = catalogue.top_items("genre:horror", 12)
    values = [value for _, value, _ in top]
    assert len(top) == 12
    assert values == sorted(values, reverse=True)
    assert values[0] == 1.0
    column = catalogue.bundle.contents.item_codes.dense()[:, 9]
    # A latent's items go by activation, which the bounded gain would leave in a tie.
    assert [row for row, _, _ in catalogue.top_items("latent:9", 3)] == np.argsort(-column, kind="stable")[:3].tolist()


def test_search_looks_at_names_and_at_the_titles_of_strong_items() -> None:
    catalogue = engine("dot").catalogue
    assert catalogue.search("HORROR") == ["genre:horror"]
    row = catalogue.top_items("genre:western", 1)[0][0]
    assert "genre:western" in catalogue.search(catalogue.titles[row])
    assert catalogue.search("no such words") == []
    assert "genre:musical" not in catalogue.search()
    assert catalogue.search("musical", include_not_offered=True) == ["genre:musical"]
    assert catalogue.search(family="year") == []
    assert len(catalogue.search(family="latent")) == 24


def test_search_falls_back_on_the_titles_of_all_items() -> None:
    catalogue = engine("dot").catalogue
    strongest = {row for name in catalogue.search() for row, _, _ in catalogue.top_items(name, 20)}
    lone = next(row for row in range(len(catalogue.titles)) if row not in strongest)
    found = catalogue.search(catalogue.titles[lone])
    lift = [catalogue.find(name).gain[lone] / catalogue.find(name).gain.mean() for name in catalogue.search()]
    assert found, "the item must carry some concept, or this test shows nothing"
    assert len(found) == sum(value > 1 for value in lift)
    assert found[0] == catalogue.search()[int(np.argmax(lift))]


def test_a_bundle_without_users_says_so() -> None:
    from dataclasses import replace

    from server.errors import UnknownUser

    with opened() as core:
        contents = replace(core.catalogue.bundle.contents, user_ids=None, user_vectors=None)
        catalogue = type(core.catalogue)(replace(core.catalogue.bundle, contents=contents))
        with pytest.raises(UnknownUser) as refused:
            catalogue.user_vector("u1")
        assert str(refused.value) == "this bundle stores no users: found 'u1'. Send the embedding."
