"""Damage, drawn from a seeded generator: the same seed gives the same damage."""

from __future__ import annotations

import random
from collections.abc import Sequence

MOST_FLIPS, MOST_SPLICED = 8, 64
INTERESTING = (b"\x00", b"\xff", b"\x80", b"\x7f", b"\xff\xff\xff\xff\x0f", b"\x00" * 8, b"\xff" * 10, b"\xc3\x28")


def damaged(data: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """``data`` hurt in one of six ways: bits flipped, cut short, spliced, a stretch doubled or dropped, one of
    ``others`` (or noise) in its place. May come out as it was.
    """
    match rng.randrange(6):
        case 0:
            return _flipped(data, rng)
        case 1:
            return data[: rng.randrange(len(data) + 1)]
        case 2:
            at = rng.randrange(len(data) + 1)
            put = rng.choice(INTERESTING) if rng.random() < 0.5 else rng.randbytes(rng.randrange(MOST_SPLICED))
            return data[:at] + put + data[at + rng.randrange(MOST_SPLICED) :]
        case 3:
            start, stop = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            return data[:stop] + data[start:stop][:4096] + data[stop:]
        case 4:
            start, stop = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            return data[:start] + data[stop:]
        case _:
            return rng.choice(others) if others and rng.random() < 0.7 else rng.randbytes(rng.randrange(512))


def _flipped(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    out = bytearray(data)
    for _ in range(rng.randint(1, MOST_FLIPS)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)
