"""AttnLRP and Chefer's relevance propagation agree with their twins, and leave nothing behind."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import matex
from matex.adapters.clip import adapt
from matex.attribution.attn_lrp import LINEAR, TABLE, AttnLrp
from matex.attribution.chefer_lrp import Attention, CheferLrp, positive_products, ratio, residual, rules
from matex.attribution.shared.rules import MOVES, Rules
from tests.attribution.pairs import make_pair
from tests.conftest import small_clip
from tests.reference import relevance


def unit(embedding):
    return (embedding / torch.sqrt(embedding @ embedding)).detach()


@pytest.fixture(params=["quick_gelu", "gelu"])
def pair(request, pixels, token_ids):
    module = small_clip(activation=request.param)
    return make_pair(module, adapt(module, "small", preprocessing=None, tokenizer=None), pixels, token_ids, 0)


def test_attn_lrp_agrees_with_its_twin(pair):
    image, text = unit(pair.image.embedding), unit(pair.text.embedding)
    pair.check(
        "attn-lrp",
        relevance.attn_lrp(pair.module, "vision_model", pair.image, text, pair.patches),
        relevance.attn_lrp(pair.module, "text_model", pair.text, image, pair.tokens),
    )


def test_chefer_lrp_agrees_with_its_twin(pair):
    image, text, scale = unit(pair.image.embedding), unit(pair.text.embedding), pair.module.logit_scale.exp().item()
    pair.check(
        "chefer-lrp",
        relevance.chefer_lrp(pair.module, "vision_model", pair.image, text, pair.patches, pair.score, scale),
        relevance.chefer_lrp(pair.module, "text_model", pair.text, image, pair.tokens, pair.score, scale),
    )


def test_several_pairs_of_one_image_agree_with_each_by_itself(model, pixels, token_ids):
    for method in (AttnLrp(), CheferLrp()):
        together = method(matex.record(model, pixels, token_ids, [(0, 0), (0, 1), (2, 1), (0, 2)]).image)
        for n, pair in enumerate([(0, 0), (0, 1), (2, 1), (0, 2)]):
            alone = method(matex.record(model, pixels, token_ids, [pair]).image)
            torch.testing.assert_close(together[n], alone[0], rtol=0, atol=1e-12)


def test_without_biases_and_values_the_relevance_of_all_tokens_is_the_score(pixels, token_ids):
    """Conservation: biases and the softmax, which keep relevance, have none here."""
    module = small_clip()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias") or "v_proj" in name:
                parameter.zero_()
    model = adapt(module, "small", preprocessing=None, tokenizer=None)
    trace = matex.record(model, pixels, token_ids).text
    summed = matex.attribute(model, pixels, token_ids, method="attn-lrp", tower="text").nansum(dim=1)
    torch.testing.assert_close(summed, trace.score, rtol=0, atol=1e-10)


def test_relevance_of_one_is_distributed_down_to_the_last_attention(model, pixels, token_ids):
    """The rule of sums conserves the total, half of what its branch gets goes to the attention."""
    maps = CheferLrp().attention_relevance(matex.record(model, pixels, token_ids).image)
    total = maps[-1].sum(dim=(1, 2, 3))
    assert ((total > 0) & (total < 0.5)).all()


def test_positive_products_by_hand():
    """Inputs (1, -2, 3), weights (2, 1, -1) and (-1, -1, 1): positive are 2; and 2, 3 of 5."""
    inputs = torch.tensor([[1.0, -2.0, 3.0]], requires_grad=True)
    output = positive_products(inputs, torch.tensor([[2.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]), torch.tensor([7.0, 8.0]))
    assert output.tolist() == [[2.0 - 2.0 - 3.0 + 7.0, -1.0 + 2.0 + 3.0 + 8.0]]
    (found,) = torch.autograd.grad(output, inputs, torch.tensor([[10.0, 5.0]]))
    assert found.tolist() == [[10.0, 2.0, 3.0]]


def test_a_sum_of_two_streams_shares_by_size_and_keeps_the_total():
    first, second = (torch.tensor([values], requires_grad=True) for values in ([1.0, 2.0], [3.0, -1.0]))
    parts = torch.autograd.grad(residual(first, second), (first, second), torch.tensor([[4.0, 2.0]]))
    # z rule: (1, 4) and (3, -2), sums 5 and 1 of 6; scaled to 5 and 1
    assert [part.tolist() for part in parts] == [[[1.0, 4.0]], [[3.0, -2.0]]]
    assert ratio(torch.ones(1), torch.zeros(1)).tolist() == [0.0]


@pytest.mark.parametrize("method", ["attn-lrp", "chefer-lrp"])
def test_the_pass_under_rules_has_the_models_own_values(pair, method):
    pixels, token_ids = pair.inputs
    trace = matex.record(pair.model, pixels, token_ids).image
    state = trace.state(0)
    hidden = state.hidden.clone().requires_grad_()
    table, passed = {"attn-lrp": (TABLE, MOVES | LINEAR), "chefer-lrp": (rules(Attention()), MOVES)}[method]
    with Rules(method, table, passed):
        found = trace.embed_state(0, state.with_hidden(hidden))
    torch.testing.assert_close(found.detach(), trace.embedding, rtol=0, atol=1e-12)


class Squared(nn.Module):
    def forward(self, hidden):
        return torch.pow(hidden, 2.0)


@pytest.mark.parametrize("method", ["attn-lrp", "chefer-lrp"])
def test_an_operation_without_a_rule_is_refused_by_its_name(module, pixels, token_ids, method):
    for layer in module.vision_model.encoder.layers:
        layer.mlp.activation_fn = Squared()
    model = adapt(module, "small", preprocessing=None, tokenizer=None)
    with pytest.raises(matex.UnsupportedModel, match=f"that {method} has a relevance rule for, got pow"):
        matex.attribute(model, pixels, token_ids, method=method)


def test_functions_are_torchs_own_afterwards(model, pixels, token_ids):
    matex.attribute(model, pixels, token_ids, method="attn-lrp")
    hidden = torch.randn(3, 4, requires_grad=True)
    (found,) = torch.autograd.grad(F.gelu(hidden).sum(), hidden)
    expected = torch.autograd.functional.jacobian(lambda x: F.gelu(x).sum(), hidden.detach())
    torch.testing.assert_close(found, expected)
