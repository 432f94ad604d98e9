"""The gRPC edge: messages to the core's types and back, refusals to status codes. The only floor that knows the wire.

``convert``: protos and server.types. ``errors``: one table, refusal to status code, with google.rpc details. ``calls``:
around every method, its request id, count, time, log line and refusal. ``recommend``, ``concepts`` and ``admin``: the
services.
"""

from server.rpc.admin import AdminService
from server.rpc.calls import Calls, Observer
from server.rpc.concepts import ConceptService
from server.rpc.recommend import RecommendService

__all__ = ["AdminService", "Calls", "ConceptService", "Observer", "RecommendService"]
