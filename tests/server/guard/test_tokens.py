"""Tokens on a real port: who gets in, for what, and what is never written down."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from bundle import Bundle
from client import Security, TillerClient, TillerRpcError
from client.admin import TillerAdmin
from protos.steering.v1 import admin_pb2, concepts_pb2, recommend_pb2
from server.guard.tokens import Token, Tokens, TokensRefused, digest, new_token, read_tokens
from server.rpc.gate import SCOPES
from tests.live import Live, live

ALL = ("recommend", "preview", "admin")


def _write(path: Path, **given: tuple[str, ...]) -> dict[str, str]:
    """A file with a token for each name, of these scopes; name -> token."""
    made = {name: new_token() for name in given}
    lines = [f"  - {{name: {name}, sha256: {made[name][1]}, scopes: [{', '.join(given[name])}]}}" for name in given]
    _replace(path, "tokens:\n" + "\n".join(lines) + "\n")
    return {name: token for name, (token, _) in made.items()}


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(path)


@contextmanager
def _served(bundle: Bundle, tokens: Path) -> Iterator[Live]:
    with live(bundle.path, tokens=tokens, admin_port=0, log_level="debug") as server:
        yield server


def _recommend(server: Live, token: str | None) -> int:
    with TillerClient(server.addresses.grpc, security=Security(token=token)) as client:
        return len(client.recommend(user_id="u1", k=3).items)


def _error(server: Live, token: str | None) -> TillerRpcError:
    with pytest.raises(TillerRpcError) as caught:
        _recommend(server, token)
    return caught.value


def test_scopes_open_what_they_name_and_nothing_else(bundle: Bundle, tokens: Path) -> None:
    made = _write(tokens, page=("recommend",), reviewer=("preview",), operator=("admin",), everything=ALL)
    with _served(bundle, tokens) as server:

        def allowed(name: str) -> tuple[bool, bool, bool]:
            found = []
            with (
                TillerClient(server.addresses.grpc, security=Security(token=made[name])) as client,
                TillerAdmin(server.addresses.admin, security=Security(token=made[name])) as admin,
            ):
                for ask in (lambda: client.recommend(user_id="u1", k=3), admin.status, admin.reload):
                    try:
                        ask()
                        found.append(True)
                    except TillerRpcError as error:
                        found.append((error.code.name, error.reason) != ("PERMISSION_DENIED", "MISSING_SCOPE"))
            return tuple(found)

        assert allowed("page") == (True, False, False)
        assert allowed("reviewer") == (False, True, False)
        assert allowed("operator") == (False, True, True)
        assert allowed("everything") == (True, True, True)
        error = _error(server, made["reviewer"])
        assert error.message == "the token 'reviewer' is not for Recommend: found preview, expected recommend."


def test_without_a_known_token_nobody_comes_in(bundle: Bundle, tokens: Path) -> None:
    _write(tokens, page=("recommend",))
    stranger, _ = new_token()
    with _served(bundle, tokens) as server:
        nobody, unknown = _error(server, None), _error(server, stranger)
        for error in (nobody, unknown):
            assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert nobody.message == "no token: expected metadata authorization: Bearer TOKEN."
        assert unknown.message.startswith("the token is not known")
        assert _metric(server, "UNAUTHENTICATED") == 2


def _metric(server: Live, code: str) -> float:
    return server.metrics()[f'tiller_requests_total{{code="{code}",method="Recommend"}}']


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "", "abc"])
def test_a_header_that_is_no_bearer_token_is_refused(bundle: Bundle, tokens: Path, header: str) -> None:
    _write(tokens, page=("recommend",))
    with _served(bundle, tokens) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        call = channel.unary_unary("/steering.v1.RecommendService/Recommend")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=[("authorization", header)], timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert caught.value.details() == "the token cannot be read: expected once authorization: Bearer TOKEN."


def test_tokens_are_rotated_without_a_restart(bundle: Bundle, tokens: Path, tmp_path: Path) -> None:
    old = _write(tokens, page=("recommend",))["page"]
    secret = tmp_path / "secret"
    secret.write_text(old)
    with _served(bundle, tokens) as server:
        with TillerClient(server.addresses.grpc, security=Security(token_file=secret)) as client:
            client.recommend(user_id="u1", k=3)
            new = _write(tokens, page=("recommend",))["page"]
            _until(lambda: _allowed(server, new))
            assert _error(server, old).code is grpc.StatusCode.UNAUTHENTICATED
            _replace(secret, new + "\n")
            client.recommend(user_id="u1", k=3)  # the same client, with the file's new token
        _replace(tokens, "tokens: [")
        _until(lambda: any(line["event"] == "tokens refused" for line in server.lines()))
        assert _recommend(server, new) == 3  # the earlier tokens stay in force


def _allowed(server: Live, token: str) -> bool:
    try:
        return _recommend(server, token) == 3
    except TillerRpcError:
        return False


def _until(done: object) -> None:
    end = time.monotonic() + 30
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_no_token_is_ever_written_down(bundle: Bundle, tokens: Path) -> None:
    made, (stranger, _) = _write(tokens, page=("recommend",), reviewer=("preview",)), new_token()
    with _served(bundle, tokens) as server:
        _recommend(server, made["page"])
        told = [str(_error(server, token)) for token in (made["reviewer"], stranger)]
        told += [server.log.getvalue(), str(server.metrics()), tokens.read_text(), repr(Security(token=stranger))]
    for text in told:
        for token in (*made.values(), stranger):
            assert token not in text
            assert token.removeprefix("tiller_") not in text


def test_probes_need_no_token_and_reflection_needs_any(bundle: Bundle, tokens: Path) -> None:
    made = _write(tokens, reviewer=("preview",))
    with _served(bundle, tokens) as server, grpc.insecure_channel(server.addresses.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert (
            health.Check(health_pb2.HealthCheckRequest(), timeout=10).status == health_pb2.HealthCheckResponse.SERVING
        )
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as caught:
            next(iter(stub.ServerReflectionInfo(iter([asked]), timeout=10)))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        bearer = [("authorization", f"Bearer {made['reviewer']}")]
        answer = next(iter(stub.ServerReflectionInfo(iter([asked]), metadata=bearer, timeout=10)))
        assert "steering.v1.RecommendService" in {one.name for one in answer.list_services_response.service}


def test_every_method_has_its_scope() -> None:
    methods = {
        method.name
        for file in (recommend_pb2, concepts_pb2, admin_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert set(SCOPES) <= methods
    changing = {name for name in methods - set(SCOPES) if not re.match(r"(Reload|Load|Rollback|Save|Delete)", name)}
    assert changing <= {"ListCustomConcepts"}, "reads, and asks for the scope admin: is that meant?"


def test_an_expired_token_is_told_apart(tokens: Path) -> None:
    token, sha256 = new_token()
    tokens.write_text(f"tokens: [{{name: page, sha256: {sha256}, scopes: [recommend], expires: 2026-01-01T00:00:00Z}}]")
    known = Tokens(tokens)
    first = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    before, after = known.caller(token, first - 1), known.caller(token, first)
    assert before is not None
    assert after is not None
    assert (before.expired, after.expired) == (False, True)
    assert known.caller(new_token()[0]) is None


ZEROS = "0" * 64


def _one(sha256: str = ZEROS, scopes: str = "[admin]", more: str = "") -> str:
    return f"tokens: [{{name: a, sha256: '{sha256}', scopes: {scopes}{more}}}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tokens: [", "is no YAML document"),
        ("- a", "document: Input should be a valid dictionary"),
        ("tokens: []", "tokens: Tuple should have at least 1 item"),
        (_one(ZEROS[1:]), "tokens.0.sha256: String should match"),
        (_one(scopes="[]"), "tokens.0.scopes: Frozenset should have at least 1"),
        (_one(scopes="[root]"), "tokens.0.scopes.0: Input should be 'recommend'"),
        (_one(more=", token: x"), "tokens.0.token: Extra inputs"),
        (_one(more=", expires: 2026-01-01T00:00:00"), "tokens.0.expires"),
        ("tokens: !!python/object/apply:os.system [true]", "document"),
    ],
)
def test_a_file_of_tokens_that_is_none(tokens: Path, text: str, said: str) -> None:
    tokens.write_text(text)
    with pytest.raises(TokensRefused, match=re.escape(said)):
        read_tokens(tokens)


def test_names_and_hashes_are_given_once(tokens: Path) -> None:
    first, second = "1" * 64, "2" * 64
    for pair in ((("a", first), ("a", second)), (("a", first), ("b", first))):
        lines = "".join(f"  - {{name: {name}, sha256: '{sha256}', scopes: [admin]}}\n" for name, sha256 in pair)
        tokens.write_text("tokens:\n" + lines)
        with pytest.raises(TokensRefused, match="twice, expected each once"):
            read_tokens(tokens)


def test_a_hash_says_nothing_of_its_token() -> None:
    token, sha256 = new_token()
    assert re.fullmatch(r"tiller_[\w-]{43}", token)
    assert digest(token) == sha256 == Token(name="a", sha256=sha256, scopes=frozenset({"admin"})).sha256
    assert new_token()[0] != token
