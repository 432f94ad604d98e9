"""Who took what, from Parquet: ids matched to the rows of the tables, order and weight where there are any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bundle.errors import DataError
from offline.datasets.columns import as_strings, listed, open_parquet, read_columns, require, row_list
from offline.datasets.types import FloatArray, Interactions

ORDER_COLUMNS = ("order", "timestamp")
WEIGHT_COLUMNS = ("weight", "rating")

Ids = tuple[Path, pa.Array]
"""The file the ids are of (for messages), and the ids."""


def read_interactions(path: Path, users: Ids, items: Ids) -> Interactions:
    """The interactions of ``path``, as rows of ``users`` and ``items``.

    ``order`` is taken from the first of ``ORDER_COLUMNS`` there is (whole numbers, dates or time stamps), else it is
    the row; ``weight`` from the first of ``WEIGHT_COLUMNS``, else 1.

    Raises:
        DataError: a missing column, no rows, ids that no table has, or an order or weight that is none.
    """
    file = open_parquet(path, "--interactions")
    names = file.schema_arrow.names
    require(path, names, ["user_id", "item_id"], "Rename the columns of ids.")
    order = next((name for name in ORDER_COLUMNS if name in names), None)
    weight = next((name for name in WEIGHT_COLUMNS if name in names), None)
    table = read_columns(path, file, ["user_id", "item_id", *filter(None, (order, weight))])
    if len(table) == 0:
        raise DataError(
            f"{path}", found="no rows", expected="interactions", hint="Leave --interactions out if there are none."
        )
    return Interactions(
        user=_rows(path, table, "user_id", users),
        item=_rows(path, table, "item_id", items),
        order=_order(path, table, order) if order else np.arange(len(table), dtype=np.int64),
        weight=_weight(path, table, weight) if weight else np.ones(len(table), np.float32),
    )


def _rows(path: Path, table: pa.Table, key: str, known: Ids) -> npt.NDArray[np.int32]:
    ids = as_strings(f"{path}: {key}", table[key])
    rows = pc.index_in(ids, value_set=known[1])
    if rows.null_count:
        lost = pc.unique(ids.filter(pc.is_null(rows)))
        raise DataError(
            f"{path}: {key}",
            found=f"{len(lost):,} ids that {known[0]} does not have, in {rows.null_count:,} of {len(ids):,} rows "
            f"({listed(lost.to_pylist())})",
            expected=f"only ids of {known[0]}",
            hint="Remove those rows, or add the missing ids with their vectors.",
        )
    return np.asarray(rows.to_numpy(), np.int32)


def _order(path: Path, table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    column = table[name]
    where = f"{path}: {name}"
    _refuse_nulls(where, column)
    try:
        if pa.types.is_date32(column.type):
            column = column.cast(pa.int32())
        return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            where,
            found=f"type {column.type} that is no whole number",
            expected="whole numbers, dates or time stamps",
            hint="Convert the column, or leave it out: then the order is that of the rows.",
        ) from error


def _weight(path: Path, table: pa.Table, name: str) -> FloatArray:
    column, where = table[name], f"{path}: {name}"
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise DataError(
            where, found=f"type {column.type}", expected="numbers", hint="Convert the column, or leave it out."
        )
    _refuse_nulls(where, column)
    weight = np.asarray(column.to_numpy(), np.float32)
    bad = np.flatnonzero(~np.isfinite(weight))
    if len(bad):
        raise DataError(
            f"{where}, {row_list(bad)}",
            found="NaN or infinity",
            expected="finite numbers",
            hint="Fix the values or leave the column out.",
        )
    return weight


def _refuse_nulls(where: str, column: pa.ChunkedArray) -> None:
    if column.null_count:
        rows = np.flatnonzero(column.is_null().to_numpy())
        raise DataError(
            f"{where}, {row_list(rows)}",
            found="no value",
            expected="a value in every row",
            hint="Fill it in or leave the column out.",
        )
