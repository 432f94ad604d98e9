"""The JSON Schemas of policy files and of case files, for editors.

What depends on two keys at once (a ``strength`` on a filter, a name given twice) is the check's to say; the schema says
what each key takes, and marks every key that does not exist.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from server.policy.cases import CaseFile
from server.policy.conditions import ATTRIBUTE, RESERVED
from server.policy.schema import PolicyFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """Of a policy file."""
    schema = _schema(PolicyFile, "Tiller policies")
    parts = schema["$defs"]
    _only_for(parts["RuleEntry"])
    parts["PolicyEntry"]["properties"]["rules"]["minItems"] = 1
    parts["When"] |= {
        "minProperties": 1, "propertyNames": {"pattern": ATTRIBUTE, "not": {"enum": sorted(RESERVED)}}
    }  # fmt: skip
    return schema


def case_schema() -> dict[str, Any]:
    """Of a file of cases."""
    schema = _schema(CaseFile, "Cases of Tiller policies")
    _only_for(schema["$defs"]["RuleEntry"])
    return schema


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, **model.model_json_schema(by_alias=True), "title": title}


def _only_for(rule: dict[str, Any]) -> None:
    """A filter takes no strength, share and channel; a soft rule neither membership nor fallback."""
    filters = {"properties": {"action": {"const": "filter"}}, "required": ["action"]}
    rule["if"] = filters
    rule["then"] = {"properties": {"strength": False, "share": False, "channel": False}}
    rule["else"] = {"properties": {"membership": False, "fallback": False}}
