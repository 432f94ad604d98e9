"""What a policy file may say: frozen models that refuse every key they do not know.

The wire and the file mean the same (protos/steering/v1/rules.proto): the same actions, channels, memberships and
default strength. Only the file's form lives here; what a policy is at request time is server.policy.policies.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from server.policy.conditions import CONDITIONS, MAX_TEXT, Frozen, Text, When, refusal
from server.policy.naming import (
    MAX_CUSTOM,
    MAX_DESCRIPTION,
    NAMES,
    ConceptName,
    CustomEntry,
    Ids,
    Weights,
    custom_key,
    refuse,
    some,
)
from server.subject import Given
from server.types import DEFAULT_STRENGTH

MAX_PRIORITY = 1000
MAX_RULES = 100
MAX_POLICIES = 1000
POLICY_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"

# What a refusal says it expected, by field; "*" is an item of a list or the value of an attribute.
EXPECTED = {
    "policies": f"a list of at most {MAX_POLICIES} policies",
    "name": "lower-case letters, digits, '-' and '_', at most 64, such as kids-no-horror",
    "owner": f"text of 1 to {MAX_TEXT} characters: a team or a person",
    "description": f"text of at most {MAX_DESCRIPTION} characters",
    "enabled": "true or false",
    "mode": "enforce or shadow",
    "mandatory": "true or false",
    "priority": f"a whole number from -{MAX_PRIORITY} to {MAX_PRIORITY}",
    "when": "a mapping of request attributes, such as surface: kids",
    "rules": f"a list of 1 to {MAX_RULES} rules",
    "action": "filter, demote or promote",
    "strength": "a number above 0 and at most 1",
    "share": "max (for demote) or min (for promote), a part of the list from 0 to 1",
    "max": "a number from 0 to 1",
    "min": "a number from 0 to 1",
    "channel": "item or query",
    "membership": "label, activation or either",
    "fallback": "short or fill",
    "*": f"text of 1 to {MAX_TEXT} characters",
    **CONDITIONS,
    **NAMES,
}


Part = Annotated[float, Field(strict=True, ge=0, le=1)]


class ShareEntry(Frozen):
    """A share of each list, met by the smallest dose that brings it there; one bound."""

    max: Annotated[float, Field(strict=True, ge=0, le=1)] | None = Field(
        default=None, description="for demote: at most"
    )
    min: Annotated[float, Field(strict=True, ge=0, le=1)] | None = Field(
        default=None, description="for promote: at least"
    )


class RuleEntry(Frozen):
    """One rule of a policy: an action on a concept, concepts, like, unlike or items."""

    action: Literal["filter", "demote", "promote"] = Field(description="what happens to the items of the concept")
    concepts: Weights | None = Field(default=None, description="a weighted set of concepts, one rule, one dose")
    like: Ids | None = Field(default=None, description="item ids as examples: what is like these")
    unlike: Ids | None = Field(default=None, description="and not like these; alone: promoting it demotes like")
    items: Ids | None = Field(default=None, description="these very items")
    toward: ConceptName | None = Field(
        default=None, description="only for promote, with items: move them toward the audience of this concept"
    )
    # Below the other ways of naming something, so that it can be seen whether one of them is used.
    concept: ConceptName | None = Field(
        default=None, validate_default=True, description="a concept of the bundle or of the folder, or a latent"
    )
    strength: Annotated[float, Field(strict=True, gt=0, le=1)] = Field(
        default=DEFAULT_STRENGTH, description="only for demote and promote; the unit is the user's own concept gap"
    )
    share: ShareEntry | None = Field(
        default=None, description="only for demote (max) and promote (min), in place of a strength, on the item channel"
    )
    channel: Literal["item", "query"] = Field(
        default="item", description="only for demote and promote: act on items' scores, or on the user's code"
    )
    membership: Literal["label", "activation", "readout", "either"] | None = Field(
        default=None, description="only for filter: who is a member; left out, label (activation for a latent)"
    )
    fallback: Literal["short", "fill"] = Field(
        default="short", description="only for filter: when fewer than k items pass, a short list or filled places"
    )

    @property
    def given(self) -> Given:
        """What it is about."""
        return Given(
            self.concept or "", self.concepts or {}, self.like or (), self.unlike or (), self.items or (),
            self.toward or "",
        )  # fmt: skip

    @field_validator("concepts", "like", "unlike", "items", "toward", mode="before")
    @classmethod
    def _not_nothing(cls, value: object, info: ValidationInfo) -> object:
        if value is None:
            raise refusal("nothing", expected=EXPECTED[str(info.field_name)])
        return value

    @field_validator("concept", mode="before")
    @classmethod
    def _something(cls, concept: object, info: ValidationInfo) -> object:
        if concept is None and all(info.data.get(name, 0) is None for name in ("concepts", "like", "unlike", "items")):
            raise PydanticCustomError("missing", "missing")
        return concept

    @model_validator(mode="after")
    def _about_one_thing(self) -> RuleEntry:
        given = self.given
        refuse(given.fault())
        refuse(given.misfit(self.action, query=self.channel == "query", share=self.share is not None))
        return self

    @field_validator("strength", "share", "channel", mode="before")
    @classmethod
    def _soft_only(cls, value: object, info: ValidationInfo) -> object:
        if info.data.get("action") == "filter":
            hint = "A filter lets no member through, whatever else is set. Remove the key, or demote."
            raise refusal("not taken by a filter", expected="no such key", hint=hint)
        return value

    @field_validator("membership", "fallback", mode="before")
    @classmethod
    def _filter_only(cls, value: object, info: ValidationInfo) -> object:
        action = info.data.get("action")
        if action in ("demote", "promote"):
            hint = "A soft rule acts in proportion to the read-out. Remove the key, or filter."
            if info.field_name == "fallback":
                hint = "A soft rule leaves every item in, so no list is short of it. Remove the key, or filter."
            raise refusal(f"not taken by a {action}", expected="no such key", hint=hint)
        if value is None:
            raise refusal("not a choice", expected=EXPECTED[str(info.field_name)])
        return value

    @model_validator(mode="after")
    def _one_dose(self) -> RuleEntry:
        if self.share is None:
            return self
        wanted, other = ("max", "min") if self.action == "demote" else ("min", "max")
        if getattr(self.share, wanted) is None or getattr(self.share, other) is not None:
            hint = "A demotion leaves at most (max), a promotion gives at least (min)."
            raise refusal(f"not the bound of a {self.action}", expected=f"{{{wanted}: ...}}", hint=hint, at=("share",))
        if "strength" in self.model_fields_set:
            hint = "A share is met by the dose that it takes. Keep one of the two."
            raise refusal("not taken beside a share", expected="no such key", hint=hint, at=("strength",))
        if self.channel == "query":
            raise refusal("not taken beside a share", expected="item", at=("channel",))
        return self


class PolicyEntry(Frozen):
    """One policy."""

    name: Annotated[str, Field(strict=True, pattern=POLICY_NAME)] = Field(
        description="unique over the folder; answers, metrics and logs call the policy's rules policy:NAME"
    )
    owner: Text = Field(description="who answers for it")
    description: Annotated[str, Field(strict=True, max_length=MAX_DESCRIPTION)] = Field(
        default="", description="what it is for"
    )
    enabled: Annotated[bool, Field(strict=True)] = Field(default=True, description="false: read and checked, not used")
    mode: Literal["enforce", "shadow"] = Field(
        default="enforce", description="shadow: its rules are reported with every answer and change nothing"
    )
    priority: Annotated[int, Field(strict=True, ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = Field(
        default=0, description="among soft rules on one concept the highest wins; a request's own rules have 0"
    )
    mandatory: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="true: holds also for requests that switch the policies off"
    )
    when: When | None = Field(
        default=None, description="request attributes, time windows and a rollout; all must hold; left out: always"
    )
    rules: Annotated[tuple[RuleEntry, ...], BeforeValidator(some), Field(max_length=MAX_RULES)] = Field(
        description="what the policy does; each concept once"
    )

    @field_validator("when", mode="before")
    @classmethod
    def _not_null(cls, when: object) -> object:
        if when is None or when == {}:
            raise refusal("no condition", expected=EXPECTED["when"], hint="Leave the key out to match every request.")
        if not isinstance(when, dict | When):
            raise refusal("wrong type", expected=EXPECTED["when"])
        return when

    @field_validator("rules")
    @classmethod
    def _concept_once(cls, rules: tuple[RuleEntry, ...]) -> tuple[RuleEntry, ...]:
        first: dict[str, int] = {}
        for index, rule in enumerate(rules):
            name = rule.given.named()[0]
            other = first.setdefault(name, index)
            if other == index:
                continue
            known = rules[other]
            if {known.action, rule.action} == {"demote", "promote"}:
                what, hint = "contradiction", "A policy cannot demote and promote one concept."
            elif known.action == rule.action == "filter":
                what, hint = "duplicate", "membership: either covers label and activation in one rule."
            elif "filter" in (known.action, rule.action):
                what, hint = "contradiction", "A filter leaves nothing of the concept to act on; keep one of the two."
            else:
                what, hint = "duplicate", f"Only the strongest {rule.action} of a concept acts; keep one of the two."
            expected = f"each concept in one rule; {name!r} is in rules[{other}] already"
            raise refusal(what, expected=expected, hint=hint, at=(index, rule.given.ways[0]))
        return rules


class PolicyFile(Frozen):
    """One file: policies, concepts of one's own, or both."""

    concepts: (
        Annotated[dict[Annotated[str, AfterValidator(custom_key)], CustomEntry], Field(max_length=MAX_CUSTOM)] | None
    ) = Field(default=None, description="concepts of one's own: custom:NAME and what it is made of")
    policies: Annotated[tuple[PolicyEntry, ...], Field(max_length=MAX_POLICIES)] = Field(
        default=(), validate_default=True, description="the policies"
    )

    @field_validator("policies", mode="wrap")
    @classmethod
    def _something(
        cls, policies: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> tuple[PolicyEntry, ...]:
        if policies == () and info.data.get("concepts", 0) is None:
            raise PydanticCustomError("missing", "missing")
        found: tuple[PolicyEntry, ...] = handler(policies)
        return found
