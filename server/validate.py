"""Refuses a request that cannot be meant, with the field, what was found and what to do. One sentence each, tested."""

from __future__ import annotations

import math

import numpy as np

from server.catalogue import Catalogue
from server.errors import InvalidRequest, NotAllowed, UnknownConcept
from server.settings import Limits
from server.types import Action, Channel, Membership, Query, Rule


def validate(query: Query, catalogue: Catalogue, limits: Limits) -> None:
    """Raise a SteeringError unless the request can be answered by this bundle.

    Raises:
        InvalidRequest, UnknownConcept, NotAllowed: naming the field.
    """
    if not 1 <= query.k <= limits.max_k:
        raise InvalidRequest("k", field="k", found=query.k, expected=f"1 to {limits.max_k}")
    _check_user(query, catalogue.bundle.manifest.dims.embedding)
    if len(query.rules) > limits.max_rules:
        raise InvalidRequest(
            "too many rules", field="rules", found=len(query.rules), expected=f"at most {limits.max_rules}"
        )
    if len(query.exclude) > limits.max_exclude:
        raise InvalidRequest(
            "too many ids to exclude",
            field="exclude_item_ids",
            found=len(query.exclude),
            expected=f"at most {limits.max_exclude}",
        )
    if not query.use_policies and not limits.allow_ignore_policies:
        raise NotAllowed("this server does not let requests switch the policies off", field="ignore_policies")
    for place, rule in enumerate(query.rules):
        _check_rule(rule, f"rules[{place}]", catalogue)
    _check_pairs(query.rules)


def _check_user(query: Query, dim: int) -> None:
    if (query.user_id is None) == (query.embedding is None):
        found = "both" if query.embedding is not None else "neither"
        raise InvalidRequest("who is asking", field="user", found=found, expected="a user_id or an embedding")
    if query.user_id is not None:
        if not query.user_id:
            raise InvalidRequest("user_id is empty", field="user_id", hint="Name a user, or send an embedding.")
        return
    embedding = query.embedding
    if embedding is None:  # excluded above; keeps the type checker with us
        return
    if embedding.shape != (dim,):
        raise InvalidRequest(
            "embedding has the wrong length",
            field="embedding.values",
            found=f"{embedding.size} numbers",
            expected=f"{dim}",
            hint="Is it from the recommender that this bundle was made for?",
        )
    finite = np.isfinite(embedding)
    if not finite.all():
        where = int(np.flatnonzero(~finite)[0])
        raise InvalidRequest(
            f"embedding.values[{where}]",
            field=f"embedding.values[{where}]",
            found=embedding[where],
            expected="a finite number",
        )
    norm = float(np.linalg.norm(embedding.astype(np.float64)))
    if norm == 0 or norm > 1e18:
        found = "zeros only" if norm == 0 else f"a norm of {norm:.2g}"
        raise InvalidRequest(
            "embedding cannot be ranked by", field="embedding.values", found=found, expected="a vector"
        )


def _check_rule(rule: Rule, path: str, catalogue: Catalogue) -> None:
    try:
        steerable = catalogue.find(rule.concept)
    except UnknownConcept as error:
        error.field = f"{path}.concept"
        raise
    if rule.action is Action.FILTER:
        if rule.membership in {Membership.LABEL, Membership.EITHER} and steerable.labels is None:
            raise InvalidRequest(
                f"{path}.membership", field=f"{path}.membership", found=rule.membership.value,
                expected="readout", hint=f"{rule.concept} is a latent: nothing labels its items.",
            )  # fmt: skip
        return
    if math.isnan(rule.strength) or not 0 <= rule.strength <= 1:
        raise InvalidRequest(
            f"{path}.strength", field=f"{path}.strength", found=rule.strength, expected="0 (off) to 1 (full)",
            hint="The action says the direction: use DEMOTE or PROMOTE, not a sign.",
        )  # fmt: skip
    if rule.channel is Channel.QUERY and not steerable.effect > 0:
        raise InvalidRequest(
            f"{path}.channel", field=f"{path}.channel", found="query", expected="item",
            hint=f"Moving users along {rule.concept} does not raise its items in this bundle.",
        )  # fmt: skip


def _check_pairs(rules: tuple[Rule, ...]) -> None:
    """One request says one thing about a concept; policies may add theirs, under the published conflict rule."""
    first: dict[str, tuple[int, Rule]] = {}
    for place, rule in enumerate(rules):
        if rule.concept not in first:
            first[rule.concept] = (place, rule)
            continue
        earlier, other = first[rule.concept]
        kind = "duplicate" if other.action is rule.action else "contradictory"
        said = f"rules[{earlier}] says {other.action.value} {rule.concept}, rules[{place}] says {rule.action.value}"
        raise InvalidRequest(
            f"{kind} rules: {said}",
            field=f"rules[{place}]",
            hint="Say one thing about a concept in one request.",
        )  # fmt: skip
