"""The JSON Schemas of policy files and of case files, for editors.

What depends on two keys at once (a ``strength`` on a filter, a name given twice) is the check's to say; the schema says
what each key takes, and marks every key that does not exist.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from bundle import CONCEPT_ID
from server.policy.cases import CaseFile
from server.policy.conditions import ATTRIBUTE, RESERVED
from server.policy.naming import CUSTOM_ID
from server.policy.schema import PolicyFile
from server.subject import CUSTOM_FAMILY

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def policy_schema() -> dict[str, Any]:
    """Of a policy file."""
    schema = _schema(PolicyFile, "Tiller policies")
    parts = schema["$defs"]
    _only_for(parts["RuleEntry"])
    _only_for_custom(parts["CustomEntry"])
    _named_keys(schema["properties"]["concepts"], f"^{CUSTOM_ID}$")
    parts["PolicyEntry"]["properties"]["rules"]["minItems"] = 1
    schema["anyOf"] = [{"required": ["policies"]}, {"required": ["concepts"]}]
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
    """What a rule is about is said in one way, and which keys go with it.

    A filter takes no strength, share and channel; a soft rule neither membership nor fallback; items have no direction.
    """
    filters = {"properties": {"action": {"const": "filter"}}, "required": ["action"]}
    rule["if"] = filters
    rule["then"] = {"properties": {"strength": False, "share": False, "channel": False}}
    rule["else"] = {"properties": {"membership": False, "fallback": False}}
    rule["oneOf"] = [*_ways("concept", "concepts", "items"), {"anyOf": _ways("like", "unlike")}]
    rule["dependentRequired"] = {"toward": ["items"]}
    rule["allOf"] = [
        {"if": {"required": ["items"]}, "then": {"properties": {"channel": {"const": "item"}}}},
        {
            "if": {"required": ["toward"]},
            "then": {"properties": {"action": {"const": "promote"}, "share": False}},
        },
        {"if": {**filters, "required": ["action", "unlike"]}, "then": {"required": ["like"]}},
    ]
    _named_keys(rule["properties"]["concepts"], CONCEPT_ID.pattern)


def _only_for_custom(entry: dict[str, Any]) -> None:
    entry["oneOf"] = _ways("concepts", "like", "items")
    entry["dependentRequired"] = {"unlike": ["like"]}
    _named_keys(entry["properties"]["concepts"], rf"^(?!{CUSTOM_FAMILY}:)" + CONCEPT_ID.pattern.removeprefix("^"))


def _ways(*keys: str) -> list[dict[str, Any]]:
    return [{"required": [key]} for key in keys]


def _named_keys(mapping: dict[str, Any], pattern: str) -> None:
    """The keys of a mapping, or of the one that may be left out, are of a pattern."""
    next(form for form in mapping["anyOf"] if form["type"] == "object")["propertyNames"] = {"pattern": pattern}
