"""Bearer tokens with scopes, from a file that holds their hashes and is read again when it changes.

    tokens:
      - name: home-page          # for logs; the token itself is never written down
        sha256: 5f70bf18a0...    # of the token: tiller token new
        scopes: [recommend]
        expires: 2027-01-01T00:00:00Z

A token is 256 random bits, so one SHA-256 is enough: there is nothing to guess that a slow hash would slow down. Hashes
are compared in constant time, each with each, so that the time tells neither which one nor how much of it was right.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bundle.errors import TillerError
from server.guard.files import stamp

Scope = Literal["recommend", "preview", "admin"]

PREFIX = "tiller_"
"""Of every token, so that scanners of repositories and logs can find a leaked one."""

LOOK_SECONDS = 1.0
"""Between two looks at the file."""

HINT = "Make a token with: tiller token new --scope recommend"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Token(_Strict):
    """One line of the file."""

    name: Annotated[str, Field(min_length=1, max_length=100, description="for logs and refusals")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the token, in hexadecimal")]
    scopes: Annotated[frozenset[Scope], Field(min_length=1, description="what it is for")]
    expires: AwareDatetime | None = Field(default=None, description="not valid from then on; left out: valid for ever")


class _Document(_Strict):
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]


class TokensRefused(TillerError):
    """The file of tokens is refused; the message lists every fault, and never a token."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the token's name and what it is for."""

    name: str
    scopes: frozenset[Scope]
    expired: bool


def new_token() -> tuple[str, str]:
    """A token and its hash."""
    token = PREFIX + secrets.token_urlsafe(32)
    return token, digest(token)


def digest(token: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The file's tokens.

    Raises:
        TokensRefused: it cannot be read, or is not what it should be.
    """
    try:
        document = YAML(typ="safe", pure=True).load(path.read_text())
    except OSError as error:
        raise TokensRefused(f"cannot read the tokens {path}", found=error.strerror, hint=HINT) from error
    except (YAMLError, ValueError) as error:
        # Without what YAML says: it quotes the line, where somebody may have put the token itself.
        raise TokensRefused(f"{path} is no YAML document", expected="tokens: with a list", hint=HINT) from error
    try:
        tokens = _Document.model_validate(document).tokens
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc'])) or 'document'}: {one['msg']}" for one in error.errors()]
        raise TokensRefused(f"{path}: {'; '.join(faults)}", hint=HINT) from error
    for field in ("name", "sha256"):
        given = [getattr(token, field) for token in tokens]
        if twice := sorted({value for value in given if given.count(value) > 1}):
            raise TokensRefused(f"{path}: {field}", found=f"{twice[0][:12]} twice", expected="each once")
    return tokens


class Tokens:
    """The tokens in force: those of the file as it was last read without a fault.

    Raises:
        TokensRefused: the file is refused now; later a refused file leaves the earlier tokens in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = stamp(path)
        self._tokens = read_tokens(path)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tokens in force."""
        return tuple(token.name for token in self._tokens)

    def look(self) -> bool:
        """Read the file again if it changed; whether it did.

        Raises:
            TokensRefused: what lies there now; told once, and the earlier tokens stay in force.
        """
        if (found := stamp(self._path)) == self._stamp:
            return False
        self._stamp = found
        self._tokens = read_tokens(self._path)
        return True

    def caller(self, token: str, now: float | None = None) -> Caller | None:
        """Whose token it is; None: nobody's."""
        given = digest(token)
        found: Token | None = None
        for known in self._tokens:  # all of them, found or not
            if hmac.compare_digest(given, known.sha256):
                found = known
        if found is None:
            return None
        return Caller(found.name, found.scopes, _over(found.expires, time.time() if now is None else now))


def _over(expires: datetime | None, now: float) -> bool:
    return expires is not None and now >= expires.timestamp()
