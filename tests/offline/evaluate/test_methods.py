"""The lines of every method; the two served ones must give the very lists that the server gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import dose
from offline.evaluate.doses import Base
from offline.evaluate.methods import METHODS, Methods, bounded
from offline.evaluate.panel import Panel
from offline.evaluate.steering import Lists
from offline.evaluate.subject import POSTING_FLOOR
from server.steer import Engine
from server.steerable import POSTING_FLOOR as SERVED_FLOOR
from server.types import Action, Channel, Query, Rule
from tests.offline.evaluate.planted import embeddings_of, subject_of
from tests.world import World, make_world, write_world

K = 10
KINDS: dict[str, dict[str, Any]] = {
    "dot": {},
    "bias": {"bias": True, "seed": 1},
    "cosine": {"metric": "cosine", "seed": 2},
    "not normalised": {"normalise": False, "seed": 3},
}


def units_of(strength: float, direction: str) -> float:
    """The server's curve without a calibration."""
    return dose.demote_dose(strength, 1.0) if direction == "suppress" else dose.promote_dose(strength, 1.0)


def methods_of(world: World) -> Methods:
    subject = subject_of(world)
    panel = Panel.sample(embeddings_of(world), None, None, 10**6, 0)
    return Methods(subject, panel, Base.of(panel.base_scores(subject.embeddings), K), None, 0)


@pytest.fixture(scope="module", params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Methods, Engine]:
    world = make_world(**KINDS[request.param])
    bundle = write_world(world, Path(tmp_path_factory.mktemp("bundle")) / "bundle")
    return methods_of(world), Engine.open(bundle)


def test_the_floor_is_the_servers() -> None:
    assert POSTING_FLOOR == SERVED_FLOOR


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("channel", list(Channel))
def test_lists_are_the_servers_lists(served: tuple[Methods, Engine], channel: Channel, strength: float) -> None:
    methods, engine = served
    ways = {"suppress": Action.DEMOTE, "promote": Action.PROMOTE}
    compared = 0
    for concept in methods.subject.offered:
        makers = methods.of(concept, (channel.value,))
        for direction, action in ways.items():
            line = makers[channel.value](direction)  # type: ignore[arg-type]
            assert line is not None
            lists = Lists(line, methods.base).at(units_of(strength, direction))  # type: ignore[arg-type]
            for user in range(len(lists)):
                rule = Rule(action, concept.id, strength, channel)
                answer = engine.recommend(Query(k=K, user_id=f"u{user}", rules=(rule,)))
                assert sorted(lists[user]) == sorted(answer.ranking.items), (concept.id, direction, user)
                compared += 1
    assert compared == 6 * 2 * 12


def test_dose_zero_is_the_unsteered_list() -> None:
    methods = methods_of(make_world())
    makers = methods.of(methods.subject.offered[0], ("item", "item_label", "item_latent", "query", "query_latent"))
    for name, make in makers.items():
        line = make("suppress")
        assert line is not None
        assert Lists(line, methods.base).at(0).tolist() == methods.base.lists.tolist(), name


def test_the_papers_way_is_a_decoded_code_without_its_residual() -> None:
    world = make_world(seed=2)
    methods = methods_of(world)
    sae, latent, dose = world.contents.sae, 1, 0.7
    line = methods.of(methods.subject.offered[latent], ("papers",))["papers"]("promote")
    assert line is not None
    users = methods.subject.embeddings.users
    code = sae.encode(users, "user")
    active = code[:, latent][code[:, latent] > 0]
    code[:, latent] = dose * np.quantile(active, 0.9)
    wanted = sae.decode(code, sae.scale(users), "user") @ methods.subject.embeddings.items.T
    assert line.scores + np.float32(dose) * line.unit[:, None] * line.column == pytest.approx(wanted, abs=1e-5)


def test_a_direction_without_effect_is_no_line() -> None:
    methods = methods_of(make_world())
    methods.subject.arrays.direction_effect[0] = 0
    assert methods.of(methods.subject.offered[0], ("query",))["query"]("promote") is None


def test_read_outs_come_from_the_other_half() -> None:
    world = make_world()
    asked: list[str] = []

    def held_out(concept: Any, labels: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(concept.id)
        assert labels.tolist() == world.labels[concept.row].tolist()
        return {"logistic": labels * 0.5, "probe": labels * 0.25}

    methods = methods_of(world)
    with_read_outs = Methods(methods.subject, methods.panel, methods.base, held_out, 0)
    concept = methods.subject.offered[2]
    makers = with_read_outs.of(concept, ("item_logistic", "item_logistic_32"))
    assert asked == [concept.id]
    assert list(makers) == ["item_logistic"]
    line = makers["item_logistic"]("suppress")
    assert line is not None
    assert line.column.tolist() == world.labels[2].astype(float).tolist()
    assert with_read_outs.of(concept, ("item",)).keys() == {"item"}
    assert asked == [concept.id]


def test_a_read_out_is_bounded_at_the_members_90th_percentile() -> None:
    scores = np.array([0.2, 0.4, 0.1, 0.8])
    members = np.array([True, True, False, False])
    # 90th percentile of .2 and .4: .38.
    assert bounded(scores, members) == pytest.approx([0.2 / 0.38, 1, 0.1 / 0.38, 1])


def test_every_method_has_a_name() -> None:
    assert len(set(METHODS.values())) == len(METHODS) == 25
