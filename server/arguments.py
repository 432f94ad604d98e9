"""Command line, environment and file -> Settings, or one refusal that lists every fault at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    CliUnknownArgs,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from rapidfuzz import process

from bundle.errors import TillerError
from server.config_file import ConfigFile, read_config
from server.guard.checks import contradictions
from server.settings import Settings

PROGRAM = "python -m server"
PREFIX = "TILLER_"

ELSEWHERE = frozenset(
    {"TILLER_CACHE", "TILLER_DATA", "TILLER_TOKEN", "TILLER_TOKEN_FILE", "TILLER_CA", "TILLER_CLIENT_CERT"}
    | {"TILLER_CLIENT_KEY", "TILLER_SERVER_NAME"}
)
"""Variables of other Tiller programs, which may be set where a server starts."""

HELP = """Serve a bundle over gRPC, with metrics for Prometheus on a port of their own.

Every flag is also an environment variable (--max-k is TILLER_MAX_K) and a line of the file that --config names
(max-k: 200). A flag wins over a variable, a variable over the file. --check says whether all of it would do, and starts
nothing. Exit codes: 0 stopped by SIGTERM or Ctrl-C after the calls in flight were finished, or checked and found good;
2 could not start (the reason is on stderr).
For example: python -m server --bundle bundles/demo --policies examples/policies --port 50051
"""


IN_FILE = frozenset(Settings.model_fields) - {"config", "check"}
"""Settings that a file may have."""

_KEYS = sorted(name.replace("_", "-") for name in IN_FILE)


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
    """The settings of ``argv`` (without the program's name), of the environment and of a file; ``--help`` exits 0.

    A flag wins over a variable, a variable over the file. A misspelt name is refused in all three: one that is ignored
    is a policy folder not loaded. An empty variable is not set.

    Raises:
        SettingsRefused: naming every flag, variable and line that is wrong, what was found and what was expected.
    """
    faults = [f"{name}: no such setting{_nearest(name, _variables())}" for name in _unknown()]
    path = _config(argv)
    file = ConfigFile() if path is None else read_config(path, IN_FILE, lambda key: _nearest(key, _KEYS))
    faults += file.faults
    settings = None
    try:
        source: Any = CliSettingsSource(_CommandLine, cli_parse_args=list(argv))
        given = _with_file(file)(_cli_settings_source=source).model_dump(exclude={"strangers"}, exclude_unset=True)
        settings = Settings(**given)
    except ValidationError as error:
        faults += [_fault(detail, argv, file) for detail in error.errors(include_url=False)]
    except SettingsError as error:
        faults.append(str(error).removeprefix("error parsing CLI: "))
    if settings is not None:
        faults += contradictions(settings)
    if faults or settings is None:
        count = "1 setting is" if len(faults) == 1 else f"{len(faults)} settings are"
        lines = "".join(f"\n  {fault}" for fault in faults)
        raise SettingsRefused(f"{count} wrong:{lines}\n{PROGRAM} --help lists them all.")
    return settings


def _config(argv: Sequence[str]) -> Path | None:
    """The file's path, which must be known before the flags can be read."""
    found = os.environ.get(PREFIX + "CONFIG", "")
    for place, argument in enumerate(argv):
        if argument.startswith("--config="):
            found = argument.partition("=")[2]
        elif argument == "--config" and place + 1 < len(argv):
            found = argv[place + 1]
    return Path(found) if found else None


def _with_file(file: ConfigFile) -> type[_CommandLine]:
    """The command line's settings, with the file's values where neither flag nor variable says anything."""

    class WithFile(_CommandLine):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *args: Any, **kwargs: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources = super().settings_customise_sources(settings_cls, *args, **kwargs)
            return (*sources, InitSettingsSource(settings_cls, init_kwargs=dict(file.values)))

    return WithFile


def _unknown() -> list[str]:
    known = ELSEWHERE.union(_variables())
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def _variables() -> list[str]:
    return [PREFIX + name.upper() for name in Settings.model_fields]


def _nearest(given: str, known: list[str]) -> str:
    found = process.extractOne(given, known, score_cutoff=70)
    return f" (did you mean {found[0]}?)" if found else ""


def _fault(detail: ErrorDetails, argv: Sequence[str], file: ConfigFile) -> str:
    if detail["loc"] == ("strangers",):
        return detail["msg"]
    name = str(detail["loc"][0])
    flag = f"--{name.replace('_', '-')}"
    place = f"{flag} ({PREFIX}{name.upper()})"
    typed = any(argument.partition("=")[0] in {flag, f"--no-{flag[2:]}"} for argument in argv)
    if name in file.places and not typed and not os.environ.get(PREFIX + name.upper()):
        place = file.places[name]
    if detail["type"] == "missing":
        return f"{place}: not given, expected: {Settings.model_fields[name].description}"
    text = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    found = repr(detail["input"])
    fault = f"{place}: found {found}, expected: {text}"
    if "tcp://" in found:
        fault += ". Kubernetes sets it for a Service named tiller: set enableServiceLinks: false."
    return fault
