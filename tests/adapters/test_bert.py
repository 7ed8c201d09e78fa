"""BERT block by block against transformers' BertModel."""

import pytest
import torch

from matex.adapters import bert
from matex.adapters.bert import Bert, BertConfig
from matex.errors import CheckpointError, UnsupportedModel
from tests.adapters.random_weights import BERT, IDS, VALID, transformers_bert


@pytest.fixture
def theirs():
    return transformers_bert()


@pytest.fixture
def ours(theirs):
    module = Bert(BERT).double()
    module.load_state_dict(theirs.state_dict())
    return module


def test_every_hidden_state_equals_that_of_transformers(ours, theirs):
    expected = theirs(IDS, attention_mask=VALID.long(), output_hidden_states=True).hidden_states
    for module in (ours, theirs):  # a BertModel in memory is run by the same functions
        found = bert.hidden_states(module, IDS, VALID)
        assert len(found) == len(expected) == 6
        for state, reference in zip(found, expected, strict=True):
            torch.testing.assert_close(state, reference, rtol=0, atol=1e-10)


def test_attention_equals_the_eager_maps_of_transformers(ours, theirs):
    outputs = theirs(IDS, attention_mask=VALID.long(), output_attentions=True, output_hidden_states=True)
    for layer, (hidden, weights) in enumerate(zip(outputs.hidden_states, outputs.attentions, strict=False)):
        found = bert.attend(ours, layer, hidden, VALID)
        scores = found.query @ found.key.mT / found.query.shape[-1] ** 0.5
        rebuilt = scores.masked_fill(~found.mask[:, None], -torch.inf).softmax(dim=-1)
        torch.testing.assert_close(rebuilt, weights, rtol=0, atol=1e-10)
        torch.testing.assert_close((weights @ found.value).transpose(1, 2).flatten(2), found.output)


def test_some_rows_equal_the_same_rows_of_all(ours):
    hidden = bert.hidden_states(ours, IDS, VALID)[3]
    rows = torch.tensor([[0, 5], [3, 1]])
    whole, some = bert.attend(ours, 3, hidden, VALID), bert.attend(ours, 3, hidden, VALID, rows)
    torch.testing.assert_close(some.output, bert.take(whole.output, rows))
    assert some.mask.shape == (2, 2, 6)
    after = bert.after_attention(ours, 3, bert.take(hidden, rows), some.output)
    torch.testing.assert_close(after, bert.take(bert.stage(ours, 3, hidden, VALID), rows))


def test_a_phrase_in_a_batch_equals_the_phrase_alone(ours):
    padded = bert.hidden_states(ours, IDS, VALID)[-1][1, :4]
    torch.testing.assert_close(padded, bert.hidden_states(ours, IDS[1:, :4], VALID[1:, :4])[-1][0])


def test_padding_gets_no_gradient_and_is_no_key(ours):
    words = bert.word_embeddings(ours, IDS).detach().requires_grad_()
    hidden = bert.embed(ours, words)
    for layer in range(bert.depth(ours)):
        hidden = bert.stage(ours, layer, hidden, VALID)
    hidden[:, 0].sum().backward()
    assert words.grad is not None
    assert words.grad[1, 4:].abs().max() == 0 < words.grad[1, :4].abs().min()
    assert not bert.padding_mask(VALID)[1, :, 4:].any()


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
