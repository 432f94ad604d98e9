"""Which columns of the item table become concepts, and as what; titles; the item bias."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bundle import LATENT_FAMILY, concept_id
from bundle.errors import DataError
from offline.datasets.columns import as_strings, did_you_mean, is_text, listed, read_columns, require, row_list
from offline.datasets.types import FloatArray

BIAS = "bias"
POPULARITY = "popularity"
_ALWAYS = ("item_id", "title")


class Metadata(NamedTuple):
    """``table``: item_id, title, then the metadata; ``bias`` float32 [N]; ``left_out``: column -> Arrow type."""

    table: pa.Table
    bias: FloatArray | None
    left_out: dict[str, str]


def read_metadata(
    path: Path,
    file: pq.ParquetFile | None,
    ids: pa.Array,
    *,
    embedding_column: str,
    bias_column: str | None,
    columns: Sequence[str] | None,
    counted: bool,
) -> Metadata:
    """Everything of the item table but the vectors; ``file`` None: there are only ids.

    ``columns`` None keeps every column of which concepts can come, and lists the others in ``left_out``. ``counted``:
    a popularity that the table lacks will be counted, so it may be asked for.

    Raises:
        DataError: an unknown column, one of another type that was asked for, a bias that is none, or two columns that
            would be one concept family.
    """
    schema = file.schema_arrow if file is not None else pa.schema([])
    reserved = {*_ALWAYS, embedding_column, bias_column or BIAS}
    offered = [name for name in schema.names if name not in reserved and not name.startswith("__index_level_")]
    if bias_column is not None:
        require(path, schema.names, [bias_column], "Check --bias-column.")
    known = {*offered, *_ALWAYS, *([POPULARITY] if counted else [])}
    unknown = [name for name in columns or () if name not in known]
    if unknown:
        raise DataError(
            f"{path}",
            found=f"no metadata column {listed(unknown)}",
            expected=f"names among {listed(offered)}" if offered else "no names: the file has no metadata",
            hint=f"{did_you_mean(unknown, offered)}Check --columns.",
        )
    kept = [name for name in offered if columns is None or name in columns]
    wanted = [*kept, *(name for name in ("title", bias_column or BIAS) if name in schema.names)]
    table = read_columns(path, file, wanted) if file is not None and wanted else pa.table({})
    titles = pc.coalesce(as_strings(f"{path}: title", table["title"]), ids) if "title" in table.column_names else ids
    out, left_out = {"item_id": ids, "title": titles}, {}
    for name in kept:
        column = as_metadata(table[name])
        if column is not None:
            out[name] = column
        elif columns is None:
            left_out[name] = str(schema.field(name).type)
        else:
            raise DataError(
                f"{path}: {name}",
                found=f"type {schema.field(name).type}",
                expected="text, lists of text, numbers or true/false",
                hint="Convert the column, or leave it out of --columns.",
            )
    check_families(f"{path}", [name for name in out if name not in _ALWAYS])
    name = bias_column or BIAS
    bias = _bias(f"{path}: {name}", table[name]) if name in table.column_names else None
    return Metadata(pa.table(out), bias, left_out)


def as_metadata(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """A column as concept metadata, or None where no concept can come of its type.

    Text stays text; lists of text become list<string>, a missing list the empty one; true and false become the words;
    whole numbers int64; other numbers float64, what is not finite becoming null.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if is_text(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        element = kind.value_type.value_type if pa.types.is_dictionary(kind.value_type) else kind.value_type
        if not is_text(element):
            return None
        rows = column.cast(pa.list_(pa.string()))
        if not rows.null_count and not pc.list_flatten(rows).null_count:
            return rows
        return pa.chunked_array(
            [
                [[text for text in row if text is not None] if row else [] for row in chunk.to_pylist()]
                for chunk in rows.chunks
            ],
            pa.list_(pa.string()),
        )
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = column.cast(pa.float64())
        return pc.if_else(pc.is_finite(numbers), numbers, None)
    return None


def check_families(where: str, names: Sequence[str]) -> None:
    """Refuse two columns that would name one concept family, and the family that latents have."""
    families: dict[str, str] = {LATENT_FAMILY: ""}
    for name in names:
        family = concept_id(name, "x").split(":", 1)[0]
        if family in families:
            other = families[family]
            raise DataError(
                f"{where}: column {name!r}",
                found=f"the concept family {family!r}, which {f'column {other!r}' if other else 'latents'} already has",
                expected="a family of its own",
                hint="Rename the column, or leave it out with --columns.",
            )
        families[family] = name


def _bias(where: str, column: pa.ChunkedArray) -> FloatArray:
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise DataError(
            where,
            found=f"type {column.type}",
            expected="a number in each row",
            hint="Rename the column if it is no item bias.",
        )
    bias = np.asarray(column.cast(pa.float64()).to_numpy(), np.float32)
    bad = np.flatnonzero(~np.isfinite(bias))
    if len(bad):
        raise DataError(
            f"{where}, {row_list(bad)}",
            found="NaN, infinity or null",
            expected="a finite number",
            hint="Fix the values, or drop the column if it is no item bias.",
        )
    return bias
