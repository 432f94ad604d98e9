from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from bundle.errors import DataError
from offline.label.candidates import find_candidates
from offline.label.config import LabelConfig


def table(**columns: object) -> pa.Table:
    count = len(next(iter(columns.values())))  # type: ignore[arg-type]
    ids = [f"i{n}" for n in range(count)]
    return pa.table({"item_id": ids, "title": [f"Film {n}" for n in range(count)], **columns})


def members(items: pa.Table, config: LabelConfig | None = None) -> dict[str, list[int]]:
    return {c.id: np.flatnonzero(c.members).tolist() for c in find_candidates(items, config).concepts}


def test_texts_and_lists_of_texts_name_concepts_most_frequent_first() -> None:
    items = table(
        genre=pa.array([["Horror", "Film-Noir"], None, ["Horror"], []], pa.list_(pa.string())),
        maker=["Studio A", "Studio A", None, "Studio A"],
    )
    assert members(items) == {"genre:horror": [0, 2], "genre:film-noir": [0], "maker:studio-a": [0, 1, 3]}
    assert [c.display_name for c in find_candidates(items).concepts] == ["Horror", "Film-Noir", "Studio A"]


def test_ids_and_titles_never_become_concepts() -> None:
    assert members(table(genre=["a", "a"])) == {"genre:a": [0, 1]}


def test_spellings_that_make_one_id_are_one_concept_and_that_is_said() -> None:
    found = find_candidates(table(genre=["Sci Fi", "sci-fi", "Sci Fi", " Sci Fi ", "Drama", "Drama"]))
    assert [(c.id, c.display_name, int(c.members.sum())) for c in found.concepts] == [
        ("genre:sci-fi", "Sci Fi", 4),
        ("genre:drama", "Drama", 2),
    ]
    assert found.notes == ["'genre': 'Sci Fi', 'sci-fi' are one concept, genre:sci-fi"]


def test_an_item_that_names_a_value_twice_counts_once() -> None:
    items = table(genre=pa.array([["War", "war", "War"], ["War"]], pa.list_(pa.string())))
    assert [int(c.members.sum()) for c in find_candidates(items).concepts] == [2]


def test_free_text_is_left_out_and_said() -> None:
    found = find_candidates(table(plot=["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]))
    assert found.concepts == []
    assert found.notes == ["'plot': not used as concepts, 100% of its values occur once (free text)"]


def test_free_text_begins_above_the_limit() -> None:
    items = table(plot=["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "nine"])
    assert "plot:nine" in members(items)  # 8 of 10 occur once: just within 80 %


def test_only_the_most_frequent_values_are_kept_and_the_rest_is_said() -> None:
    items = table(tag=["a", "a", "a", "b", "b", "c", "c", "d"])
    found = find_candidates(items, LabelConfig(max_per_family=2))
    assert [c.id for c in found.concepts] == ["tag:a", "tag:b"]
    assert found.notes == ["'tag': 4 values, the 2 most frequent are kept; each of the others is on at most 2 items"]


def test_numbers_booleans_and_dictionaries() -> None:
    items = table(
        year=pa.array([1981, 1985, None, 1992, 1999, 2003, 2010], pa.int32()),
        seen=[True, False, True, True, None, False, True],
        maker=pa.array(["a", "b", "a", "b", "a", "b", "a"]).dictionary_encode(),
    )
    assert members(items) == {
        "year:1980s": [0, 1],
        "year:1990s": [3, 4],
        "year:2000s": [5],
        "year:2010s": [6],
        "seen:true": [0, 2, 3, 6],
        "seen:false": [1, 5],
        "maker:a": [0, 2, 4, 6],
        "maker:b": [1, 3, 5],
    }


def test_what_cannot_be_used_says_why() -> None:
    items = table(
        imdb_id=[11, 12, 13],
        length=[5.0, 5.0, 5.0],
        empty=pa.array([None, None, None], pa.string()),
        shape=pa.array([{"a": 1}] * 3),
        latent=["a", "a", "b"],
        genre=["a", "a", "a"],
        Genre=["b", "b", "b"],
    )
    assert find_candidates(items).notes == [
        "'imdb_id': not used, its name says that it is an id",
        "'length': not used, all its values are the same",
        "'empty': not used, it has no value",
        "'shape': not used, struct<a: int64> is neither text, a list of text nor a number",
        "'latent': not used, because the family 'latent' is taken; rename the column",
        "'Genre': not used, because 'genre' has the same family 'genre'",
    ]


def test_values_that_cannot_be_names_are_counted() -> None:
    found = find_candidates(table(genre=["::", "a", "a", "", None, "x" * 250]), LabelConfig(unique_share=1))
    assert [c.id for c in found.concepts] == ["genre:a"]
    assert found.notes == [f"'genre': 2 values cannot be names, like {'::'!r}"]


def test_columns_choose_and_an_unknown_one_is_refused() -> None:
    items = table(genre=["a", "a"], maker=["b", "b"])
    assert list(members(items, LabelConfig(columns=("maker",)))) == ["maker:b"]
    with pytest.raises(DataError) as refused:
        find_candidates(items, LabelConfig(columns=("gener",)))
    assert str(refused.value) == "concept columns: found 'gener', expected some of genre, maker."
