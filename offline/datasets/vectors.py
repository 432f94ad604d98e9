"""Embeddings from Parquet list columns or .npy files into one float32 array [N, D], every row checked.

A Parquet column is read batch by batch straight into that array: memory peaks at the array and one batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bundle.errors import DataError
from offline.datasets.columns import FROM_ZERO, row_list, unreadable
from offline.datasets.types import FloatArray

BATCH = 65_536


def parquet_vectors(path: Path, file: pq.ParquetFile, column: str) -> FloatArray:
    """Column ``column`` (list, large list or fixed-size list of numbers) as float32 [N, D].

    Raises:
        DataError: another type, no rows, a missing or ragged vector, NaN or infinity, all zeros.
    """
    where, kind = f"{path}: {column}", file.schema_arrow.field(column).type
    listy = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not listy or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise DataError(
            where,
            found=f"type {kind}",
            expected="a list of numbers in each row",
            hint="Write the vectors as list<float> or as a fixed-size list.",
        )
    out, start = np.empty((0, 0), np.float32), 0
    try:
        for batch in file.iter_batches(BATCH, columns=[column]):
            if start == 0 and len(batch):
                out = np.empty((file.metadata.num_rows, _length(where, batch.column(0))), np.float32)
            _fill(where, batch.column(0), out, start)
            start += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error
    check_vectors(where, out)
    return out


def npy_vectors(path: Path, option: str) -> FloatArray:
    """A .npy file as float32 [N, D].

    Raises:
        DataError: nothing there, no .npy, not a matrix of numbers, NaN or infinity, all zeros.
    """
    if not path.is_file():
        raise DataError(f"{path}", found="nothing at this path", expected="a .npy file", hint=f"Check {option}.")
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as .npy",
            found=str(error).splitlines()[0].rstrip("."),
            hint="Write it with numpy.save, without objects in it.",
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DataError(
            f"{path}",
            found=f"{array.dtype} {array.shape}",
            expected="numbers of shape (rows, dimensions)",
            hint="Write it with numpy.save, one vector in each row.",
        )
    with np.errstate(over="ignore"):  # beyond float32: infinity, refused below
        out = np.array(array, np.float32, order="C")
    check_vectors(f"{path}", out)
    return out


def check_vectors(where: str, vectors: FloatArray) -> None:
    """Refuse an empty matrix, NaN or infinity, and rows of zeros, by row."""
    if not vectors.size:
        raise DataError(
            where,
            found=f"{vectors.shape[0]} vectors of {vectors.shape[1]} numbers",
            hint="Write the file again, with the vectors.",
        )
    blocks = [vectors[start : start + BATCH] for start in range(0, len(vectors), BATCH)]
    bad = np.flatnonzero(np.concatenate([np.isfinite(block).all(axis=1) for block in blocks]) == 0)
    if len(bad):
        raise DataError(
            f"{where}, {row_list(bad)}",
            found="NaN, infinity or null",
            expected="finite numbers",
            hint="Fix the vectors or remove the rows; a NaN often comes from dividing by the norm of a zero vector.",
        )
    zero = np.flatnonzero(np.concatenate([block.any(axis=1) for block in blocks]) == 0)
    if len(zero):
        raise DataError(
            f"{where}, {row_list(zero)}",
            found="all zeros",
            expected="a vector with a direction",
            hint="Remove the rows: a row that was never trained cannot be recommended or served.",
        )


def _length(where: str, chunk: pa.Array) -> int:
    first = chunk.slice(0, 1).value_lengths()[0].as_py()
    if not first:
        raise DataError(
            f"{where}, row 0 {FROM_ZERO}", found="no vector", expected="a list of numbers", hint="Remove the row."
        )
    return int(first)


def _fill(where: str, chunk: pa.Array, out: FloatArray, start: int) -> None:
    lengths = chunk.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != out.shape[1])
    if len(wrong):
        found = sorted({int(length) for length in lengths[wrong]})
        raise DataError(
            f"{where}, {row_list(wrong + start)}",
            found=f"{' or '.join(str(length) if length else 'no' for length in found[:3])} values",
            expected=f"{out.shape[1]}, as in row 0",
            hint="Every vector must have the same length: fix or remove the rows.",
        )
    values = chunk.flatten().to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        out[start : start + len(chunk)] = values.reshape(len(chunk), out.shape[1])
