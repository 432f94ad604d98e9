"""A scorer and a user tower of one's own: as torch modules, as ONNX files, and refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, checker, helper, numpy_helper, save
from torch import nn
from torch.nn import functional

from bundle.errors import DataError, TrainingError
from offline.datasets.types import Embeddings
from offline.export_torch import export_scorer, export_user_tower
from offline.recommenders.custom import custom_recommender
from offline.recommenders.ncf import NcfScorer
from offline.recommenders.onnx_module import KNOWN, OnnxModule
from offline.recommenders.ranking import scorer as score_of
from sae.scorer import FrozenScorer

pytestmark = pytest.mark.train

DIM, ITEMS, USERS, LENGTH = 6, 9, 5, 4


def tables(metric="dot", *, bias=False):
    rng = np.random.default_rng(0)
    return Embeddings(
        rng.normal(size=(ITEMS, DIM)).astype(np.float32),
        rng.normal(size=(USERS, DIM)).astype(np.float32),
        np.zeros(ITEMS, np.float32) if bias else None,
        metric,
    )


class Concatenated(nn.Module):
    """An MLP as people write it: both rows expanded, concatenated, normalised, with a shape read from the inputs."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(2 * DIM)
        self.layers = nn.Sequential(nn.Linear(2 * DIM, 8), nn.GELU(), nn.Linear(8, 4), nn.Sigmoid(), nn.Linear(4, 1))

    def forward(self, users, items):
        size = (users.shape[0], items.shape[0], DIM)
        both = torch.cat([users[:, None].expand(size), items[None].expand(size)], dim=2)
        product = (users @ items.T)[..., None]
        return (self.layers(self.norm(both)) + product.tanh()).squeeze(2)


class Pooled(nn.Module):
    """A user is the mean of the items that were taken."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(ITEMS + 1, DIM, padding_idx=0)

    def forward(self, history):
        taken = (history > 0).float()[..., None]
        return (self.table(history) * taken).sum(1) / taken.sum(1).clamp(min=1)


class Distance(nn.Module):
    def forward(self, users, items):
        return -functional.normalize(users, dim=1).sub(0.1).square().sum(1, keepdim=True) + users @ items.T


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Concatenated().eval()


@pytest.mark.parametrize("make", [Concatenated, lambda: NcfScorer(DIM), Distance])
def test_an_onnx_scorer_is_the_module_gradients_too(make, tmp_path: Path):
    torch.manual_seed(1)
    module = make().eval()
    export_scorer(module, tmp_path / "scorer.onnx", dim=DIM)
    graph = OnnxModule(tmp_path / "scorer.onnx", ("user", "items"))
    users, items = torch.randn(3, DIM, requires_grad=True), torch.randn(7, DIM, requires_grad=True)
    assert torch.allclose(graph(users, items), module(users, items), atol=1e-5)
    weight = torch.randn(3, 7)
    found = torch.autograd.grad((graph(users, items) * weight).sum(), [users, items])
    expected = torch.autograd.grad((module(users, items) * weight).sum(), [users, items])
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_sae_trains_through_an_onnx_scorer(network, tmp_path: Path):
    export_scorer(network, tmp_path / "scorer.onnx", dim=DIM)
    made = custom_recommender(tables(), scorer=tmp_path / "scorer.onnx")
    users, items = torch.from_numpy(made.embeddings.users), torch.from_numpy(made.embeddings.items)
    through_file, through_module = (
        FrozenScorer("dot", users, items, None, module) for module in (made.scorer, network)
    )
    rows = torch.arange(3)
    assert torch.allclose(
        through_file.block(users, items[:3], rows), through_module.block(users, items[:3], rows), atol=1e-5
    )
    assert torch.allclose(
        through_file.pairs(users[:3], items[:3], rows), network(users[:3], items[:3]).diagonal(), atol=1e-5
    )


def test_a_module_and_its_file_rank_alike(network, tmp_path: Path):
    export_scorer(network, tmp_path / "scorer.onnx", dim=DIM)
    as_module = custom_recommender(tables(), scorer=network)
    as_file = custom_recommender(tables(), scorer=tmp_path / "scorer.onnx")
    everyone = np.arange(USERS)
    assert score_of(as_file)(everyone) == pytest.approx(score_of(as_module)(everyone), abs=1e-5)
    assert (as_module.name, as_module.facts) == ("custom", {"scorer": "Concatenated"})
    assert as_file.facts == {"scorer": "scorer.onnx"}


def test_a_tower_as_module_and_as_file(tmp_path: Path):
    tower = Pooled().eval()
    export_user_tower(tower, tmp_path / "tower.onnx", history_length=LENGTH, n_items=ITEMS)
    as_module = custom_recommender(tables(), user_tower=tower, history_length=LENGTH)
    as_file = custom_recommender(tables(), user_tower=tmp_path / "tower.onnx")
    history = torch.tensor([[0, 0, 2, 9], [1, 2, 3, 4]])
    assert torch.allclose(as_file.user_tower(history), as_module.user_tower(history), atol=1e-6)
    assert as_file.history_length == as_module.history_length == LENGTH


def test_inputs_in_another_order_are_found_by_name(network, tmp_path: Path):
    from onnx import load

    export_scorer(network, tmp_path / "a.onnx", dim=DIM)
    model = load(str(tmp_path / "a.onnx"))
    first, second = model.graph.input
    del model.graph.input[:]
    model.graph.input.extend([second, first])
    save(model, str(tmp_path / "b.onnx"))
    users, items = torch.randn(2, DIM), torch.randn(3, DIM)
    made = custom_recommender(tables(), scorer=tmp_path / "b.onnx")
    assert torch.allclose(made.scorer(users, items), network(users, items), atol=1e-5)


def node(operation, *, inputs=("user", "items"), **attributes):
    return helper.make_node(operation, list(inputs), ["scores"], **attributes)


def write_graph(path, nodes, *, names=("user", "items"), output="scores", constants=()):
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (None, DIM)) for name in names]
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, (None, None))]
    graph = helper.make_graph(nodes, "scorer", given, made, list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, str(path))
    return path


def test_an_operation_without_a_torch_form_is_refused_by_name(tmp_path: Path):
    nodes = [
        helper.make_node("Transpose", ["items"], ["t"]),
        helper.make_node("MatMul", ["user", "t"], ["p"]),
        helper.make_node("Asinh", ["p"], ["scores"]),
    ]
    path = write_graph(tmp_path / "scorer.onnx", nodes)
    with pytest.raises(DataError) as caught:
        custom_recommender(tables(), scorer=path)
    assert str(caught.value) == (
        f"{path}: operations: found Asinh, expected only {', '.join(KNOWN)}. "
        "Gradients must pass through it: give the torch module itself, docs/recommenders.md."
    )


def test_a_file_of_another_form_is_refused(tmp_path: Path):
    nodes = [helper.make_node("Transpose", ["v"], ["t"]), helper.make_node("MatMul", ["u", "t"], ["scores"])]
    path = write_graph(tmp_path / "scorer.onnx", nodes, names=("u", "v"))
    with pytest.raises(DataError) as caught:
        custom_recommender(tables(), scorer=path)
    assert str(caught.value) == (
        f"{path}: found u tensor(float) of 2 axes, v tensor(float) of 2 axes -> scores, "
        "expected user tensor(float) of 2 axes, items tensor(float) of 2 axes -> scores. "
        "docs/recommenders.md shows the form."
    )


def test_a_file_that_is_none_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"none\.onnx: found no such file\."):
        custom_recommender(tables(), scorer=tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("scorer")
    with pytest.raises(DataError, match=r"text\.onnx: found nothing that ONNX Runtime reads"):
        custom_recommender(tables(), scorer=tmp_path / "text.onnx")


def test_a_bias_or_cosine_beside_a_scorer_is_refused(network):
    with pytest.raises(DataError) as caught:
        custom_recommender(tables(bias=True), scorer=network)
    assert str(caught.value) == (
        "scorer: found an item bias beside it, expected metric dot and no bias: the network's logits are the scores. "
        "Leave --metric out and rename the bias column, or give it another place in the item vectors."
    )
    with pytest.raises(DataError, match=r"^scorer: found metric cosine"):
        custom_recommender(tables("cosine"), scorer=network)


def test_a_scorer_of_another_size_is_refused():
    with pytest.raises(DataError, match=r"^scorer: found it does not run on users \[4, 6\] and items \[4, 6\]"):
        custom_recommender(tables(), scorer=NcfScorer(DIM + 1))


class Flat(nn.Module):
    def forward(self, users, items):
        return (users * items).sum(1)


class Broken(nn.Module):
    def forward(self, users, items):
        return (users @ items.T).abs().neg().sqrt()


@pytest.mark.parametrize(("module", "told"), [(Flat(), r"scores \[4\]"), (Broken(), r"scores \[4, 4\]")])
def test_scores_of_another_form_are_refused(module, told):
    with pytest.raises(DataError, match=rf"^scorer: found {told}.*expected finite logits \[4, 4\]"):
        custom_recommender(tables(), scorer=module)


def test_a_tower_needs_its_length_and_the_embedding_s_size(tmp_path: Path):
    tower = Pooled().eval()
    with pytest.raises(DataError) as caught:
        custom_recommender(tables(), user_tower=tower)
    assert str(caught.value) == (
        "user tower: found any length of history, expected --history-length, items that it reads."
    )
    with pytest.raises(DataError, match=r"^user tower: found it does not run on a history of 3 items"):
        custom_recommender(tables(), user_tower=nn.Linear(2, 2), history_length=3)
    export_user_tower(tower, tmp_path / "tower.onnx", history_length=LENGTH, n_items=ITEMS)
    with pytest.raises(DataError, match=r"^--history-length: found 7, expected 4, as "):
        custom_recommender(tables(), user_tower=tmp_path / "tower.onnx", history_length=7)


def test_a_length_without_a_tower_is_refused():
    with pytest.raises(DataError) as caught:
        custom_recommender(tables(), history_length=5)
    assert str(caught.value) == (
        "--history-length: found no user tower, expected --user-tower, which reads the history."
    )


class Branching(nn.Module):
    def forward(self, users, items):
        return users @ items.T if len(users) > 1 else users @ items.T * 2


def test_a_trace_that_depends_on_the_sizes_is_refused(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"^scorer\.onnx: Branching: found a graph that differs from the module by"):
        export_scorer(Branching(), tmp_path / "scorer.onnx", dim=DIM)
    assert not (tmp_path / "scorer.onnx").exists()


class Untraceable(nn.Module):
    def forward(self, users, items):
        return torch.linalg.solve(users @ users.T, users @ items.T)


def test_a_module_without_onnx_form_is_refused(tmp_path: Path):
    with pytest.raises(TrainingError, match=r"^scorer\.onnx: Untraceable: found a module that cannot be traced"):
        export_scorer(Untraceable(), tmp_path / "scorer.onnx", dim=DIM)


OPERATIONS = {
    "ReduceL2": ({"axes": [1], "keepdims": 1}, []),
    "ReduceMean": ({"axes": [0], "keepdims": 0}, []),
    "ReduceSum": ({"keepdims": 1}, [np.array([1])]),
    "Softmax": ({"axis": 0}, []),
    "LeakyRelu": ({"alpha": 0.3}, []),
    "Elu": ({"alpha": 0.5}, []),
    "Flatten": ({"axis": 1}, []),
    "Transpose": ({}, []),
    "Gather": ({"axis": 1}, [np.array([[-1, 0], [2, 2]])]),
    "Slice": ({}, [np.array([1]), np.array([2**40]), np.array([1]), np.array([2])]),
    "Unsqueeze": ({}, [np.array([0, -1])]),
    "Reshape": ({}, [np.array([0, 2, -1])]),
    "Expand": ({}, [np.array([2, 1, DIM])]),
    "Clip": ({}, [np.float32(-0.5), np.float32(0.5)]),
    "Gemm": ({"transB": 1, "alpha": 0.5, "beta": 2.0}, [np.ones((3, DIM), np.float32), np.ones(3, np.float32)]),
    "LayerNormalization": ({"axis": -1, "epsilon": 1e-3}, [np.full(DIM, 2, np.float32), np.ones(DIM, np.float32)]),
    "Softplus": ({}, []),
    "Erf": ({}, []),
    "Cast": ({"to": 6}, []),
    "Shape": ({}, []),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_is_onnx_runtime_s(operation, tmp_path: Path):
    import onnxruntime

    attributes, extra = OPERATIONS[operation]
    names = [f"extra_{index}" for index in range(len(extra))]
    graph = helper.make_graph(
        [helper.make_node(operation, ["x", *names], ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (None, DIM))],
        [helper.make_value_info("y", helper.make_tensor_type_proto({"Cast": 6, "Shape": 7}.get(operation, 1), None))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in zip(names, extra, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save(model, str(tmp_path / "one.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx", providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(4, DIM)).astype(np.float32)
    (expected,) = session.run(None, {"x": x})
    found = OnnxModule(tmp_path / "one.onnx", ("x",))(torch.from_numpy(x)).numpy()
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, abs=1e-5)
