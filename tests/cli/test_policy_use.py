"""What becomes of policies when a bundle is aligned: every concept that a rule depends on is judged."""

from __future__ import annotations

from cli.policy_use import judge
from offline.align.report import AlignReport, ConceptFate, LatentFate
from server.policy import compile_files

POLICIES = b"""concepts:
  custom:cosy: {concepts: {genre:mystery: 1, genre:gone: 0.5}}
  custom:shelf: {items: [i1]}
policies:
  - name: mine
    owner: me
    rules:
      - {action: promote, concepts: {genre:mystery: 1, latent:3: 0.2}}
      - {action: demote, concept: custom:cosy}
      - {action: filter, concept: custom:shelf}
      - {action: demote, like: [i2]}
      - {action: promote, items: [i3], toward: genre:never}
"""


def test_sets_audiences_and_concepts_of_the_folder_are_judged_part_by_part() -> None:
    report = AlignReport(
        "old",
        "new",
        9,
        9,
        9,
        (ConceptFate("genre:gone", "lost", "no member"),),
        (LatentFate(3, 5, 0.9, 0.8, 4, 4),),
        (),
    )
    uses = judge(compile_files({"a.yaml": POLICIES}, "policies"), report, {"genre:mystery"})
    assert [(use.rule, use.concept, use.verdict, use.rewrite) for use in uses] == [
        (0, "genre:mystery", "holds", None),
        (0, "latent:3", "latent", "latent:5"),
        (1, "genre:mystery", "holds", None),
        (1, "genre:gone", "lost", None),
        (4, "genre:never", "unknown", None),
    ]
