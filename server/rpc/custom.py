"""The part of steering.v1.AdminService about concepts of one's own: list, save, delete.

A concept is judged against the bundle that is served, written into the policy folder, and read back from there like any
other change of the folder: what a restart would find is what is in force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from protos.steering.v1 import admin_pb2 as pb
from protos.steering.v1 import concepts_pb2
from server import customs
from server.catalogue import Catalogue
from server.errors import InvalidRequest, NotAllowed, UnknownConcept
from server.policy import CUSTOM_EXPECTED, CustomEntry, is_custom_id
from server.reload import Served
from server.rpc.concepts import custom_message, describe
from server.rpc.convert import to_given
from server.subject import Custom, Mixture, custom_fault


class CustomConcepts:
    """Speaks for ``served``; ``run`` does slow work beside the event loop."""

    def __init__(self, served: Served, run: Callable[..., Awaitable[Any]]) -> None:
        self._served = served
        self._run = run
        self._one_change = asyncio.Lock()

    def list(self) -> pb.ListCustomConceptsResponse:
        """Those in force, by id."""
        engine = self._served.current()
        concepts = [custom_message(custom) for _, custom in sorted(engine.catalogue.customs.items())]
        return pb.ListCustomConceptsResponse(concepts=concepts, policy_revision=engine.policy_revision)

    async def save(self, message: concepts_pb2.CustomConcept) -> pb.SaveConceptResponse:
        """Judge, write, bring into force."""
        async with self._one_change:
            folder, before = self._folder(), self._served.current().catalogue
            custom = await self._run(_judged, message, before)
            await self._run(customs.save, folder, custom)
            await self._bring_into_force()
            engine = self._served.current()
            concept = await self._run(describe, engine.catalogue, custom.id)
            replaced = custom.id in before.customs
            return pb.SaveConceptResponse(concept=concept, replaced=replaced, policy_revision=engine.policy_revision)

    async def delete(self, concept_id: str) -> pb.DeleteConceptResponse:
        """Take it out of the folder, unless a policy names it."""
        async with self._one_change:
            await self._run(customs.delete, self._folder(), concept_id)
            await self._bring_into_force()
            return pb.DeleteConceptResponse(policy_revision=self._served.current().policy_revision)

    def _folder(self) -> Path:
        folder = self._served.status.folder
        if folder is None:
            hint = "Start it with --policies DIR."
            raise NotAllowed("this server has no policy folder to keep concepts in", hint=hint)
        return Path(folder)

    async def _bring_into_force(self) -> None:
        result = await self._served.reload("admin")
        if result.error is not None:
            raise result.error


def _judged(message: concepts_pb2.CustomConcept, catalogue: Catalogue) -> Custom:
    """The concept, if the bundle can make it of what is said.

    Raises:
        InvalidRequest, UnknownConcept: naming the field.
    """
    _check_words(message)
    given = to_given(message)
    fault = custom_fault(given)
    if fault is not None:
        field = f"concept.{fault.field}"
        raise InvalidRequest(
            f"{field}: {fault.what}", field=field, found=fault.found, expected=fault.expected, hint=fault.hint
        )
    alone = catalogue.with_customs(())
    if alone.concept_of(message.id) is not None:
        raise InvalidRequest(
            "id", field="concept.id", found=repr(message.id), expected="an id that the bundle has not",
            hint="A concept that was put into the bundle is changed there: tiller bundle label.",
        )  # fmt: skip
    lost = [item for item in (*given.like, *given.unlike, *given.items) if item not in alone.item_rows]
    field = f"concept.{given.ways[0]}"
    if lost:
        raise InvalidRequest(
            f"{field}: unknown items", field=field, found=f"{len(lost)}, {lost[0][:100]!r} for one",
            expected=f"ids of the {len(alone.item_rows)} items",
        )  # fmt: skip
    name, subject = given.named()
    subject = Mixture(((name, 1.0),)) if subject is None else subject
    try:
        alone.subjects.find(subject)
    except UnknownConcept as error:
        error.field = field
        raise
    return Custom(message.id, message.display_name or message.id.partition(":")[2], subject, message.description)


def _check_words(message: concepts_pb2.CustomConcept) -> None:
    if not is_custom_id(message.id):
        raise InvalidRequest(
            "id", field="concept.id", found=repr(message.id[:100]),
            expected=CUSTOM_EXPECTED,
        )  # fmt: skip
    for name, most in CustomEntry.lengths().items():
        found = len(getattr(message, name))
        if found > most:
            raise InvalidRequest(name, field=f"concept.{name}", found=f"{found} characters", expected=f"at most {most}")
