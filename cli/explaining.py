"""Where `tiller explain` asks: a running server, or a bundle on disk by the very code that answers for a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from client import Recommendation, TillerClient


class Asked(Protocol):
    """Who answers; the arguments are those of ``TillerClient.recommend``."""

    def __call__(self, **arguments: Any) -> Recommendation:
        """One explained answer."""
        ...


def of_server(address: str) -> Asked:
    """Ask a running server."""

    def ask(**arguments: Any) -> Recommendation:
        with TillerClient(address) as client:
            return client.recommend(**arguments)

    return ask


def of_bundle(folder: Path, policies: Path | None) -> Asked:
    """Ask the engine itself, in this process.

    Raises:
        TillerError: the bundle or the policies are refused.
    """
    from bundle import load_bundle
    from client.convert import make_request, to_recommendation
    from server.policy import load_policies
    from server.rpc.convert import to_query, to_response
    from server.steer import Engine

    loaded = None if policies is None else load_policies(policies)
    engine = Engine.open(load_bundle(folder, verify=False), loaded)

    def ask(**arguments: Any) -> Recommendation:
        query = to_query(make_request(**arguments))
        response = to_response(engine.recommend(query), query, engine.catalogue, "explain")
        return to_recommendation(response, baseline=query.baseline)

    return ask
