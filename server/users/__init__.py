"""Vectors of users by id, from elsewhere than the bundle: asked beside the calls, before the engine is.

user_id -> breaker -> store (Redis), for at most so long -> vector | miss | failure
miss, failure -> the bundle's own vector, or a refusal
"""

from server.users.breaker import Breaker, State
from server.users.layout import decode, encode, key, space_of
from server.users.lookup import NOBODY, Found, Observer, Outcome, Users, UserStore
from server.users.store import opened_users

__all__ = [
    "NOBODY",
    "Breaker",
    "Found",
    "Observer",
    "Outcome",
    "State",
    "UserStore",
    "Users",
    "decode",
    "encode",
    "key",
    "opened_users",
    "space_of",
]
