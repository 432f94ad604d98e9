"""Drift on the planted world: the training's population raises nothing, another does, by the alert's own numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bundle import Bundle, measure_users
from protos.steering.v1.recommend_pb2 import Embedding, RecommendRequest
from protos.steering.v1.recommend_pb2_grpc import RecommendServiceStub
from server import drift
from server.drift import DriftWatch
from tests.deploy.reader import alerts
from tests.live import live
from tests.world import make_world, write_world

FloatArray = npt.NDArray[np.float32]
FRESH = 1500


class Told:
    """A Report that remembers."""

    def __init__(self) -> None:
        self.quantiles: Mapping[str, Mapping[str, float]] = {}
        self.errors: list[float] = []
        self.ranks: list[float] = []
        self.l0: list[float] = []
        self.verdicts: dict[str, int] = {}

    def trained_on(self, quantiles: Mapping[str, Mapping[str, float]]) -> None:
        self.quantiles = quantiles

    def measured(
        self, errors: Sequence[float], ranks: Sequence[float], l0: Sequence[float], verdicts: Mapping[str, int]
    ) -> None:
        self.errors += errors
        self.ranks += ranks
        self.l0 += l0
        for verdict, number in verdicts.items():
            self.verdicts[verdict] = self.verdicts.get(verdict, 0) + number


@pytest.fixture(scope="module")
def populations() -> tuple[FloatArray, FloatArray]:
    """Users of one kind: those of the training, and others that came later."""
    everybody = make_world(users=3000 + FRESH).contents.user_vectors
    assert everybody is not None
    return everybody[:3000], everybody[3000:]


@pytest.fixture(scope="module")
def bundle(populations: tuple[FloatArray, FloatArray], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    world = make_world(users=3000)
    object.__setattr__(world.contents, "user_vectors", populations[0])
    return write_world(world, tmp_path_factory.mktemp("drift") / "planted")


def shifted(users: FloatArray) -> FloatArray:
    """The same users after a retraining of the user tower alone: the axes mean something else now."""
    rng = np.random.default_rng(7)
    turned, _ = np.linalg.qr(rng.normal(size=(users.shape[1], users.shape[1])))
    return (users @ turned).astype(np.float32)


def measured(bundle: Bundle, users: FloatArray, sample: float = 1.0) -> Told:
    told = Told()
    watch = DriftWatch(sample, told)
    watch.serving(bundle)
    for x in users:
        watch.offer(bundle, x)
    watch.close()
    return told


def thresholds() -> tuple[float, float]:
    """What the alert fires above, as it stands in the rule: the share outside, the share worse than the median."""
    (rule,) = [rule for rule in alerts() if rule["alert"] == "TillerDrift"]
    outside, worse = map(float, re.findall(r"> (0\.\d+)", rule["expr"]))
    return outside, worse


def shares(told: Told) -> tuple[float, float]:
    """The same shares of what was measured."""
    outside = told.verdicts.get("outside", 0) / sum(told.verdicts.values())
    return outside, sum(rank > 0.5 for rank in told.ranks) / len(told.ranks)


def test_the_training_s_population_raises_nothing_and_a_shifted_one_does(
    bundle: Bundle, populations: tuple[FloatArray, FloatArray]
) -> None:
    trained, fresh = populations
    most_outside, most_worse = thresholds()
    for usual in (trained[:FRESH], fresh):
        outside, worse = shares(measured(bundle, usual))
        assert outside < most_outside / 2
        assert worse == pytest.approx(0.5, abs=0.05)
    _, worse = shares(measured(bundle, shifted(fresh)))
    assert worse > most_worse + 0.1


def test_a_few_vectors_that_the_sae_cannot_read_are_enough(
    bundle: Bundle, populations: tuple[FloatArray, FloatArray]
) -> None:
    """One user in thirty is as far out as nobody in the training: the median does not move, the tail does."""
    trained = measured(bundle, populations[0])
    strange = populations[1].copy()
    sae = bundle.contents.sae
    crowded = np.random.default_rng(3).random((20_000, sae.latents)) < 0.4  # more tastes at once than anybody has
    candidates = (crowded @ sae.user.w_dec).astype(np.float32)
    strange[::30] = candidates[np.argmax(measure_users(sae, candidates)[0])]
    assert measure_users(sae, strange[:1])[0][0] > max(trained.errors)
    outside, worse = shares(measured(bundle, strange))
    assert outside > 2 * thresholds()[0]
    assert worse < thresholds()[1]


def test_what_is_told_is_what_the_arrays_say(bundle: Bundle, populations: tuple[FloatArray, FloatArray]) -> None:
    users = populations[1][:700]  # more than a chunk
    told = measured(bundle, users)
    error, l0 = measure_users(bundle.contents.sae, users)
    assert told.errors == pytest.approx(error.tolist(), abs=1e-5)
    assert told.l0 == l0.tolist()
    assert sum(told.verdicts.values()) == 700
    assert told.quantiles["error"]["0.999"] == bundle.manifest.user_profile.error[-1]  # type: ignore[union-attr]


def test_a_part_is_sampled_and_what_does_not_fit_is_dropped_and_counted(
    bundle: Bundle, populations: tuple[FloatArray, FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measured(bundle, populations[1], sample=0.0).verdicts == {}
    assert 300 < sum(measured(bundle, populations[1], sample=0.3).verdicts.values()) < 600  # 450 +- 18
    monkeypatch.setattr(drift, "WAITING", 10)
    monkeypatch.setattr(drift, "PERIOD_SECONDS", 60.0)
    told = measured(bundle, populations[1][:50])
    assert told.verdicts["dropped"] == 40
    assert len(told.errors) == 10


def test_a_bundle_without_a_profile_is_judged_by_its_users_or_not_at_all(
    bundle: Bundle, populations: tuple[FloatArray, FloatArray], tmp_path: Path
) -> None:
    old = Bundle(bundle.path, bundle.manifest.model_copy(update={"user_profile": None}), bundle.contents)
    assert measured(old, populations[1]).verdicts == measured(bundle, populations[1]).verdicts
    few = write_world(make_world(), tmp_path / "few")
    told = measured(few, populations[1][:5])
    assert told.verdicts == {"unjudged": 5}
    assert len(told.errors) == 5
    assert told.quantiles == {}


def test_another_bundle_is_found_out_with_its_first_vector(
    bundle: Bundle, populations: tuple[FloatArray, FloatArray], tmp_path: Path
) -> None:
    other = write_world(make_world(seed=5, users=400), tmp_path / "other")
    told = Told()
    watch = DriftWatch(1.0, told)
    watch.serving(bundle)
    watch.offer(bundle, populations[1][0])
    watch.offer(other, populations[1][0])
    watch.close()
    both = [measure_users(one.contents.sae, populations[1][:1])[0][0] for one in (bundle, other)]
    assert told.errors == pytest.approx(both, abs=1e-6)
    assert told.quantiles["error"]["0.5"] == other.manifest.user_profile.at("error", 0.5)  # type: ignore[union-attr]


def test_only_vectors_that_do_not_lie_in_the_bundle_are_measured(
    bundle: Bundle, populations: tuple[FloatArray, FloatArray]
) -> None:
    with live(bundle.path, drift_sample=1.0) as server:
        import grpc

        with grpc.insecure_channel(server.addresses.grpc) as channel:
            stub = RecommendServiceStub(channel)
            for x in shifted(populations[1][:40]):
                stub.Recommend(RecommendRequest(embedding=Embedding(values=x), k=5), timeout=30)
            for user in range(10):
                stub.Recommend(RecommendRequest(user_id=f"u{user}", k=5), timeout=30)
        while (metrics := server.metrics())["tiller_user_error_count"] < 40:
            pass
    assert metrics["tiller_user_error_count"] == metrics["tiller_user_latents_count"] == 40
    verdicts = {name: metrics[f'tiller_user_vectors_total{{verdict="{name}"}}'] for name in ("inside", "outside")}
    assert sum(verdicts.values()) == 40
    assert metrics["tiller_user_error_rank_count"] == 40
    assert metrics['tiller_user_error_rank_bucket{le="0.5"}'] < 0.25 * 40
    profile = bundle.manifest.user_profile
    assert profile is not None
    assert metrics['tiller_training_quantile{figure="error",quantile="0.5"}'] == profile.at("error", 0.5)
