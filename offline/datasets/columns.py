"""Columns of one's own Parquet files: opened, named, turned into what a Dataset holds, or refused.

Rows are counted from 0, as numpy and pandas do; every message that names a row says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rapidfuzz.process import extractOne

from bundle.errors import DataError

SHOWN = 5
"""How many rows, ids or columns a message lists before it counts the others."""

FROM_ZERO = "(the first row is 0)"


def open_parquet(path: Path, option: str) -> pq.ParquetFile:
    """The file, its footer read. ``option`` is the flag it came with.

    Raises:
        DataError: nothing there, a folder, not Parquet, or a column name given twice.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing at this path"
        raise DataError(f"{path}", found=found, expected="one Parquet file", hint=f"Check {option}.")
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error
    names = file.schema_arrow.names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}", found=f"{listed(twice)} more than once", expected="each column once", hint="Rename or drop one."
        )
    return file


def unreadable(path: Path, error: Exception) -> DataError:
    """The refusal of a file that Arrow cannot read."""
    return DataError(
        f"{path} cannot be read as Parquet",
        found=str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__,
        hint="Write the file again: it is damaged, incomplete or another format.",
    )


def read_columns(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> pa.Table:
    """Those columns as one table; DataError where the bytes are damaged."""
    try:
        return file.read(columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def require(path: Path, names: Sequence[str], wanted: Iterable[str], hint: str) -> None:
    """Refuse a file without the ``wanted`` columns; names the nearest ones it has."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise DataError(
            f"{path}",
            found=f"no column {listed(missing)} among {listed(names) if names else 'none at all'}",
            expected=f"{'a column' if len(missing) == 1 else 'columns'} {listed(missing)}",
            hint=f"{did_you_mean(missing, names)}{hint}",
        )


def did_you_mean(wanted: Iterable[str], names: Sequence[str]) -> str:
    """``Did you mean 'genre'? `` for names that resemble one there is, else nothing."""
    near = [match[0] for name in wanted if (match := extractOne(name, names, score_cutoff=60))]
    return f"Did you mean {listed(near)}? " if near else ""


def listed(values: Sequence[object]) -> str:
    """``'a', 'b' and 3 more``."""
    shown = ", ".join(repr(value) for value in values[:SHOWN])
    return f"{shown} and {len(values) - SHOWN:,} more" if len(values) > SHOWN else shown


def row_list(rows: npt.NDArray[np.intp] | Sequence[int]) -> str:
    """``row 3 (the first row is 0)`` or ``rows 3, 8 and 2 more (the first row is 0)``."""
    shown = ", ".join(str(int(row)) for row in rows[:SHOWN])
    more = f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more} {FROM_ZERO}"


def as_strings(where: str, column: pa.ChunkedArray) -> pa.Array:
    """Ids as one string array; whole numbers are written out. Other types are refused."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (is_text(kind) or pa.types.is_integer(kind)):
        raise DataError(
            where,
            found=f"type {column.type}",
            expected="strings or whole numbers",
            hint="Convert the column and write it again.",
        )
    out = column.cast(kind).cast(pa.string())
    return out.combine_chunks() if isinstance(out, pa.ChunkedArray) else out


def check_ids(where: str, ids: pa.Array) -> None:
    """Refuse ids that are empty or given twice, by row."""
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(ids), ""), True)
    empty = np.flatnonzero(blank.to_numpy(zero_copy_only=False))
    if len(empty):
        raise DataError(
            f"{where}, {row_list(empty)}",
            found="no id",
            expected="an id in every row",
            hint="Give them ids, or remove the rows.",
        )
    coded = ids.dictionary_encode()
    if len(coded.dictionary) == len(ids):
        return
    codes = coded.indices.to_numpy()
    repeated = np.flatnonzero(np.bincount(codes) > 1)
    first = f"{coded.dictionary[int(repeated[0])].as_py()!r} in {row_list(np.flatnonzero(codes == repeated[0]))}"
    raise DataError(
        where,
        found=f"{len(repeated):,} ids more than once, the first {first}" if len(repeated) > 1 else first,
        expected="each id once",
        hint="Keep one row for each id.",
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
