"""Every refusal of the serving side.

    SteeringError (bundle.errors.TillerError)   carries ``field``: the request field or policy key it is about
    ├── InvalidRequest                          the request is malformed                      INVALID_ARGUMENT
    ├── UnknownConcept                          no such concept or latent in this bundle      NOT_FOUND
    ├── UnknownUser                             no such user in this bundle                   NOT_FOUND
    ├── NotAllowed                              switched off by the server's settings         PERMISSION_DENIED
    └── PolicyError                             a policy file is refused (file, line, key)    FAILED_PRECONDITION

The table to gRPC codes is in server.rpc.errors; a test proves it complete.
"""

from __future__ import annotations

from bundle.errors import TillerError


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


class NotAllowed(SteeringError):
    """The server's settings do not allow it."""


class PolicyError(SteeringError):
    """A policy file is refused; ``what`` starts with file and line."""
