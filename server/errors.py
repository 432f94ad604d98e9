"""Every refusal of the serving side.

    SteeringError (bundle.errors.TillerError)   carries ``field``: the request field or policy key it is about
    ├── InvalidRequest                          the request is malformed                      INVALID_ARGUMENT
    ├── UnknownConcept                          no such concept or latent in this bundle      NOT_FOUND
    ├── UnknownUser                             no such user in this bundle                   NOT_FOUND
    ├── UserStoreDown                           the user store does not answer                UNAVAILABLE
    ├── StoredVectorRefused                     what the user store has is no vector          DATA_LOSS
    ├── NotAllowed                              switched off by the server's settings         PERMISSION_DENIED
    ├── Unauthenticated                         no token, or none that the server knows       UNAUTHENTICATED
    ├── MissingScope                            the token is not for this method              PERMISSION_DENIED
    ├── Overloaded                              too many calls; with a time to try again      RESOURCE_EXHAUSTED
    ├── DeadlinePassed                          nobody waits for the answer any more          DEADLINE_EXCEEDED
    └── PolicyError                             a policy file is refused (file, line, key)    FAILED_PRECONDITION

The table to gRPC codes is in server.rpc.errors; a test proves it complete.
"""

from __future__ import annotations

from dataclasses import dataclass

from bundle.errors import TillerError

SHOWN_PROBLEMS = 100


class SteeringError(TillerError):
    """A request or a policy is refused.

    Args:
        what: what was wrong.
        field: path of the field, as in google.rpc.BadRequest (``rules[2].strength``).
        found: what was there.
        expected: what should have been there.
        hint: what to do next.
    """

    def __init__(
        self, what: str, *, field: str = "", found: object = None, expected: object = None, hint: str | None = None
    ) -> None:
        self.field = field
        super().__init__(what, found=found, expected=expected, hint=hint)


class InvalidRequest(SteeringError):
    """The request is malformed."""


class UnknownConcept(SteeringError):
    """The bundle has no such concept or latent; the hint names the nearest."""


class UnknownUser(SteeringError):
    """The bundle has no such user; the hint names the nearest."""


class UserStoreDown(SteeringError):
    """The store of user vectors does not answer, and nothing else knows the user."""


class StoredVectorRefused(SteeringError):
    """What the store of user vectors has for a user is no vector of this bundle, and nothing else knows the user."""


class NotAllowed(SteeringError):
    """The server's settings do not allow it."""


class Unauthenticated(SteeringError):
    """The call has no token, or none that the server knows; the message never has it."""


class MissingScope(SteeringError):
    """The token is known and is not for this method."""


class Overloaded(SteeringError):
    """The call is not taken. ``reason``: why, a word for a metric; ``retry_seconds``: when another try makes sense."""

    def __init__(self, reason: str, retry_seconds: float) -> None:
        self.reason = reason
        self.retry_seconds = retry_seconds
        super().__init__(
            "the server has more calls than it can answer", hint=f"Try again in {retry_seconds:.1g} s, not at once."
        )


class DeadlinePassed(SteeringError):
    """The caller's deadline passed, so the answer was not computed to its end."""

    def __init__(self) -> None:
        super().__init__("the deadline passed before the answer was there")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a policy file. ``line`` is 1-based, 0 for the whole file; ``field`` is a path or empty."""

    file: str
    line: int
    field: str
    what: str
    found: str | None = None
    expected: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        """``file:line: field: what: found X, expected Y. Hint.``"""
        place = f"{self.file}:{self.line}" if self.line else self.file
        head = ": ".join(part for part in (place, self.field, self.what) if part)
        return TillerError(head, found=self.found, expected=self.expected, hint=self.hint).sentence()


class PolicyError(SteeringError):
    """A policy folder is refused.

    Args:
        what: the folder, or the whole sentence where there are no single problems.
        problems: every fault of every file, in the order of the files; the message shows the first 100.
        outcome: what came of it.
        found: what was there.
        expected: what should have been there.
        hint: what to do next.
    """

    def __init__(
        self,
        what: str,
        *,
        problems: tuple[Problem, ...] = (),
        outcome: str = "no policy was loaded",
        found: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        self.problems = problems
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            lines = [f"{what}: {count}, {outcome}.", *map(str, problems[:SHOWN_PROBLEMS])]
            if len(problems) > SHOWN_PROBLEMS:
                lines.append(f"... and {len(problems) - SHOWN_PROBLEMS} more.")
            what = "\n  ".join(lines)
        super().__init__(what, field=problems[0].field if problems else "", found=found, expected=expected, hint=hint)
