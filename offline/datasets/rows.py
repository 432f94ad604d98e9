"""Delimited text of the public archives: columns of whole numbers, quickly, and the exact row where they are not.

The bytes go through Arrow's CSV reader; only a file that it refuses is read once more, row by row, to say where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pv

from bundle.errors import DataError

Range = tuple[int, int]
IntArray = npt.NDArray[np.int64]

ANY_ID: Range = (1, 2**31 - 1)
ANY_COUNT: Range = (0, 2**62)


def int_columns(
    data: bytes, delimiter: str, columns: Mapping[str, Range], where: str, *, header: bool = False
) -> dict[str, IntArray]:
    """Columns of int64 by name, in file order; every value must be a whole number within its (low, high).

    Raises:
        DataError: a row with another number of fields, or a value that is no number or out of range; it names file
            and row.
    """
    # Arrow wants one character between fields; "::" cannot occur in a row of numbers.
    body = data.replace(delimiter.encode(), b"\t") if delimiter != "\t" else data
    try:
        table = pv.read_csv(
            pa.BufferReader(body),
            read_options=pv.ReadOptions(column_names=list(columns), skip_rows=int(header)),
            parse_options=pv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pv.ConvertOptions(column_types=dict.fromkeys(columns, pa.int64())),
        )
    except pa.ArrowInvalid as error:
        _point_at_bad_row(data, delimiter, columns, where, header=header)
        raise DataError(where, found=str(error), hint="The file is damaged: get the archive again.") from error
    if len(table) == 0:
        raise DataError(where, found="no rows", hint="The file is damaged: get the archive again.")
    out: dict[str, IntArray] = {}
    for name, (low, high) in columns.items():
        values = table[name].fill_null(low - 1).to_numpy()
        if values.min() < low or values.max() > high:
            _point_at_bad_row(data, delimiter, columns, where, header=header)
        out[name] = np.asarray(values, np.int64)
    return out


def text_rows(
    data: bytes, delimiter: str, fields: int, where: str, encoding: str, *, header: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """``(row number from 1, fields)`` of every line that is not empty.

    Raises:
        DataError: a row that is not text of that encoding, or that has another number of fields.
    """
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip() or (header and number == 1):
            continue
        try:
            row = line.rstrip(b"\r").decode(encoding).split(delimiter)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{where}, row {number}",
                found=f"the byte 0x{line[error.start]:02x}",
                expected=f"{encoding} text",
                hint="Use the archive as it was published, not a converted copy.",
            ) from error
        if len(row) != fields:
            raise wrong_fields(where, number, row, fields, delimiter)
        yield number, row


def wrong_fields(where: str, number: int, row: list[str], fields: int, delimiter: str) -> DataError:
    """The refusal of a row with another number of fields."""
    return DataError(
        f"{where}, row {number}",
        found=f"{len(row)} fields in {_short(delimiter.join(row))}",
        expected=f"{fields} fields divided by {delimiter!r}",
        hint="Use the archive as it was published, or remove the row.",
    )


def whole_number(text: str, bounds: Range, name: str, where: str, number: int) -> int:
    """``text`` as a whole number within (low, high), or DataError that names file, row and column."""
    low, high = bounds
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        expected = f"a whole number from {low} to {high}" if high < 2**31 - 1 else f"a whole number from {low}"
        raise DataError(
            f"{where}, row {number}: {name}",
            found=_short(text),
            expected=expected,
            hint="Use the archive as it was published, or remove the row.",
        )
    return value


def _point_at_bad_row(data: bytes, delimiter: str, columns: Mapping[str, Range], where: str, *, header: bool) -> None:
    for number, row in text_rows(data, delimiter, len(columns), where, "latin-1", header=header):
        for (name, bounds), text in zip(columns.items(), row, strict=True):
            whole_number(text, bounds, name, where, number)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
