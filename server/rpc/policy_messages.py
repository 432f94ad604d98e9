"""Policies, what is wrong with them and what they would change, as messages of steering.v1.AdminService."""

from __future__ import annotations

from bundle import LATENT_FAMILY
from protos.steering.v1 import admin_pb2 as pb
from server.errors import PolicyError
from server.policy import (
    Policy,
    PolicySet,
    PolicyWarning,
    any_open,
    check_attributes,
    check_concepts,
    conditions,
    rule_in_words,
)
from server.preview import Preview, Situation
from server.rpc.convert import to_rule_message
from server.steer import Engine


def policy_message(policy: Policy, now: float) -> pb.Policy:
    """One policy as it stands at a time, Unix seconds."""
    return pb.Policy(
        name=policy.name,
        owner=policy.owner,
        description=policy.description,
        enabled=policy.enabled,
        mode=pb.POLICY_MODE_SHADOW if policy.shadow else pb.POLICY_MODE_ENFORCE,
        priority=policy.priority,
        mandatory=policy.mandatory,
        conditions=conditions(policy),
        open=not policy.windows or any_open(policy.windows, now),
        rules=[to_rule_message(rule) for rule in policy.rules],
        rule_words=[rule_in_words(rule) for rule in policy.rules],
        file=policy.file,
        line=policy.line,
    )


def warning_messages(engine: Engine, policies: PolicySet) -> list[pb.PolicyWarning]:
    """What its author should know of policies that an engine would take."""
    alone = engine.catalogue.with_customs(())  # the candidate brings its own concepts
    offered = {concept.id for concept in alone.named}
    offered.update(f"{LATENT_FAMILY}:{latent}" for latent in range(alone.latents))
    found: list[PolicyWarning] = [*check_concepts(policies, offered, alone.item_rows), *check_attributes(policies)]
    return [pb.PolicyWarning(file=one.file, line=one.line, policy=one.policy, message=str(one)) for one in found]


def fault_messages(error: PolicyError | None) -> list[pb.PolicyFault]:
    """What is refused, by file, line and field; none without an error."""
    problems = () if error is None else error.problems
    return [pb.PolicyFault(file=one.file, line=one.line, field=one.field, message=str(one)) for one in problems]


def preview_message(preview: Preview) -> pb.PreviewPoliciesResponse:
    """Who would see what differently."""
    return pb.PreviewPoliciesResponse(
        revision_before=preview.revision_before,
        revision_after=preview.revision_after,
        k=preview.k,
        at=preview.at,
        changes=[pb.PolicyChange(name=one.name, kind=one.kind, what=one.what) for one in preview.changes],
        situations=[_situation(one) for one in preview.situations],
    )


def _situation(one: Situation) -> pb.Situation:
    return pb.Situation(
        attributes=one.attributes,
        users=one.users,
        changed=one.changed,
        overlap=one.overlap,
        short_before=one.short_before,
        short_after=one.short_after,
        fired=[pb.PolicyReach(policy=it.policy, before=it.before, after=it.after) for it in one.fired],
        shares=[
            pb.ConceptShare(concept=it.concept, before=it.before, after=it.after, ruled=it.ruled) for it in one.shares
        ],
        examples=[
            pb.PreviewExample(
                user_id=it.user_id,
                overlap=it.overlap,
                before=[pb.PreviewItem(item_id=item.item_id, title=item.title) for item in it.before],
                after=[pb.PreviewItem(item_id=item.item_id, title=item.title) for item in it.after],
            )
            for it in one.examples
        ],
    )
