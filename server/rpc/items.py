"""Lists of items in wire format: an item's id and title are encoded once, and a list is put together from the bytes.

Making k messages one by one is most of what an answer costs to write; put together and merged into the response at once
it takes under half the time (docs/benchmarks.md). Legend: K items of a list.
"""

from __future__ import annotations

from typing import Literal
from weakref import WeakKeyDictionary

from protos.steering.v1 import recommend_pb2 as pb
from server.catalogue import Catalogue
from server.types import Ranking

_LENGTH_DELIMITED, _DOUBLE = 2, 1
_NUMBERS = {name: field.number for name, field in pb.ScoredItem.DESCRIPTOR.fields_by_name.items()}
_SCORE = bytes([_NUMBERS["score"] << 3 | _DOUBLE])
_LISTS = {
    name: bytes([pb.RecommendResponse.DESCRIPTOR.fields_by_name[name].number << 3 | _LENGTH_DELIMITED])
    for name in ("items", "baseline")
}
_SCORE_BYTES = 8


class Items:
    """A catalogue's items, encoded as they are first asked for."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._ids, self._titles = catalogue.item_ids, catalogue.titles
        self._known: list[bytes | None] = [None] * len(self._ids)

    def add(self, response: pb.RecommendResponse, field: Literal["items", "baseline"], ranking: Ranking) -> None:
        """Append a list of K items to a response."""
        known, tag = self._known, _LISTS[field]
        scores = ranking.scores.astype("<f8").tobytes()
        parts: list[bytes] = []
        at = 0
        for row in ranking.items.tolist():
            parts += (tag, known[row] or self._encoded(row), scores[at : at + _SCORE_BYTES])
            at += _SCORE_BYTES
        response.MergeFromString(b"".join(parts))

    def _encoded(self, row: int) -> bytes:
        """Length of the message, id and title, and the key of the score, which comes last."""
        named = pb.ScoredItem(item_id=self._ids[row], title=self._titles[row]).SerializeToString()
        made = self._known[row] = varint(len(named) + len(_SCORE) + _SCORE_BYTES) + named + _SCORE
        return made


def varint(number: int) -> bytes:
    """A length or a small number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


_ITEMS: WeakKeyDictionary[Catalogue, Items] = WeakKeyDictionary()


def items_of(catalogue: Catalogue) -> Items:
    """The catalogue's, for as long as somebody holds it."""
    found = _ITEMS.get(catalogue)
    if found is None:
        found = _ITEMS[catalogue] = Items(catalogue)
    return found
