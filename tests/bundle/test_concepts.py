"""Names of concepts, and what an entry of concepts.json must hold together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bundle import CONCEPT_ID, Concept, concept_id

QUALITY = {"auc": 0.9, "precision": 0.8, "recall": 0.7, "base_rate": 0.1}
WHOLE: dict[str, Any] = {
    "id": "genre:horror", "family": "genre", "display_name": "Horror", "items": 40,
    "row": 0, "readout": "logistic", "threshold": 0.5, "quality": QUALITY,
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "value", "wanted"),
    [
        ("genre", "Horror", "genre:horror"),
        ("genre", "Children's", "genre:children's"),
        ("Main Genre", " Film  Noir ", "main_genre:film-noir"),
        ("tag", "sci-fi: space", "tag:sci-fi-space"),
        ("land", "Österreich", "land:österreich"),
    ],
)
def test_concept_id(family: str, value: str, wanted: str) -> None:
    assert concept_id(family, value) == wanted


@given(st.from_regex(r"[A-Za-z_ ]{0,10}[A-Za-z][A-Za-z_ ]{0,10}", fullmatch=True), st.text(min_size=1, max_size=40))
def test_an_id_is_always_one_a_rule_can_name(family: str, value: str) -> None:
    made = concept_id(family, value)
    if made.split(":", 1)[1]:
        assert CONCEPT_ID.match(made), made
        assert concept_id(*made.split(":", 1)) == made


def test_a_whole_concept() -> None:
    assert Concept(**WHOLE).offered


@pytest.mark.parametrize("missing", ["row", "threshold", "readout", "quality"])
def test_offered_means_whole(missing: str) -> None:
    with pytest.raises(ValidationError, match="an offered concept needs row, threshold, readout and quality"):
        Concept(**{key: value for key, value in WHOLE.items() if key != missing})


@pytest.mark.parametrize("change", [{"row": 3, "not_offered_reason": "rare"}, {"row": None, "not_offered_reason": ""}])
def test_not_offered_has_a_reason_and_no_row(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="a concept that is not offered has a reason and no row"):
        Concept(**{**WHOLE, "offered": False, **change})


@pytest.mark.parametrize("change", [{"family": "tag"}, {"family": "latent", "id": "latent:3"}])
def test_the_family_is_in_the_name_and_latent_is_taken(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"must start with its family .* and 'latent' is taken"):
        Concept(**{**WHOLE, **change})


@pytest.mark.parametrize("change", [{"threshold": 1.5}, {"quality": {**QUALITY, "auc": float("nan")}}, {"items": -1}])
def test_numbers_in_their_range(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Concept(**{**WHOLE, **change})
