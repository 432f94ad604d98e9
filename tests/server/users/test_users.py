"""Users looked up in a real Redis: what comes back, what is fallen back to, and a Redis that dies in between."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from bundle import Bundle, read_manifest
from bundle.errors import TillerError
from protos.steering.v1.recommend_pb2 import RecommendBatchRequest, RecommendRequest, RecommendResponse
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server.errors import StoredVectorRefused, UnknownUser, UserStoreDown
from server.settings import Settings
from server.steer import Engine
from server.types import FloatArray
from server.users import Breaker, Found, Outcome, State, Users, decode, encode, key, space_of
from server.users.store import opened_users
from tests.live import Live, live, refusal_of
from tests.redis_server import RedisServer, redis_server
from tests.world import make_world, write_world

STRANGER = "not-in-the-bundle"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_world(make_world(), tmp_path_factory.mktemp("users") / "planted")


@pytest.fixture(scope="module")
def engine(bundle: Bundle) -> Engine:
    return Engine.open(bundle)


@pytest.fixture
def vector(bundle: Bundle) -> FloatArray:
    """Nobody's of the bundle."""
    return np.asarray(bundle.contents.item_vectors[7], np.float32)


class Counted:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.fallbacks: list[bool] = []
        self.states: list[State] = []
        self.trips = 0

    def looked_up(self, outcome: Outcome, users: int) -> None:
        self.outcomes += [outcome] * users

    def asked_store(self, seconds: float) -> None:
        assert seconds >= 0
        self.trips += 1

    def fell_back(self, *, refused: bool) -> None:
        self.fallbacks.append(refused)

    def breaker(self, state: State) -> None:
        self.states.append(state)


class Fake:
    """A store that does what it is told: values, a failure, or no answer at all."""

    def __init__(self, answer: dict[str, bytes] | Exception | None) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []

    async def get(self, keys: list[str]) -> list[bytes | None]:
        self.asked.append(keys)
        if self.answer is None:
            await asyncio.sleep(3600)
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return [self.answer.get(one) for one in keys]

    async def close(self) -> None: ...


def _look_up(fake: Fake, engine: Engine, *ids: str, fall_back: bool = True, failures: int = 5) -> tuple[Found, Counted]:
    counted = Counted()
    users = Users(
        fake, Breaker(failures, 60, counted.breaker), counted, timeout=0.02, prefix="t", space="s", fall_back=fall_back
    )  # type: ignore[arg-type]
    return asyncio.run(users.look_up(ids, engine)), counted


def test_a_value_is_read_as_it_was_written(vector: FloatArray) -> None:
    assert encode(vector) == b"".join(struct.pack("<f", x) for x in vector)
    np.testing.assert_array_equal(decode(encode(vector), len(vector)), vector)  # type: ignore[arg-type]
    assert decode(encode(vector), len(vector) + 1) == f"{4 * len(vector)} bytes, not 4 x {len(vector) + 1}"
    assert decode(encode(vector * np.nan), len(vector)) == "a number that is not finite"
    assert decode(encode(vector * 0), len(vector)) == "zeros only"


def test_the_space_is_that_of_the_item_vectors(bundle: Bundle, tmp_path: Path) -> None:
    other = write_world(make_world(seed=5), tmp_path / "other")
    digest = bundle.manifest.files["item_vectors.npy"].sha256
    assert key("tiller:user", space_of(bundle.manifest), "u:1") == f"tiller:user:{digest[:12]}:u:1"
    assert space_of(other.manifest) != space_of(bundle.manifest)


def test_a_batch_is_one_round_trip_and_nobody_is_asked_twice(engine: Engine, vector: FloatArray) -> None:
    fake = Fake({"t:s:x": encode(vector)})
    found, counted = _look_up(fake, engine, "x", "", "u1", "x")
    assert fake.asked == [["t:s:x", "t:s:u1"]]
    assert counted.outcomes == [Outcome.HIT, Outcome.MISS]
    assert list(found.users) == ["x"]  # u1 is the bundle's own to give
    assert _look_up(fake, engine, "", "")[1].trips == 0


@pytest.mark.parametrize(
    ("answer", "outcome", "refusal"),
    [
        ({}, Outcome.MISS, UnknownUser),
        ({"t:s:u1": b"abc", f"t:s:{STRANGER}": b"abc"}, Outcome.MALFORMED, StoredVectorRefused),
        (OSError("gone"), Outcome.ERROR, UserStoreDown),
        (None, Outcome.TIMEOUT, UserStoreDown),
    ],
    ids=["miss", "malformed", "error", "timeout"],
)
def test_what_is_fallen_back_to(engine: Engine, answer: object, outcome: Outcome, refusal: type) -> None:
    fake = Fake(answer)  # type: ignore[arg-type]
    found, counted = _look_up(fake, engine, "u1")
    assert (counted.outcomes, counted.fallbacks, found.users) == ([outcome], [False], {})
    found, counted = _look_up(fake, engine, "u1", fall_back=False)
    assert (counted.fallbacks, type(found.users["u1"])) == ([True], refusal)
    found, counted = _look_up(fake, engine, STRANGER)
    assert counted.fallbacks == [True]
    if outcome is not Outcome.MISS:  # for a miss the bundle's own refusal, which names the nearest user
        assert type(found.users[STRANGER]) is refusal


def test_an_open_breaker_asks_nobody(engine: Engine) -> None:
    fake, counted = Fake(OSError("gone")), Counted()
    users = Users(fake, Breaker(2, 60, counted.breaker), counted, timeout=0.02, prefix="t", space=None, fall_back=True)  # type: ignore[arg-type]

    async def ask() -> None:
        for _ in range(4):
            await users.look_up(["u1"], engine)

    asyncio.run(ask())
    assert counted.outcomes == [Outcome.ERROR, Outcome.ERROR, Outcome.OPEN, Outcome.OPEN]
    assert (len(fake.asked), counted.trips, counted.states) == (2, 2, [State.CLOSED, State.OPEN])


def test_a_caller_who_leaves_says_nothing_about_the_store(engine: Engine) -> None:
    fake, counted = Fake(None), Counted()
    breaker = Breaker(1, 60, counted.breaker)
    users = Users(fake, breaker, counted, timeout=60, prefix="t", space=None, fall_back=True)  # type: ignore[arg-type]

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(users.look_up(["u1"], engine), 0.01)

    asyncio.run(leave())
    assert (breaker.state, counted.outcomes) == (State.CLOSED, [])


def test_a_url_that_is_none_is_refused_without_repeating_it(bundle: Bundle) -> None:
    async def open_it() -> None:
        async with opened_users(Settings(bundle=bundle.path, users="redis", redis_url="http://:secret@x"), Counted()):  # type: ignore[arg-type]
            pass

    with pytest.raises(TillerError) as refused:
        asyncio.run(open_it())
    assert str(refused.value).startswith("--redis-url: expected redis://")
    assert "secret" not in str(refused.value)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def _served(bundle: Bundle, redis: RedisServer, **settings: object) -> object:
    return live(
        bundle.path, users="redis", redis_url=redis.url, redis_timeout_seconds=0.5, breaker_failures=2,
        breaker_seconds=0.2, **settings,
    )  # fmt: skip


def _ask(server: Live, user_id: str) -> RecommendResponse:
    with grpc.insecure_channel(server.addresses.grpc) as channel:
        return RecommendServiceStub(channel).Recommend(RecommendRequest(user_id=user_id, k=5), timeout=30)


def _ids(answer: RecommendResponse) -> list[str]:
    return [item.item_id for item in answer.items]


def test_a_served_user_comes_from_redis_and_survives_its_death(
    bundle: Bundle, redis: RedisServer, vector: FloatArray
) -> None:
    space = space_of(read_manifest(bundle.path))
    with redis.client() as client:
        client.set(key("tiller:user", space, "u1"), encode(vector))
        client.set(key("tiller:user", space, STRANGER), encode(vector))
        client.set(key("tiller:user", space, "u2"), b"junk")
    with _served(bundle, redis) as server:  # type: ignore[attr-defined]
        with grpc.insecure_channel(server.addresses.grpc) as channel:
            stub = RecommendServiceStub(channel)
            given = stub.Recommend(RecommendRequest(embedding={"values": vector.tolist()}, k=5), timeout=30)
            batch = stub.RecommendBatch(
                RecommendBatchRequest(
                    requests=[RecommendRequest(user_id=one, k=5) for one in ("u1", "nobody", STRANGER, "u2")]
                ), timeout=30,
            )  # fmt: skip
        from_redis = _ids(given)
        assert _ids(_ask(server, "u1")) == _ids(_ask(server, STRANGER)) == from_redis
        own = _ids(batch.results[3].response)  # junk in Redis: the bundle's own
        assert [_ids(batch.results[place].response) for place in (0, 2)] == [from_redis, from_redis]
        assert "unknown user" in batch.results[1].error.message
        redis.kill()
        bundles_own = _ids(_ask(server, "u1"))
        assert bundles_own != from_redis
        with pytest.raises(grpc.RpcError) as down:
            _ask(server, STRANGER)
        refusal = refusal_of(down.value)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "USER_STORE_DOWN")
        assert _ids(_ask(server, "u2")) == own
        metrics = server.metrics()
        assert metrics["tiller_user_store_state"] == 2
        assert metrics['tiller_user_lookups_total{outcome="open"}'] >= 1
        (redis.folder / "redis.sock").unlink()
        redis.start()
        with redis.client() as client:
            client.set(key("tiller:user", space, "u1"), encode(vector))
        end = time.monotonic() + 20
        while _ids(_ask(server, "u1")) != from_redis:  # the breaker tries again by itself
            assert time.monotonic() < end
            time.sleep(0.05)
        metrics = server.metrics()
    assert metrics["tiller_user_store_state"] == 0
    assert metrics['tiller_user_lookups_total{outcome="malformed"}'] >= 1
    assert metrics['tiller_user_lookups_total{outcome="error"}'] == 2
    assert metrics['tiller_user_fallbacks_total{result="refused"}'] == 2


def test_without_fallback_the_bundle_is_not_asked(bundle: Bundle, redis: RedisServer) -> None:
    with _served(bundle, redis, users_fallback="refuse") as server:  # type: ignore[attr-defined]
        with pytest.raises(grpc.RpcError) as unknown:
            _ask(server, "u1")
        redis.kill()
        with pytest.raises(grpc.RpcError) as down:
            _ask(server, "u1")
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    assert down.value.code() is grpc.StatusCode.UNAVAILABLE
