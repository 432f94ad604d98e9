"""The first thing that a call meets: may it come in, and is there room? Its message is not read before.

Health checks are open to everybody, for probes have no tokens; reflection asks for any token where tokens are in force.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc

from server.errors import MissingScope, Overloaded, SteeringError, Unauthenticated
from server.guard.admission import Admission
from server.guard.tokens import Scope, Tokens
from server.rpc.calls import Calls, header_id
from server.rpc.errors import code_of, status_of

HEALTH, REFLECTION = "grpc.health.v1.Health", "grpc.reflection."

SCOPES: dict[str, Scope] = {
    "Recommend": "recommend",
    "RecommendBatch": "recommend",
    "ListConcepts": "recommend",
    "GetConcept": "recommend",
    "GetStatus": "preview",
    "ListPolicies": "preview",
    "ValidatePolicies": "preview",
    "PreviewPolicies": "preview",
}
"""Method -> the scope it asks for; what is not here asks for "admin", which may also do what "preview" may."""

ADMITTED = frozenset({"Recommend", "RecommendBatch", "ListConcepts", "GetConcept"})
"""Methods that are not taken where there are too many calls."""


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Refuses a call before its message is read.

    Args:
        calls: who is told.
        tokens: who may come in; None: anybody.
        admission: whether there is room; None: always.
    """

    def __init__(self, calls: Calls, tokens: Tokens | None, admission: Admission | None) -> None:
        self._calls = calls
        self._tokens = tokens
        self._admission = admission

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The method's own handler, or one that refuses."""
        service, _, method = handler_call_details.method[1:].partition("/")
        if service == HEALTH:
            return await continuation(handler_call_details)
        if self._tokens is not None:
            try:
                _check(self._tokens, handler_call_details.invocation_metadata, service, method)
            except SteeringError as error:
                return self._refusing(method, error)
        if self._admission is not None and method in ADMITTED and (full := self._admission.came()):
            return self._refusing(method, full)
        return await continuation(handler_call_details)

    def _refusing(self, method: str, error: SteeringError) -> Any:
        """A handler that answers with the refusal; of a stream, for those are called before a message came."""

        async def refuse(messages: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:  # noqa: ARG001
            began, request_id = self._calls.began(method), header_id(context)
            if isinstance(error, Overloaded):
                self._calls.shed(method, error)
            else:
                self._calls.log.info(
                    "refused", method=method, code=code_of(error).name, request_id=request_id, message=error.sentence()
                )
            self._calls.ended(method, code_of(error), request_id, began)
            await context.abort_with_status(status_of(error, request_id))  # type: ignore[attr-defined] # the stubs are older

        return grpc.stream_unary_rpc_method_handler(refuse)


def _check(tokens: Tokens, metadata: Iterable[tuple[str, str | bytes]] | None, service: str, method: str) -> None:
    """The call has a token that is for this method.

    Raises:
        Unauthenticated, MissingScope: it has not. Neither says anything of the token but the name of a known one.
    """
    given = [value for key, value in metadata or () if key == "authorization"]
    if not given:
        raise Unauthenticated("no token", expected="metadata authorization: Bearer TOKEN")
    kind, _, token = str(given[0]).partition(" ")
    if len(given) > 1 or kind.lower() != "bearer" or not token:
        raise Unauthenticated("the token cannot be read", expected="once authorization: Bearer TOKEN")
    caller = tokens.caller(token.strip())
    if caller is None:
        raise Unauthenticated("the token is not known", hint="It may have been withdrawn: ask who runs the server.")
    if caller.expired:
        raise Unauthenticated(f"the token {caller.name!r} has expired", hint="Ask who runs the server for a new one.")
    if service.startswith(REFLECTION):
        return
    wanted = SCOPES.get(method, "admin")
    if wanted not in caller.scopes and not (wanted == "preview" and "admin" in caller.scopes):
        raise MissingScope(
            f"the token {caller.name!r} is not for {method}", found=" ".join(sorted(caller.scopes)), expected=wanted
        )
