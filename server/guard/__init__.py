"""Who gets in, and how many at once: admission, tokens, certificates, and what a server refuses to start with."""

from server.guard.admission import Admission
from server.guard.guard import Guard, GuardRefused
from server.guard.tokens import Tokens, TokensRefused

__all__ = ["Admission", "Guard", "GuardRefused", "Tokens", "TokensRefused"]
