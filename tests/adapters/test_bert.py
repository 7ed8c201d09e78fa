"""BERT block by block against transformers' BertModel."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from matex.adapters.bert import Bert, BertConfig, BertEncoder
from matex.adapters.encoder import Attentive, JointTokens, State
from matex.errors import CheckpointError, UnsupportedModel
from matex.forward_pass import embed, encode, run
from tests.adapters.random_weights import BERT, IDS, VALID, transformers_bert


@pytest.fixture
def theirs():
    return transformers_bert()


@pytest.fixture
def ours(theirs):
    module = Bert(BERT).double()
    module.load_state_dict(theirs.state_dict())
    return module


def encoder(bert, read="mean", **options):
    torch.manual_seed(3)
    return BertEncoder(bert, nn.Linear(BERT.hidden_size, 10, bias=False).double(), read, **options)


def hidden_states(tower, ids):
    states = [tower.start(tower.entry(ids), ids)]
    for layer in range(tower.depth):
        states.append(tower.stage(layer, states[-1]))
    return [state.hidden for state in states]


def test_every_hidden_state_equals_that_of_transformers(ours, theirs):
    expected = theirs(IDS, attention_mask=VALID.long(), output_hidden_states=True).hidden_states
    for module in (ours, theirs):  # a BertModel in memory is run the same way
        found = hidden_states(encoder(module), IDS)
        assert len(found) == len(expected) == 6
        for state, reference in zip(found, expected, strict=True):
            torch.testing.assert_close(state, reference, rtol=0, atol=1e-10)


def test_attention_equals_the_eager_maps_of_transformers(ours, theirs):
    outputs = theirs(IDS, attention_mask=VALID.long(), output_attentions=True)
    forward = run(encoder(ours), IDS)
    for found, weights, state in zip(forward.attended, outputs.attentions, forward.states, strict=False):
        scores = found.query @ found.key.mT / found.query.shape[-1] ** 0.5
        mask = encoder(ours).mask(0, state.axis)
        assert mask is not None
        rebuilt = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
        torch.testing.assert_close(rebuilt, weights, rtol=0, atol=1e-10)
        torch.testing.assert_close((weights @ found.value).transpose(1, 2).flatten(2), found.output)


@pytest.mark.parametrize(("read", "rows"), [("first", [0, 0]), ("last", [5, 3])])
def test_one_token_is_read_before_and_behind_the_head(ours, theirs, read, rows):
    tower = encoder(ours, read)
    assert isinstance(tower, Attentive)
    assert isinstance(tower, JointTokens)
    hidden = theirs(IDS, attention_mask=VALID.long()).last_hidden_state
    expected = F.normalize(tower.head(hidden[[0, 1], rows]), dim=-1)
    torch.testing.assert_close(encode(tower, IDS), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(run(tower, IDS, 2).embedding, expected, rtol=0, atol=1e-10)
    assert tower.readers(tower.axis(IDS)).position.tolist() == rows


def test_taps_and_the_mean_over_the_phrase(ours, theirs):
    states = theirs(IDS, attention_mask=VALID.long(), output_hidden_states=True).hidden_states
    mean = torch.stack([states[1], states[2], states[5]]).mean(dim=0)
    tower = encoder(ours, taps=(0, 1))
    pooled = torch.stack([mean[0].mean(dim=0), mean[1, :4].mean(dim=0)])
    torch.testing.assert_close(encode(tower, IDS), F.normalize(tower.head(pooled), dim=-1), rtol=0, atol=1e-10)
    padded = encoder(ours, taps=(0, 1), pools_padding=True)
    expected = F.normalize(padded.head(mean.mean(dim=1)), dim=-1)
    torch.testing.assert_close(encode(padded, IDS), expected, rtol=0, atol=1e-10)
    assert (encode(padded, IDS)[1] - encode(tower, IDS)[1]).abs().max() > 1e-3


def test_a_phrase_in_a_batch_equals_the_phrase_alone(ours):
    for read in ("first", "last", "mean"):
        tower = encoder(ours, read, taps=(1,) if read == "mean" else ())
        torch.testing.assert_close(encode(tower, IDS)[1:], encode(tower, IDS[1:, :4]))


def test_words_stand_between_the_ends_and_padding_is_no_token(ours):
    tower = encoder(ours)
    axis = tower.axis(IDS)
    assert axis.content.tolist() == [[False, *[True] * 4, False], [False, True, True, False, False, False]]
    assert torch.equal(axis.valid, VALID)
    assert tower.collate([[2, 11, 3], [2, 3]]).tolist() == [[2, 11, 3], [2, 3, 0]]
    kept = torch.tensor([[True, False, True, False], [False, True, True, False]])
    assert tower.remove(IDS[:1], kept).tolist() == [[2, 11, 30, 3], [2, 7, 30, 3]]


def test_padding_gets_no_gradient(ours):
    tower = encoder(ours)
    entry = tower.entry(IDS).detach().requires_grad_()
    embed(tower, State(entry, tower.axis(IDS))).square().sum(dim=0)[0].backward()
    assert entry.grad is not None
    assert entry.grad[1, 4:].abs().max() == 0 < entry.grad[1, :4].abs().min()


def test_all_weights_but_the_pooler_belong_to_a_stage(ours):
    tower = encoder(ours)
    named = {id(weight) for weights in tower.stages().values() for weight in weights}
    assert list(tower.stages())[:2] == ["projection", "block 4"]
    assert {name.split(".")[0] for name, weight in ours.named_parameters() if id(weight) not in named} == {"pooler"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"hidden_act": "relu"}, UnsupportedModel, "hidden_act 'gelu'"),
        ({"is_decoder": True}, UnsupportedModel, "is_decoder False"),
        ({"position_embedding_type": "relative_key"}, UnsupportedModel, "absolute"),
        ({"hidden_size": 0}, CheckpointError, "hidden_size"),
        ({"num_hidden_layers": True}, CheckpointError, "num_hidden_layers"),
        ({"vocab_size": 1 << 30}, CheckpointError, "vocab_size"),
        ({"layer_norm_eps": "small"}, CheckpointError, "layer_norm_eps"),
        ({"num_attention_heads": 7}, CheckpointError, "divide hidden_size 768"),
    ],
)
def test_other_configurations_are_refused(change, error, message):
    assert BertConfig.from_dict({"model_type": "bert"}, "folder") == BertConfig()
    with pytest.raises(error, match=message):
        BertConfig.from_dict(change, "folder")
