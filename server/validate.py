"""Refuses a request that cannot be meant, with the field, what was found and what to do. One sentence each, tested."""

from __future__ import annotations

import math

import numpy as np

from server.catalogue import Catalogue
from server.errors import InvalidRequest, NotAllowed, UnknownConcept
from server.settings import Limits
from server.subject import Fault, parts_of
from server.types import Action, Channel, FloatArray, Membership, Query, Rule

MAX_SUBJECTS = 8
"""Rules of a request that name something else than one concept: each is made anew, from every item's code."""

SHOWN_IDS, SHOWN_CHARACTERS = 3, 40
"""Of a history's unknown ids, in a refusal."""


def validate(query: Query, catalogue: Catalogue, limits: Limits) -> None:
    """Raise a SteeringError unless the request can be answered by this bundle; its rules are ``validate_rules``' part.

    Raises:
        InvalidRequest, UnknownConcept, NotAllowed: naming the field.
    """
    if not 1 <= query.k <= limits.max_k:
        raise InvalidRequest("k", field="k", found=query.k, expected=f"1 to {limits.max_k}")
    _check_user(query, catalogue, limits)
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
    if len(query.attributes) > limits.max_attributes:
        raise InvalidRequest(
            "too many attributes", field="attributes", found=len(query.attributes),
            expected=f"at most {limits.max_attributes}",
        )  # fmt: skip
    if not query.use_policies and not limits.allow_ignore_policies:
        raise NotAllowed("this server does not let requests switch the policies off", field="ignore_policies")


def validate_rules(rules: tuple[Rule, ...], catalogue: Catalogue) -> None:
    """Raise a SteeringError unless a request can ask for these rules together; of nothing else does it depend.

    Raises:
        InvalidRequest, UnknownConcept: naming the field.
    """
    composed = sum(rule.subject is not None for rule in rules)
    if composed > MAX_SUBJECTS:
        raise InvalidRequest(
            "too many rules on sets, examples and items", field="rules", found=composed,
            expected=f"at most {MAX_SUBJECTS}", hint="Save them as concepts: tiller concepts save.",
        )  # fmt: skip
    for place, rule in enumerate(rules):
        _check_rule(rule, f"rules[{place}]", catalogue)
    _check_pairs(rules)


def _check_user(query: Query, catalogue: Catalogue, limits: Limits) -> None:
    given = {"user_id": query.user_id, "embedding": query.embedding, "history": query.history}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise InvalidRequest(
            "who is asking", field="user", found=" and ".join(named) or "nobody",
            expected="one of user_id, embedding, history",
        )  # fmt: skip
    if query.exclude_history and query.history is None:
        raise InvalidRequest(
            "exclude_history", field="exclude_history", found=f"with {named[0]}", expected="only with a history",
            hint="Name the items in exclude_item_ids.",
        )  # fmt: skip
    if query.history is not None:
        _check_history(query.history, catalogue, limits)
    elif query.embedding is not None:
        _check_embedding(query.embedding, catalogue.bundle.manifest.dims.embedding)
    elif not query.user_id:
        raise InvalidRequest("user_id is empty", field="user_id", hint="Name a user, or send an embedding.")


def _check_history(item_ids: tuple[str, ...], catalogue: Catalogue, limits: Limits) -> None:
    manifest = catalogue.bundle.manifest
    instead = "Send a user_id or the embedding." if manifest.dims.users else "Send the embedding."
    if not manifest.history_length:
        raise InvalidRequest("this bundle has no user tower to read a history", field="history", hint=instead)
    if not item_ids:
        raise InvalidRequest(
            "the history is empty", field="history.item_ids", expected="at least one item id, the newest last",
            hint=f"For somebody without a history: {instead[0].lower()}{instead[1:]}",
        )  # fmt: skip
    if len(item_ids) > limits.max_history:
        raise InvalidRequest(
            "the history is too long", field="history.item_ids", found=len(item_ids),
            expected=f"at most {limits.max_history}",
            hint=f"The user tower reads {manifest.history_length}: send the newest.",
        )  # fmt: skip
    if not any(item_id in catalogue.item_rows for item_id in item_ids):
        raise InvalidRequest(
            "nothing in the history is in the catalogue", field="history.item_ids",
            found=", ".join(repr(item_id[:SHOWN_CHARACTERS]) for item_id in item_ids[:SHOWN_IDS])
            + (" ..." if len(item_ids) > SHOWN_IDS else ""),
            expected=f"ids of the {len(catalogue.item_rows)} items", hint=instead,
        )  # fmt: skip


def _check_embedding(embedding: FloatArray, dim: int) -> None:
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
        steerable = catalogue.of(rule)
    except UnknownConcept as error:
        error.field = f"{path}.{'concept' if rule.subject is None else parts_of(rule.subject).ways[0]}"
        raise
    if rule.subject is not None:
        query = rule.channel is Channel.QUERY
        fault = parts_of(rule.subject).misfit(rule.action.value, query=query, share=rule.share is not None)
        if fault is not None:
            raise refused(fault, path)
    if rule.action is Action.FILTER:
        if rule.membership in {Membership.LABEL, Membership.EITHER} and steerable.labels is None:
            raise InvalidRequest(
                f"{path}.membership", field=f"{path}.membership", found=rule.membership.value,
                expected="readout", hint=_unlabelled(rule),
            )  # fmt: skip
        return
    if math.isnan(rule.strength) or not 0 <= rule.strength <= 1:
        raise InvalidRequest(
            f"{path}.strength", field=f"{path}.strength", found=rule.strength, expected="0 (off) to 1 (full)",
            hint="The action says the direction: use DEMOTE or PROMOTE, not a sign.",
        )  # fmt: skip
    if rule.share is not None and (math.isnan(rule.share) or not 0 <= rule.share <= 1):
        raise InvalidRequest(
            f"{path}.share", field=f"{path}.share", found=rule.share, expected="a part of the list, 0 to 1"
        )
    if rule.share is not None and rule.channel is Channel.QUERY:
        raise InvalidRequest(
            f"{path}.channel", field=f"{path}.channel", found="query", expected="item with a share",
            hint="A share of one list is met on the item channel, where what a dose does is known exactly.",
        )  # fmt: skip
    if rule.channel is Channel.QUERY and not steerable.effect > 0:
        raise InvalidRequest(
            f"{path}.channel", field=f"{path}.channel", found="query", expected="item",
            hint=f"Moving users along {rule.concept} does not raise its items in this bundle.",
        )  # fmt: skip


def refused(fault: Fault, path: str) -> InvalidRequest:
    """What a rule at ``path`` is refused with for what it says about its subject."""
    field = f"{path}.{fault.field}"
    return InvalidRequest(
        f"{field}: {fault.what}", field=field, found=fault.found, expected=fault.expected, hint=fault.hint
    )


def _unlabelled(rule: Rule) -> str:
    if rule.subject is not None:
        return f"Nothing labels the items of {rule.concept}."
    return f"{rule.concept} is a latent: nothing labels its items."


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
