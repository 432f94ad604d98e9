"""The laws of the steering core, as properties over every kind of bundle and index, against brute force.

Law 5 is for exact indexes; on an approximate one what must still hold of a score is in its place.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import faiss
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import search_query
from server.errors import DeadlinePassed, UnknownUser
from server.steer import Engine
from server.subject import Examples, Given, Items, Mixture, Subject, Toward
from server.types import Action, Answer, Channel, Membership, Query, Ranking, Rule
from tests.server.worlds import APPROXIMATE, KINDS, NETWORKS, Oracle, engine
from tests.world import NAMES

CONCEPTS = [f"genre:{name.lower()}" for name in NAMES] + [f"latent:{n}" for n in (0, 3, 7, 20)]
EXACT = sorted(KINDS)
kinds = st.sampled_from(EXACT + APPROXIMATE)
NO_ITEMS = Ranking(np.empty(0, np.int64), np.empty(0, np.float32))


@pytest.fixture(scope="module", autouse=True)
def _made() -> None:
    """Worlds are made before a property is timed."""
    for kind in (*EXACT, *APPROXIMATE):
        engine(kind)


def subjects(core: Engine) -> st.SearchStrategy[Subject]:
    """What a rule can name besides one concept."""
    ids = st.lists(st.sampled_from(core.catalogue.item_ids), min_size=1, max_size=4, unique=True).map(sorted).map(tuple)
    weights = st.dictionaries(st.sampled_from(CONCEPTS), st.floats(0.05, 1), min_size=2, max_size=3)
    mixed = weights.map(lambda given: Given(concepts=given).named()[1])
    like = ids.flatmap(lambda own: st.builds(Examples, st.just(own[:2]), st.sampled_from([(), own[2:]])))
    toward = st.builds(Toward, ids, st.sampled_from(CONCEPTS))
    return st.one_of(mixed, like, st.builds(Items, ids), toward)


@st.composite
def composed(draw: st.DrawFn, kind: str) -> tuple[Rule, ...]:
    """Up to three rules on subjects that this bundle can make, each once."""
    core, rules = engine(kind), {}
    for subject in draw(st.lists(subjects(core), max_size=3)):
        moves = isinstance(subject, Toward)
        action = Action.PROMOTE if moves else draw(st.sampled_from(list(Action)))
        rule = Rule(action, str(subject), draw(st.floats(0.01, 1)), subject=subject)
        if not core.catalogue.offers(rule):  # examples that have nothing in common
            continue
        if action is Action.FILTER:
            rule = replace(rule, strength=1.0)
        elif not isinstance(subject, Items | Toward) and core.catalogue.of(rule).effect > 1e-3:
            rule = replace(rule, channel=draw(st.sampled_from(list(Channel))))
        rules[rule.concept] = rule
    return tuple(rules.values())


@st.composite
def rule_sets(draw: st.DrawFn, kind: str, *, soft_only: bool = False) -> tuple[Rule, ...]:
    """Up to five rules a request may carry: each concept once."""
    rules = []
    for concept in draw(st.lists(st.sampled_from(CONCEPTS), unique=True, max_size=5)):
        actions = [Action.DEMOTE, Action.PROMOTE] if soft_only else list(Action)
        action = draw(st.sampled_from(actions))
        if action is Action.FILTER:
            choice = [Membership.DEFAULT, Membership.READOUT]
            if not concept.startswith("latent:"):
                choice += [Membership.LABEL, Membership.EITHER]
            rules.append(Rule(action, concept, 1.0, membership=draw(st.sampled_from(choice))))
            continue
        movable = engine(kind).catalogue.find(concept).effect > 0
        channel = draw(st.sampled_from(list(Channel) if movable else [Channel.ITEM]))
        rules.append(Rule(action, concept, draw(st.floats(0.01, 1)), channel=channel))
    return (*rules, *draw(composed(kind))) if draw(st.booleans()) else tuple(rules)


@st.composite
def queries(draw: st.DrawFn, of: st.SearchStrategy[str] = kinds) -> tuple[str, Query]:
    kind = draw(of)
    contents = engine(kind).catalogue.bundle.contents
    ids = contents.items["item_id"].to_pylist()
    user = draw(st.sampled_from(contents.user_ids or [""]))
    exclude = tuple(draw(st.lists(st.sampled_from(ids), unique=True, max_size=30)))
    k = draw(st.one_of(st.integers(1, 30), st.just(len(ids)), st.just(len(ids) + 5)))
    query = Query(k=k, user_id=user, rules=draw(rule_sets(kind)), exclude=exclude)
    if contents.history_length and draw(st.booleans()):
        told = draw(st.lists(st.sampled_from([*ids, "nowhere"]), max_size=12))
        history = (*told, draw(st.sampled_from(ids)))
        query = replace(query, user_id=None, history=history, exclude_history=draw(st.booleans()))
    return kind, query


@given(kinds, st.integers(0, 11), st.integers(1, 120), st.booleans())
def test_law_1_identity(kind: str, user: int, k: int, zero: bool) -> None:
    """No rule, or strength 0, gives the bit-same ids and scores as the bare index."""
    core = engine(kind)
    contents = core.catalogue.bundle.contents
    assert contents.user_vectors is not None
    q = search_query(
        np.array(contents.user_vectors[user]), has_bias=contents.item_bias is not None, metric=contents.metric
    )
    k = min(k, len(contents.items))
    if kind in NETWORKS:
        session = onnxruntime.InferenceSession(core.catalogue.bundle.path / "scorer.onnx")
        said = session.run(None, {"user": q[None], "items": np.asarray(contents.item_vectors)})[0][0]
        best = np.argsort(-said, kind="stable")[:k]
        bare = Ranking(best, said[best])
    elif core.retriever.exact:
        scores, items = faiss.read_index(str(core.catalogue.bundle.path / "index.faiss")).search(q[None], k)
        bare = Ranking(items[0], scores[0])
    else:
        bare = core.retriever.search(q, k)
    off = tuple(Rule(Action.PROMOTE, concept, 0.0, channel=c) for concept, c in zip(CONCEPTS, Channel, strict=False))
    answer = core.recommend(Query(k=k, user_id=f"u{user}", rules=off if zero else ()))
    assert answer.ranking.items.tolist() == bare.items.tolist()
    assert answer.ranking.scores.tobytes() == bare.scores.tobytes()


@given(st.lists(queries(), min_size=2, max_size=8))
@settings(max_examples=25)
def test_law_2_batch_independence(batch: list[tuple[str, Query]]) -> None:
    """A row's answer does not depend on concurrency: eight threads give the bits that one call gives."""
    alone = [engine(kind).recommend(query).ranking for kind, query in batch]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda pair: engine(pair[0]).recommend(pair[1]).ranking, batch * 3))
    for place, ranking in enumerate(together):
        expected = alone[place % len(batch)]
        assert ranking.items.tolist() == expected.items.tolist()
        assert ranking.scores.tobytes() == expected.scores.tobytes()


@given(kinds.flatmap(lambda kind: st.lists(queries(st.just(kind)), min_size=2, max_size=12)), st.booleans())
@settings(max_examples=80)
def test_law_2_of_calls_that_are_answered_together(group: list[tuple[str, Query]], at_once: bool) -> None:
    """Whether the vectors are read once or the index is asked once for several, each call gets what it gets alone."""
    core = engine(group[0][0])
    asked = [query for _, query in group]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.retrieval.flat.TOGETHER_BYTES", 0 if at_once else 2**40)
        *together, refused = core.recommend_each([*asked, Query(k=5, user_id="nobody")], [math.inf] * (len(asked) + 1))
    assert isinstance(refused, UnknownUser)
    for query, answer in zip(asked, together, strict=True):
        alone = core.recommend(query)
        assert isinstance(answer, Answer)
        assert answer.ranking.items.tolist() == alone.ranking.items.tolist()
        assert answer.ranking.scores.tobytes() == alone.ranking.scores.tobytes()
        assert (answer.baseline is None) == (alone.baseline is None)
        if answer.baseline is not None and alone.baseline is not None:
            assert answer.baseline.items.tolist() == alone.baseline.items.tolist()
        assert facts(answer) == facts(alone)
        assert {"plan", "user", "search", "explain"} <= answer.timings.keys()


def facts(answer: Answer) -> Answer:
    """What an answer says, without arrays and times."""
    return replace(answer, ranking=NO_ITEMS, baseline=None, timings={}, marks=(), incoming=None)


def test_law_2_of_a_call_whose_deadline_passes_beside_others() -> None:
    core = engine("dot")
    asked = [Query(k=5, user_id=user) for user in ("u1", "u2", "u3")]
    first, late, last = core.recommend_each(asked, [math.inf, time.perf_counter() - 1, math.inf])
    assert isinstance(late, DeadlinePassed)
    for query, answer in ((asked[0], first), (asked[2], last)):
        assert isinstance(answer, Answer)
        assert answer.ranking.items.tolist() == core.recommend(query).ranking.items.tolist()


@given(queries())
def test_laws_3_and_4_promise_and_completeness(case: tuple[str, Query]) -> None:
    """No forbidden member; min(k, eligible) items, each once, none excluded; a short list says why."""
    kind, query = case
    core = engine(kind)
    oracle = Oracle(core.catalogue.bundle.contents)
    _, allowed = oracle.scores(query, query.k)
    answer = core.recommend(query)
    items = answer.ranking.items.tolist()
    assert all(allowed[row] for row in items)
    assert len(items) == len(set(items)) == min(query.k, int(allowed.sum()))
    if len(items) < query.k:
        assert answer.eligible == allowed.sum()
        assert answer.short_reason.startswith(f"{allowed.sum()} of {len(allowed)} items are eligible")
    else:
        assert answer.eligible is None


@given(queries(st.sampled_from(EXACT)))
@settings(max_examples=300)
def test_law_5_exactness(case: tuple[str, Query]) -> None:
    """Equal to brute force over the whole catalogue, in scores and, but for ties, in ids."""
    kind, query = case
    core = engine(kind)
    steered, allowed = Oracle(core.catalogue.bundle.contents).scores(query, query.k)
    ranking = core.recommend(query).ranking
    best = np.sort(steered[allowed])[::-1][: query.k]
    tolerance = 1e-5 * max(1.0, float(np.abs(steered).max()))
    np.testing.assert_allclose(ranking.scores, best, rtol=0, atol=tolerance)
    np.testing.assert_allclose(steered[ranking.items], best, rtol=0, atol=tolerance)


@given(queries(st.sampled_from(APPROXIMATE)))
def test_law_5_on_an_approximate_index_is_about_the_candidates_only(case: tuple[str, Query]) -> None:
    """Scores are what brute force gives for the doses used, best first."""
    kind, query = case
    answer = engine(kind).recommend(replace(query, explain=True))
    assert (np.diff(answer.ranking.scores) <= 0).all()
    oracle = Oracle(engine(kind).catalogue.bundle.contents)
    acting = [effect for effect in answer.effects if effect.dose]
    moving = [isinstance(effect.considered.rule.subject, Toward) for effect in acting]
    doses = [(one.considered.rule, one.dose) for one, moves in zip(acting, moving, strict=True) if not moves]
    pushed = [
        (one.considered.rule, one.considered.rule.strength) for one, moves in zip(acting, moving, strict=True) if moves
    ]
    steered = oracle.steered(oracle.user(query), doses, pushed)
    tolerance = 1e-5 * max(1.0, float(np.abs(steered).max()))
    np.testing.assert_allclose(answer.ranking.scores, steered[answer.ranking.items], rtol=0, atol=tolerance)


@given(queries())
def test_law_7_additivity(case: tuple[str, Query]) -> None:
    """An item's base score and contributions sum to its score."""
    kind, query = case
    answer = engine(kind).recommend(replace(query, explain=True))
    assert len(answer.explanations) == len(answer.ranking.items)
    for score, why in zip(answer.ranking.scores, answer.explanations, strict=True):
        total = why.base_score + sum(part.value for part in why.contributions)
        assert total == pytest.approx(float(score), abs=1e-5 * max(1.0, abs(float(score)), abs(why.base_score)))


@given(queries(), st.randoms(use_true_random=False))
def test_law_8_order(case: tuple[str, Query], random: object) -> None:
    """Rules in any order give the same bits."""
    kind, query = case
    shuffled = list(query.rules)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = engine(kind).recommend(query).ranking
    second = engine(kind).recommend(replace(query, rules=tuple(shuffled))).ranking
    assert first.items.tolist() == second.items.tolist()
    assert first.scores.tobytes() == second.scores.tobytes()


@pytest.mark.parametrize("kind", ["dot", "cosine", "dot/hnsw-raw", "network", "network/proxy"])
@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize("action", [Action.PROMOTE, Action.DEMOTE])
def test_law_6_monotony(action: Action, channel: Channel, kind: str) -> None:
    """More strength never means less effect, on average over users."""
    core = engine(kind)
    members = core.catalogue.find("genre:western").members()
    shares = []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        total = 0.0
        for user in range(12):
            query = Query(k=10, user_id=f"u{user}", rules=(Rule(action, "genre:western", strength, channel),))
            rows = core.recommend(query).ranking.items
            total += float(np.unpackbits(members, bitorder="little")[rows].mean()) / 12
        shares.append(total)
    steps = np.diff(shares) if action is Action.PROMOTE else -np.diff(shares)
    assert (steps >= -1e-9).all(), shares
    assert abs(shares[-1] - shares[0]) > 0.05, shares


@pytest.mark.parametrize("kind", ["dot", "cosine", "dot/hnsw-raw", "network"])
@pytest.mark.parametrize("way", ["set", "like"])
def test_law_6_monotony_of_sets_and_examples(way: str, kind: str) -> None:
    """The same for what was made of concepts and of items."""
    core = engine(kind)
    western = np.flatnonzero(np.unpackbits(core.catalogue.find("genre:western").members(), bitorder="little"))
    subject: Subject = {
        "set": Mixture((("genre:western", 1.0), ("genre:film-noir", 0.5))),
        "like": Examples(tuple(sorted(core.catalogue.item_ids[row] for row in western[:4]))),
    }[way]
    shares = _shares(core, subject, [Query(k=10, user_id=f"u{user}") for user in range(12)])
    assert (np.diff(shares) >= -1e-9).all(), shares
    assert shares[-1] > shares[0] + 0.05, shares


@pytest.mark.parametrize("kind", ["dot", "bias", "cosine", "dot/hnsw-raw"])
def test_law_6_monotony_of_items_toward_an_audience(kind: str) -> None:
    """Items come to the audience the more the stronger the rule; to others they need not."""
    core = engine(kind)
    assert core.pusher is not None
    audience = core.pusher._audience(core.catalogue.find("genre:western"))
    places = {row: place for place, row in enumerate(audience.asked.search(len(core.retriever), None).items.tolist())}
    away = [core.catalogue.item_ids[row] for row in places if places[row] > len(places) // 2][:6]
    subject = Toward(tuple(sorted(away)), "genre:western")
    query = Query(k=10, embedding=audience.user)
    shares = _shares(core, subject, [query])
    assert (np.diff(shares) >= -1e-9).all(), shares
    (effect,) = core.recommend(
        replace(query, rules=(Rule(Action.PROMOTE, str(subject), 1.0, subject=subject),))
    ).effects
    assert shares[0] == 0
    if kind == "cosine":  # where an item may point along the whole concept and still not be among the ten best
        assert effect.note == "" or "come nearer, and no strength brings them into" in effect.note
    else:
        assert (effect.note, shares[-1] > 0) == ("", True)


def _shares(core: Engine, subject: Subject, asked: list[Query]) -> list[float]:
    """Mean part of the lists that is the subject's, at growing strengths."""
    members = np.unpackbits(core.catalogue.subjects.find(subject).members(), bitorder="little")
    shares = []
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        rules = (Rule(Action.PROMOTE, str(subject), strength, subject=subject),)
        lists = [core.recommend(replace(query, rules=rules)).ranking.items for query in asked]
        shares.append(float(np.mean([members[rows].mean() for rows in lists])))
    return shares
