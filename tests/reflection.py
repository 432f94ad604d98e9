"""What grpcurl does with ``-plaintext -d JSON HOST:PORT SERVICE/METHOD``, for machines that do not have it.

The method and its messages are learnt from the server's reflection service alone, as grpcurl learns them: none of this
project's stubs are used.
"""

from __future__ import annotations

import json
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def grpcurl(arguments: list[str]) -> dict[str, Any]:
    """Call as the command line says; the answer as grpcurl prints it.

    Raises:
        ValueError: an argument that is not understood.
        grpc.RpcError: the server refused.
    """
    if arguments[:2] != ["-plaintext", "-d"] or len(arguments) != 5:
        raise ValueError(f"grpcurl arguments: found {arguments}, expected -plaintext -d JSON HOST:PORT SERVICE/METHOD")
    body, target, path = arguments[2:]
    service_name, _, method_name = path.partition("/")
    with grpc.insecure_channel(target) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(service_name).FindMethodByName(method_name)
        request = message_factory.GetMessageClass(method.input_type)()
        json_format.ParseDict(json.loads(body), request)
        call = channel.unary_unary(
            f"/{service_name}/{method_name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        answer: dict[str, Any] = json_format.MessageToDict(call(request, timeout=10))
        return answer


def services(target: str) -> set[str]:
    """What grpcurl's ``list`` prints."""
    with grpc.insecure_channel(target) as channel:
        return set(ProtoReflectionDescriptorDatabase(channel).get_services())
