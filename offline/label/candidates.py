"""Which concepts to look for: metadata columns to families, their values to members. Legend: N items.

Strings and lists of strings name concepts; numbers become intervals (offline.label.intervals); booleans are the words
``true`` and ``false``. What is left out is said in ``notes``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bundle import CONCEPT_ID, LATENT_FAMILY, concept_id
from bundle.errors import DataError
from offline.label.config import LabelConfig
from offline.label.intervals import intervals

BoolArray = npt.NDArray[np.bool_]

NEVER = ("item_id", "title")
"""Columns of every item table that are names of items, not of concepts."""

LONGEST_ID = 200


@dataclass(frozen=True)
class Candidate:
    """A concept to look for; ``members`` bool [N]: items that carry the label."""

    id: str
    family: str
    display_name: str
    members: BoolArray


@dataclass
class Candidates:
    """What the metadata offers, and in ``notes`` what was left out or put together, each a sentence."""

    concepts: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_candidates(items: pa.Table, config: LabelConfig | None = None) -> Candidates:
    """Every family of ``items``, in the order of the columns, the most frequent values of a family first.

    Raises:
        DataError: ``config.columns`` names a column that the table does not have.
    """
    config = config or LabelConfig()
    offered = [name for name in items.column_names if name not in NEVER]
    unknown = [name for name in config.columns or () if name not in offered]
    if unknown:
        raise DataError(
            "concept columns",
            found=", ".join(map(repr, unknown)),
            expected=f"some of {', '.join(offered) or 'no column: the item table has no metadata'}",
        )
    found = Candidates()
    families: dict[str, str] = {}
    for name in offered if config.columns is None else config.columns:
        family = concept_id(name, "x").partition(":")[0]
        if family == LATENT_FAMILY or not family:
            found.notes.append(f"{name!r}: not used, because the family {family!r} is taken; rename the column")
        elif family in families:
            found.notes.append(f"{name!r}: not used, because {families[family]!r} has the same family {family!r}")
        else:
            families[family] = name
            _column(name, family, items[name].combine_chunks(), config, found)
    return found


def _column(name: str, family: str, column: pa.Array, config: LabelConfig, found: Candidates) -> None:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if column.null_count == len(column):
        found.notes.append(f"{name!r}: not used, it has no value")
    elif _is_text(kind) or (_is_list(kind) and _is_text(kind.value_type)):
        _names(name, family, column, config, found)
    elif pa.types.is_boolean(kind):
        _names(name, family, column.cast(pa.string()), config, found)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        if family == "id" or family.endswith("_id"):
            found.notes.append(f"{name!r}: not used, its name says that it is an id")
        else:
            _numbers(name, family, column, found)
    else:
        found.notes.append(f"{name!r}: not used, {kind} is neither text, a list of text nor a number")


def _numbers(name: str, family: str, column: pa.Array, found: Candidates) -> None:
    values = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    bands = intervals(family, values)
    if not bands:
        found.notes.append(f"{name!r}: not used, all its values are the same")
    for band in bands:
        found.concepts.append(Candidate(f"{family}:{band.slug}", family, band.display, band.members))


def _names(name: str, family: str, column: pa.Array, config: LabelConfig, found: Candidates) -> None:
    rows, spelled, spellings = _occurrences(column)
    ids: dict[str, int] = {}
    of_spelling = np.full(len(spellings), -1)
    unusable = []
    for number, text in enumerate(spellings):
        slug = concept_id(family, text)
        if not CONCEPT_ID.match(slug) or len(slug) > LONGEST_ID:
            if text.strip():
                unusable.append(text)
            continue
        of_spelling[number] = ids.setdefault(slug, len(ids))
    pairs = np.unique(np.column_stack([of_spelling[spelled], rows])[of_spelling[spelled] >= 0], axis=0)
    if unusable:
        found.notes.append(f"{name!r}: {len(unusable)} values cannot be names, like {_short(unusable[0])}")
    if not len(pairs):
        return
    count = np.bincount(pairs[:, 0], minlength=len(ids))
    once = float(count[count == 1].sum() / len(pairs))
    if once > config.unique_share:
        found.notes.append(f"{name!r}: not used as concepts, {once:.0%} of its values occur once (free text)")
        return
    kept = np.argsort(-count, kind="stable")[: config.max_per_family]
    if len(kept) < len(ids):
        most = int(np.sort(count)[::-1][len(kept)])
        found.notes.append(
            f"{name!r}: {len(ids):,} values, the {len(kept)} most frequent are kept; "
            f"each of the others is on at most {most} items"
        )
    starts = np.concatenate([[0], np.cumsum(count)])
    frequency = np.bincount(spelled, minlength=len(spellings))
    by_id = list(ids)
    for concept in kept.tolist():
        members = np.zeros(len(column), np.bool_)
        members[pairs[starts[concept] : starts[concept + 1], 1]] = True
        ways = np.flatnonzero(of_spelling == concept)
        ways = ways[np.argsort(-frequency[ways], kind="stable")]
        if len(ways) > 1:
            told = ", ".join(_short(spellings[way]) for way in ways[:4])
            found.notes.append(f"{name!r}: {told} are one concept, {by_id[concept]}")
        found.concepts.append(Candidate(by_id[concept], family, spellings[ways[0]], members))


def _occurrences(column: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[str]]:
    """Item row and spelling of every value that is there, and the stripped spellings."""
    if _is_list(column.type):
        rows = np.asarray(pc.list_parent_indices(column), np.int64)
        values = pc.list_flatten(column)
    else:
        rows, values = np.arange(len(column)), column
    there = np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False), np.bool_)
    encoded = pc.utf8_trim_whitespace(values.drop_null()).dictionary_encode()
    return rows[there], np.asarray(encoded.indices, np.int64), list(_texts(encoded.dictionary))


def _texts(dictionary: pa.Array) -> Iterator[str]:
    for value in dictionary.to_pylist():
        yield str(value)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
