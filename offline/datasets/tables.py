"""Your own two-tower recommender: tables of items, users and interactions, with the embeddings as they are.

Vectors come as a list column of the Parquet table, or as a ``.npy`` matrix with a file of ids: text with one id per
line, or Parquet with an id column. Legend: N items, U users, M interactions, D embedding.

| table | columns |
| --- | --- |
| items | ``item_id``, ``embedding``; optional ``title`` (else the id), ``bias`` (added to the product), metadata |
| users | ``user_id``, ``embedding`` |
| interactions | ``user_id``, ``item_id``; optional ``order`` or ``timestamp``, ``weight`` or ``rating`` |

Ids are strings; whole numbers are written out. Metadata: see ``offline.datasets.metadata``; columns of which no concept
can come are left out and named in the provenance. ``popularity`` is counted from the interactions where the items have
none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bundle import Metric
from bundle.errors import DataError
from offline.datasets.columns import as_strings, check_ids, open_parquet, read_columns, require
from offline.datasets.interactions import read_interactions
from offline.datasets.metadata import BIAS, POPULARITY, read_metadata
from offline.datasets.types import Dataset, Embeddings, FloatArray
from offline.datasets.vectors import npy_vectors, parquet_vectors

MIN_ITEMS = 200
"""Concepts are fitted on half of the items and scored on the other: purity@50 needs 100 items in each half, or the 50
most activating ones are most of what there is and every concept looks pure."""


@dataclass(frozen=True)
class _Side:
    """One tower as read: ``rest`` is the id file's Parquet, where it is one."""

    path: Path
    ids: pa.Array
    vectors: FloatArray
    rest: pq.ParquetFile | None


def load_tables(
    items: Path | None,
    users: Path | None = None,
    interactions: Path | None = None,
    *,
    item_vectors: Path | None = None,
    item_ids: Path | None = None,
    user_vectors: Path | None = None,
    user_ids: Path | None = None,
    embedding_column: str = "embedding",
    bias_column: str | None = None,
    columns: Sequence[str] | None = None,
    metric: Metric = "dot",
) -> tuple[Dataset, Embeddings]:
    """Read and check everything; nothing is trained on data that is off.

    ``items`` and ``users`` are Parquet with an embedding column; where ``*_vectors`` is given they, or ``*_ids``, bring
    the ids in the order of the matrix. Without users the embeddings' ``users`` is [0, D]. ``bias_column`` None:
    ``bias`` if there is one. ``columns``: the metadata to keep; None: all that can become concepts.

    Raises:
        DataError: names file, column and row, what was found, what was expected and what to do.
    """
    item_side = _side("item", items, item_vectors, item_ids, embedding_column)
    if len(item_side.ids) < MIN_ITEMS:
        raise DataError(
            f"{item_side.path}",
            found=f"{len(item_side.ids):,} items",
            expected=f"at least {MIN_ITEMS}",
            hint="Half of the items name the concepts and the other half test them: fewer say nothing.",
        )
    user_side = None
    if users is not None or user_vectors is not None:
        user_side = _side("user", users, user_vectors, user_ids, embedding_column)
        _same_space(item_side, user_side)
    taken = None
    if interactions is not None:
        if user_side is None:
            raise DataError(
                f"{interactions}",
                found="interactions without users",
                expected="a users table",
                hint="Pass --users too.",
            )
        taken = read_interactions(interactions, (user_side.path, user_side.ids), (item_side.path, item_side.ids))
    table, bias, left_out = read_metadata(
        item_side.path,
        item_side.rest,
        item_side.ids,
        embedding_column=embedding_column,
        bias_column=bias_column,
        columns=columns,
        counted=taken is not None,
    )
    if bias is not None and metric == "cosine":
        raise DataError(
            f"{item_side.path}: {bias_column or BIAS}",
            found="an item bias with metric cosine",
            expected="no bias, or metric dot",
            hint="Drop the column, or pass --metric dot if the model adds it to the inner product.",
        )
    if taken is not None and POPULARITY not in table.column_names and (columns is None or POPULARITY in columns):
        counts = np.bincount(taken.item, minlength=len(item_side.ids))
        table = table.append_column(POPULARITY, pa.array(counts, pa.int64()))
    files = [items, item_vectors, item_ids, users, user_vectors, user_ids, interactions]
    dataset = Dataset(
        name="tables",
        items=table,
        user_ids=user_side.ids.to_pylist() if user_side else [],
        interactions=taken,
        provenance={
            "dataset": "tables",
            "files": {path.name: _sha256(path) for path in files if path is not None},
            "items": len(item_side.ids),
            "users": len(user_side.ids) if user_side else 0,
            "interactions": len(taken) if taken is not None else 0,
            "columns_left_out": left_out,
        },
    )
    user_matrix = user_side.vectors if user_side else np.empty((0, item_side.vectors.shape[1]), np.float32)
    return dataset, Embeddings(item_side.vectors, user_matrix, bias, metric)


def _side(side: str, table: Path | None, vectors: Path | None, ids: Path | None, embedding_column: str) -> _Side:
    key = f"{side}_id"
    if vectors is None:
        if table is None or ids is not None:
            raise DataError(
                f"{side}s",
                found="an id file without vectors" if ids else "neither a table nor vectors",
                expected=f"--{side}s TABLE.parquet, or --{side}-vectors X.npy with --{side}-ids IDS",
                hint="Pass one of the two.",
            )
        file = open_parquet(table, f"--{side}s")
        names = file.schema_arrow.names
        require(table, names, [key], f"Rename the column of ids to {key}.")
        require(
            table,
            names,
            [embedding_column],
            f"Name it with --embedding-column, or pass --{side}-vectors X.npy instead.",
        )
        matrix = parquet_vectors(table, file, embedding_column)
        return _Side(table, _ids(table, file, key), matrix, file)
    path = table or ids
    if path is None or (table is not None and ids is not None):
        raise DataError(
            f"{vectors}",
            found=f"both --{side}s and --{side}-ids" if path else "no ids",
            expected=f"its ids, in the order of its rows, from --{side}-ids (text or Parquet)",
            hint="Pass one file of ids.",
        )
    if not path.is_file():
        raise DataError(
            f"{path}", found="nothing at this path", expected=f"the ids of {vectors}", hint=f"Check --{side}-ids."
        )
    matrix = npy_vectors(vectors, f"--{side}-vectors")
    file = open_parquet(path, f"--{side}-ids") if _is_parquet(path) else None
    if file is not None:
        require(path, file.schema_arrow.names, [key], f"Rename the column of ids to {key}.")
    found = _ids(path, file, key)
    if len(found) != len(matrix):
        raise DataError(
            f"{path}",
            found=f"{len(found):,} ids",
            expected=f"{len(matrix):,}, one for each row of {vectors}",
            hint="Write both from the same run.",
        )
    return _Side(path, found, matrix, file)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix.lower() in {".parquet", ".pq"} or file.read(4) == b"PAR1"


def _ids(path: Path, file: pq.ParquetFile | None, key: str) -> pa.Array:
    if file is not None:
        where = f"{path}: {key}"
        ids = as_strings(where, read_columns(path, file, [key])[key])
    else:
        where = f"{path}"
        try:
            ids = pa.array(path.read_text(encoding="utf-8").rstrip("\n").split("\n"), pa.string())
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                where, found=str(error), expected="UTF-8 text with one id per line", hint="Write the ids again."
            ) from error
    check_ids(where, ids)
    return ids


def _same_space(items: _Side, users: _Side) -> None:
    found, expected = users.vectors.shape[1], items.vectors.shape[1]
    if found != expected:
        raise DataError(
            f"{users.path}: user vectors",
            found=f"{found} dimensions",
            expected=f"{expected}, as the items of {items.path}",
            hint="Both towers must end in one space: export them from the same model.",
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
