"""What a bundle would take away from callers and policies who have it now.

The rule, published in docs/operations.md: a bundle is refused while it lacks
- what an enabled policy in enforce mode names (a concept, say), and the bundle in force offers. ``latent:N`` counts as
  lacking where the SAE is another one, since the number then means something else;
- the length of the embedding: every caller that sends one would be refused;
- the user tower, where there is one: every caller that sends a history would be refused;
- stored users, where there are some: every caller that sends a user id alone would be refused.
What the bundle in force does not offer either is nobody's loss: the policy's author was warned about it already.
"""

from __future__ import annotations

from bundle import LATENT_FAMILY, Manifest
from bundle.errors import BundleError
from server.policy import PolicySet
from server.steer import Engine
from server.types import Rule

SHOWN = 5


def refuse_losses(now: Engine, new: Engine, policies: PolicySet) -> None:
    """Compare an engine that may come into force with the one that is.

    Raises:
        BundleError: naming everything that would be lost.
    """
    lost = [*_of_callers(_manifest(now), _manifest(new)), *_of_policies(now, new, policies)]
    if lost:
        shown = "; ".join(lost[:SHOWN]) + (f"; and {len(lost) - SHOWN} more" if len(lost) > SHOWN else "")
        raise BundleError(
            f"bundle {new.bundle_id} lacks what is in use now: {shown}",
            hint="Align the bundle (tiller bundle align), change the policies first, or accept the loss "
                 "(--accept-losses).",
        )  # fmt: skip


def _of_callers(now: Manifest, new: Manifest) -> list[str]:
    lost = []
    if new.dims.embedding != now.dims.embedding:
        lost.append(f"embeddings have {new.dims.embedding} numbers, not {now.dims.embedding}")
    if now.history_length and not new.history_length:
        lost.append("it has no user tower to read a history")
    if now.dims.users and not new.dims.users:
        lost.append("it stores no users")
    return lost


def _of_policies(now: Engine, new: Engine, policies: PolicySet) -> list[str]:
    same_codes = _manifest(now).files["sae.safetensors"] == _manifest(new).files["sae.safetensors"]
    lost: dict[tuple[str, str], str] = {}
    for policy in policies.policies:
        if not policy.enabled or policy.shadow:
            continue
        for rule in policy.rules:
            named = rule.concept
            if not now.catalogue.offers(rule):
                continue
            if not new.catalogue.offers(rule):
                lost[policy.name, named] = f"{named}, which policy {policy.name} names"
            elif not same_codes and any(concept.startswith(f"{LATENT_FAMILY}:") for concept in _concepts(rule)):
                lost[policy.name, named] = f"{named} of policy {policy.name} means something else in another SAE"
    return list(lost.values())


def _concepts(rule: Rule) -> tuple[str, ...]:
    return (rule.concept,) if rule.subject is None else rule.subject.concepts


def _manifest(engine: Engine) -> Manifest:
    return engine.catalogue.bundle.manifest
