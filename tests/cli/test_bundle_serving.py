"""`tiller bundle use`, `rollback`, `status`, and `tiller users`, against a real server and a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bundle import load_bundle, read_manifest
from server.users import key, space_of
from tests.cli.conftest import Tiller
from tests.live import Live, live
from tests.redis_server import RedisServer, redis_server
from tests.world import make_world, write_world


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundles")
    for seed, name in enumerate(("v1", "v2")):
        write_world(make_world(seed=seed, items=80), root / name)
    (root / "empty").mkdir()
    return root


@pytest.fixture
def server(root: Path) -> Iterator[Live]:
    with live(root / "v1", bundles_root=root, admin_port=0) as running:
        yield running


def test_use_status_and_rollback(tiller: Tiller, server: Live, root: Path) -> None:
    one, two = (read_manifest(root / name).bundle_id for name in ("v1", "v2"))
    admin = ("--admin", server.addresses.admin)
    ran = tiller("bundle", "use", "v2", *admin)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"loaded: bundle {two} is in force, after ")
    assert ran.out.endswith(f"tiller bundle rollback brings {one} back\n")
    ran = tiller("bundle", "status", *admin)
    assert ran.code == 0
    assert f"previous  {one}\n" in ran.out
    assert f"folder    {root / 'v2'}\n" in ran.out
    ran = tiller("bundle", "use", "empty", *admin)
    assert ran.code == 1
    assert ran.out.startswith(f"refused: bundle {two} is in force, after ")
    assert "has no manifest.json" in ran.out
    ran = tiller("bundle", "status", *admin)
    assert ran.code == 1
    assert "REFUSED   the last attempt: " in ran.out
    assert tiller("bundle", "status", "--json", *admin).code == 1
    ran = tiller("bundle", "rollback", *admin)
    assert (ran.code, ran.out.splitlines()[0].partition(",")[0]) == (0, f"rolled back: bundle {one} is in force")
    ran = tiller("bundle", "use", "../v1", *admin)
    assert ran.code == 2
    assert "a folder below the bundles root" in ran.err


def test_a_link_is_moved_only_to_what_is_whole(tiller: Tiller, root: Path, tmp_path: Path) -> None:
    link = tmp_path / "current"
    ran = tiller("bundle", "use", root / "v1", "--link", link)
    assert (ran.code, ran.out) == (0, f"{link} leads to {root / 'v1'}\n")
    ran = tiller("bundle", "use", root / "empty", "--link", link)
    assert (ran.code, link.resolve()) == (2, root / "v1")
    assert tiller("bundle", "use", root / "v2", "--link", link).out == (
        f"{link} leads to {root / 'v2'}; before, to {root / 'v1'}\n"
    )
    ran = tiller("bundle", "rollback", "--link", link)
    assert (ran.code, ran.out) == (0, f"{link} leads to {root / 'v1'} again; before, to {root / 'v2'}\n")


def test_no_server_is_one_sentence(tiller: Tiller) -> None:
    ran = tiller("bundle", "use", "v2", "--admin", "127.0.0.1:1")
    assert (ran.code, ran.err) == (
        2, "tiller: no admin service answers at 127.0.0.1:1. Start the server with --admin-port 50052, or name its "
           "port: --admin HOST:PORT.\n",
    )  # fmt: skip


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def test_users_go_to_redis_and_are_served_from_there(tiller: Tiller, root: Path, redis: RedisServer) -> None:
    bundle = load_bundle(root / "v1")
    space = space_of(bundle.manifest)
    ran = tiller("users", "load", root / "v1", "--redis-url", redis.url, "--expire-days", 1)
    assert (ran.code, ran.out) == (0, f"12 users of 16 numbers under tiller:user:{space}:*\n")
    with redis.client() as client:
        assert client.dbsize() == 12
        name = key("tiller:user", space, "u3")
        assert 86_000 < client.ttl(name) <= 86_400
        assert bundle.contents.user_vectors is not None
        stored = np.frombuffer(client.get(name), "<f4")
        np.testing.assert_array_equal(stored, bundle.contents.user_vectors[3])
        client.set(key("tiller:user", space, "u4"), b"junk")
    ran = tiller("users", "show", root / "v1", "u3", "--redis-url", redis.url)
    assert (ran.code, ran.out.splitlines()[0]) == (0, f"key     {name}")
    assert ran.out.endswith(", the same\n")
    ran = tiller("users", "show", root / "v1", "u4", "--redis-url", redis.url)
    assert (ran.code, ran.out.splitlines()[1]) == (1, "value   4 bytes, not 4 x 16")
    ran = tiller("users", "show", root / "v1", "nobody", "--redis-url", redis.url)
    assert (ran.code, ran.out.splitlines()[1:]) == (1, ["value   no such key", "bundle  does not store this user"])


def test_a_redis_that_is_not_there_is_one_sentence(tiller: Tiller, root: Path, tmp_path: Path) -> None:
    for command in (("users", "load", root / "v1"), ("users", "show", root / "v1", "u1")):
        ran = tiller(*command, "--redis-url", f"unix://{tmp_path}/no.sock")
        assert ran.code == 2
        assert ran.err.startswith("tiller: Redis does")
        assert ran.err.endswith("Is --redis-url right?\n")
    ran = tiller("users", "show", root / "v1", "u1", "--redis-url", "nonsense")
    assert (ran.code, ran.err) == (
        2, "tiller: --redis-url: expected redis://HOST:PORT/DB, rediss://... or unix:///PATH.\n"
    )  # fmt: skip
