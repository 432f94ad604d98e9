"""The settings of a file: one YAML mapping, a flag's name without its dashes for a key.

bundle: bundles/demo
policies: examples/policies
max-k: 200
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What a file says: ``values`` by the setting's name, where each stands, and what is wrong with the file itself."""

    values: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def read_config(path: Path, known: Collection[str], nearest: Callable[[str], str]) -> ConfigFile:
    """Read a file; never raises, so that its faults stand beside those of flags and environment.

    Args:
        path: the file.
        known: names of settings, with underscores.
        nearest: a hint for a name that is none.
    """
    try:
        # Keeps line numbers; like the safe loader it makes nothing but plain values.
        document = YAML(typ="rt", pure=True).load(path.read_text())
    except OSError as error:
        return ConfigFile(faults=(f"--config {path}: cannot be read: {error.strerror}",))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        return ConfigFile(faults=(f"{path}:{line}: no YAML: {error.problem}",))
    except (YAMLError, ValueError) as error:
        return ConfigFile(faults=(f"{path}: no YAML: {error}",))
    if document is None:
        return ConfigFile()
    if not isinstance(document, CommentedMap):
        return ConfigFile(faults=(f"{path}: found {type(document).__name__}, expected: settings, KEY: VALUE",))
    values, places, faults = {}, {}, []
    for key, value in document.items():
        place = f"{path}:{document.lc.key(key)[0] + 1}: {key}"
        name = str(key).replace("-", "_")
        if name not in known:
            faults.append(f"{place}: no such setting{nearest(str(key).replace('_', '-'))}")
        elif name in values:
            faults.append(f"{place}: given twice")
        else:
            values[name], places[name] = value, place
    return ConfigFile(values, places, tuple(faults))
