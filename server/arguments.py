"""Command line and environment -> Settings, or one refusal that lists every fault at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import CliSettingsSource, CliUnknownArgs, SettingsConfigDict, SettingsError
from rapidfuzz import process

from bundle.errors import TillerError
from server.settings import Settings

PROGRAM = "python -m server"
PREFIX = "TILLER_"

ELSEWHERE = frozenset({"TILLER_CACHE", "TILLER_DATA"})
"""Variables of other Tiller programs, which may be set where a server starts."""

HELP = """Serve a bundle over gRPC, with metrics for Prometheus on a port of their own.

Every flag is also an environment variable: --max-k is TILLER_MAX_K; the flag wins. Exit codes: 0 stopped by SIGTERM or
Ctrl-C after the calls in flight were finished, 2 could not start (the reason is on stderr).
For example: python -m server --bundle bundles/demo --policies examples/policies --port 50051
"""


class SettingsRefused(TillerError):
    """The command line or the environment is refused; the message lists every fault."""


def _no_strangers(value: list[str]) -> list[str]:
    flags = [f"--{name.replace('_', '-')}" for name in Settings.model_fields]
    strangers = [f"{item!r}{_nearest(item.partition('=')[0], flags)}" for item in value if item.startswith("-")]
    if value:
        what = ", ".join(strangers or map(repr, value))
        raise PydanticCustomError("unknown", "{what}", {"what": f"no such argument: {what}"})
    return value


class _CommandLine(Settings):
    __doc__ = HELP
    model_config = SettingsConfigDict(cli_prog_name=PROGRAM, cli_exit_on_error=False, cli_ignore_unknown_args=True)

    strangers: Annotated[CliUnknownArgs, BeforeValidator(_no_strangers)] = []  # noqa: RUF012 - pydantic copies it


def read_settings(argv: Sequence[str]) -> Settings:
    """The settings of ``argv`` (without the program's name) and of the environment; ``--help`` exits 0.

    A misspelt TILLER_ variable is refused: one that is ignored is a policy folder not loaded. An empty one is not set.

    Raises:
        SettingsRefused: naming every flag and variable that is wrong, what was found and what was expected.
    """
    faults = [f"{name}: no such setting{_nearest(name, _variables())}" for name in _unknown()]
    given: dict[str, Any] = {}
    try:
        source: Any = CliSettingsSource(_CommandLine, cli_parse_args=list(argv))
        given = _CommandLine(_cli_settings_source=source).model_dump(exclude={"strangers"}, exclude_unset=True)
    except ValidationError as error:
        faults += [_fault(detail) for detail in error.errors(include_url=False)]
    except SettingsError as error:
        faults.append(str(error).removeprefix("error parsing CLI: "))
    if faults:
        count = "1 setting is" if len(faults) == 1 else f"{len(faults)} settings are"
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise SettingsRefused(f"{count} wrong:{lines}\n{PROGRAM} --help lists them all.")
    return Settings(**given)


def _unknown() -> list[str]:
    known = ELSEWHERE.union(_variables())
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def _variables() -> list[str]:
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _nearest(given: str, known: list[str]) -> str:
    found = process.extractOne(given, known, score_cutoff=70)
    return f" (did you mean {found[0]}?)" if found else ""


def _fault(detail: ErrorDetails) -> str:
    if detail["loc"] == ("strangers",):
        return detail["msg"]
    name = str(detail["loc"][0])
    place = f"--{name.replace('_', '-')} ({PREFIX}{name.upper()})"
    if detail["type"] == "missing":
        return f"{place}: not given, expected: {Settings.model_fields[name].description}"
    text = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    found = repr(detail["input"])
    fault = f"{place}: found {found}, expected: {text}"
    if "tcp://" in found:
        fault += ". Kubernetes sets it for a Service named tiller: set enableServiceLinks: false."
    return fault
