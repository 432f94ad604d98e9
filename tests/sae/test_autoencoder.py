import pytest
import torch

from sae.autoencoder import TwoTowerSae, drop_radial_gradient, input_scale, unit_rows

pytestmark = pytest.mark.train


def small(activation="topk"):
    sae = TwoTowerSae(3, 4, activation)
    sae.initialise(torch.tensor([0.1, 0.2, 0.3]), torch.Generator().manual_seed(0))
    return sae


def test_initialisation_is_tied_with_unit_decoder_rows():
    tower = small().user
    assert tower.w_dec.norm(dim=1).tolist() == pytest.approx([1.0] * 4)
    assert torch.equal(tower.w_enc, tower.w_dec.T)
    assert tower.b_enc.tolist() == [0.0] * 4
    assert tower.input_bias.tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_pre_activation_is_the_documented_formula():
    tower, x = small().user, torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        tower.b_enc.copy_(torch.arange(4.0))
    assert torch.allclose(tower.pre(x), (x - tower.input_bias) @ tower.w_enc + tower.b_enc, atol=1e-6)


def test_decode_by_hand():
    tower = small().user
    code = torch.tensor([[0.0, 2.0, 0.0, 1.0]])
    assert torch.allclose(tower.decode(code)[0], 2 * tower.w_dec[1] + tower.w_dec[3] + tower.output_bias)


def test_while_shared_there_is_one_tower_with_one_bias():
    sae = small()
    assert sae.shared
    assert sae.tower("user") is sae.tower("item")
    assert sae.user.output_bias is sae.user.input_bias
    assert [name for name, _ in sae.named_parameters()] == [
        "user.w_enc",
        "user.b_enc",
        "user.free_decoder",
        "user.input_bias",
    ]


def test_untying_changes_no_number_and_frees_every_parameter():
    sae, x = small(), torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    before = sae.user.decode(sae.activate(sae.user.pre(x), 2))
    sae.untie()
    assert not sae.shared
    for side in ("user", "item"):
        tower = sae.tower(side)
        assert torch.equal(tower.decode(sae.activate(tower.pre(x), 2)), before)
    with torch.no_grad():
        sae.item.w_dec.zero_()
        sae.item.output_bias.zero_()
    assert sae.user.w_dec.abs().sum() > 0
    assert sae.user.output_bias.abs().sum() > 0
    assert sae.item.input_bias.abs().sum() > 0
    assert len(list(sae.named_parameters())) == 10


def test_tied_weights_are_one_parameter_before_and_after_untying():
    sae = TwoTowerSae(3, 4, "relu", tied=True)
    sae.initialise(torch.zeros(3), torch.Generator().manual_seed(0))
    assert [name for name, _ in sae.named_parameters()] == ["user.w_enc", "user.b_enc", "user.input_bias"]
    sae.untie()
    for tower in (sae.user, sae.item):
        with torch.no_grad():
            tower.w_enc[1, 2] = 7.0
        assert tower.w_dec[2, 1] == 7.0
        tower.decode(torch.relu(tower.pre(torch.ones(1, 3)))).sum().backward()
        # Both uses of the weights teach them.
        assert tower.w_enc.grad.abs().sum() > 0


def test_a_prefix_decodes_from_the_first_latents_alone():
    tower = small().user
    code = torch.tensor([[3.0, 2.0, 0.0, 1.0]])
    assert torch.allclose(tower.decode_prefix(code, 2)[0], 3 * tower.w_dec[0] + 2 * tower.w_dec[1] + tower.output_bias)
    assert torch.allclose(tower.decode_prefix(code, 4), tower.decode(code))


def test_unit_rows():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    unit_rows(rows)
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 0.0]]


def test_the_radial_gradient_is_dropped():
    w_dec = torch.nn.Parameter(torch.tensor([[1.0, 0.0]]))
    w_dec.grad = torch.tensor([[5.0, 7.0]])
    drop_radial_gradient(w_dec)
    assert w_dec.grad.tolist() == [[0.0, 7.0]]


def test_input_scale():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert input_scale(x, normalise=True).tolist() == [[5.0], [1.0]]
    assert input_scale(x, normalise=False).tolist() == [[1.0], [1.0]]
    assert input_scale(x, normalise=True, power=0.5).tolist() == [[pytest.approx(5**0.5)], [1.0]]
