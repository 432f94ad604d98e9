"""Who is in a rollout: a stable hash of the user, so that a person sees the same thing on every page and every server.

    place = first 8 bytes of sha256(salt + "\\0" + key), big endian, / 2**64        in [0, 1)
    in the rollout where 100 * place < percent

The salt is the policy's name where none is given: two policies at 10 % reach different people, and the same salt makes
them reach the same. Raising the percentage keeps everybody who is in. Any language can compute it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

USER = "user"


@dataclass(frozen=True, slots=True)
class Rollout:
    """``percent`` in [0, 100]; ``by``: "user", or the request attribute whose value is hashed."""

    percent: float
    salt: str
    by: str = USER

    def reaches(self, user: str | None, attributes: Mapping[str, str]) -> bool:
        """Whether this request is in the rollout.

        ``user`` is the request's user id; a request that sends an embedding names its user by the attribute ``user``.
        Without a key nobody can be told from anybody, so such a request is in only where the rollout is complete: a
        random draw would give one person another list on every page.
        """
        if self.percent >= 100:
            return True
        key = user if self.by == USER and user else attributes.get(self.by)
        return bool(key) and 100 * place(self.salt, key or "") < self.percent


def place(salt: str, key: str) -> float:
    """Where a key stands in [0, 1), evenly spread over keys and independent between salts."""
    digest = hashlib.sha256(f"{salt}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
