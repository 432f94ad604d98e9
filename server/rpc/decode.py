"""Bytes that are no message: a refusal that says so.

gRPC answers UNKNOWN with a Python exception's text where a request cannot be parsed, before any method is called.
Services registered with ``decoding(server)`` get ``Unreadable`` in the request's place, and ``server.rpc.calls.unary``
refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A request that is none: so many bytes, and why they cannot be read."""

    size: int
    reason: str


def decoding(server: grpc.aio.Server) -> grpc.aio.Server:
    """What to register a service with in the server's place, so that unreadable requests reach its methods."""
    return cast("grpc.aio.Server", _Registrar(server))


class _Registrar:
    """As much of a server as generated code registers with."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]) -> None:
        """Register, each method with a parser that does not raise."""
        self._server.add_generic_rpc_handlers(tuple(_Tolerant(handler) for handler in handlers))

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Any]) -> None:
        """What the generated code calls besides; it would find the methods by their own parsers."""


class _Tolerant(grpc.GenericRpcHandler):  # type: ignore[type-arg] # not generic at run time
    def __init__(self, inner: grpc.GenericRpcHandler[Any, Any]) -> None:
        self._inner = inner
        self._found: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The method's handler, made once."""
        found = self._found.get(details.method)
        if found is None:
            handler = self._inner.service(details)
            if handler is None or handler.request_deserializer is None:
                return handler
            found = handler._replace(request_deserializer=_parser(handler.request_deserializer))  # type: ignore[attr-defined]
            self._found[details.method] = found
        return found


def _parser(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parsed(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError as error:
            return Unreadable(len(data), str(error))

    return parsed
