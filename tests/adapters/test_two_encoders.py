"""Two encoders of one's own: feature maps, tokens, single vectors; what each serves and what it refuses."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import matex
from matex.adapters.encoder import Attentive, Staged
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.tokenizer import load_tokenizer
from matex.errors import InputError, UnsupportedModel
from matex.forward_pass import encode
from matex.samples import samples
from matex.testing import check_model
from tests.adapters.random_weights import BERT, IDS, VALID, pixels, transformers_bert, write_vocabulary

PIXELS = Preprocessing((48, 48), "pad", "bicubic", 1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
PHRASE = "small opacity in the left lung"


class Images(nn.Module):
    """A patch embedding and what follows it: "map", "tokens" with a first one of their own, or a "vector"."""

    def __init__(self, returns):
        super().__init__()
        self.returns, self.patches = returns, nn.Conv2d(3, 20, 12, 12)

    def forward(self, images):
        found = self.patches(images).tanh()
        if self.returns == "map":
            return found
        tokens = found.flatten(2).mT
        first = tokens.mean(dim=1, keepdim=True)
        return torch.cat([first, tokens], dim=1) if self.returns == "tokens" else first[:, 0]


class Words(nn.Module):
    """An embedding table; tokens, or their mean over the phrase."""

    def __init__(self, pooled):
        super().__init__()
        self.pooled, self.table = pooled, nn.Embedding(BERT.vocab_size, 18)

    def forward(self, token_ids, attention_mask):
        weight = attention_mask[..., None].to(self.table.weight)
        tokens = self.table(token_ids).sin() * weight
        return tokens.sum(dim=1) / weight.sum(dim=1) if self.pooled else tokens


class Embedded(Words):
    """As `Words`, from embedded tokens too."""

    def get_input_embeddings(self):
        return self.table

    def forward(self, token_ids=None, attention_mask=None, inputs_embeds=None):
        found = self.table(token_ids) if inputs_embeds is None else inputs_embeds
        return found.sin() * attention_mask[..., None].to(found)


@pytest.fixture
def tokenizer(tmp_path):
    return load_tokenizer(write_vocabulary(tmp_path))


@pytest.fixture
def together(tokenizer):
    def make(image="map", text=None, **options):
        torch.manual_seed(2)
        text = Words(False) if text is None else text
        wide = BERT.hidden_size if type(text).__name__ == "BertModel" else 18
        heads = (nn.Linear(20, 10), nn.Linear(wide, 10))
        special = {"special": 1} if image == "tokens" else {}
        modules = [module.double().eval() for module in (Images(image), text, *heads)]
        return matex.from_encoders(
            modules[0],
            modules[1],
            preprocessing=PIXELS,
            tokenizer=tokenizer,
            **{
                "projections": (modules[2], modules[3]),
                "pooling": ("mean", "mean"),
                "patch": 12,
                **special,
                **options,
            },
        )

    return make


@pytest.mark.parametrize("image", ["map", "tokens", "vector"])
@pytest.mark.parametrize("text", [Words(False), Words(True), Embedded(False)])
def test_the_conformance_suite_finds_no_fault(together, image, text):
    model = together(image, text)

    @torch.no_grad()
    def library(images, ids):
        tokens = model.module["image"](images)
        pooled = {"map": lambda x: x.mean(dim=(2, 3)), "tokens": lambda x: x[:, 1:].mean(dim=1), "vector": lambda x: x}
        words = model.module["text"](ids, (ids != 0).long())
        words = words if words.dim() == 2 else words.sum(dim=1) / (ids != 0).sum(dim=1, keepdim=True)
        heads = model.module["projections"]
        return heads[0](pooled[image](tokens)), heads[1](words)

    checks = check_model(
        model, pixels=pixels(48, 48), library=library, methods=["gradcam", "m2ib", "saliency", "matex"]
    )
    assert {check.state for check in checks} <= {"pass", "skipped"}


def test_feature_maps_are_explained_at_their_places(together):
    model, film = together("map"), samples()[0]
    for method in ("gradcam", "maskclip", "m2ib", "saliency", "kernel-shap"):
        parameters = {"samples": 20} if method == "kernel-shap" else {}
        explanation = matex.explain(model, film.path, PHRASE, method=method, **parameters)
        assert explanation.image.values.shape == explanation.query.film.size
        assert np.isfinite(explanation.image.values).any()
        if method != "saliency":
            assert explanation.image.grid.shape == (4, 4)
    with pytest.raises(UnsupportedModel, match=r"blocks are not known\. There are .*gradcam.*maskclip"):
        matex.explain(model, film.path, PHRASE)


def test_one_vector_serves_gradients_and_other_inputs_alone(together):
    model, film = together("vector"), samples()[0]
    assert matex.explain(model, film.path, PHRASE, method="saliency").image.grid.max() > 0
    assert matex.explain(model, film.path, PHRASE, method="rise", masks=8).image.grid.shape == (48, 48)
    for method in ("gradcam", "m2ib", "maskclip"):
        with pytest.raises(UnsupportedModel, match=r"one vector per input\. There are .*saliency"):
            matex.explain(model, film.path, PHRASE, method=method)


def test_words_are_scored_as_far_as_the_text_module_allows(together):
    film = samples()[0]
    alone = matex.explain(together(), film.path, PHRASE, method="saliency")
    assert alone.words == ()
    assert any("no gradient reaches the words" in note for note in alone.notes)
    assert len(matex.explain(together(), film.path, PHRASE, method="rise", masks=8).words) == 6
    assert len(matex.explain(together("map", Embedded(False)), film.path, PHRASE, method="saliency").words) == 6


def test_a_bert_of_transformers_is_run_block_by_block(together):
    bert = transformers_bert(3)
    model = together("map", bert, pooling=("mean", "first"))
    assert isinstance(model.text, Attentive)
    hidden = bert(IDS, attention_mask=VALID.long()).last_hidden_state
    expected = F.normalize(model.module["projections"][1](hidden[:, 0]), dim=-1)
    torch.testing.assert_close(encode(model.text, IDS), expected, rtol=0, atol=1e-10)
    assert isinstance(model.image, Staged)
    assert not isinstance(model.image, Attentive)


@pytest.mark.parametrize("options", [{"hidden_act": "relu"}, {"is_decoder": True}])
def test_another_bert_of_transformers_is_run_as_one_stage(together, options):
    bert = transformers_bert(3, **options)
    model = together("map", bert, pooling=("mean", "first"))
    assert not isinstance(model.text, Attentive)
    hidden = bert(IDS, attention_mask=VALID.long()).last_hidden_state
    expected = F.normalize(model.module["projections"][1](hidden[:, 0]), dim=-1)
    torch.testing.assert_close(encode(model.text, IDS), expected, rtol=0, atol=1e-10)
    assert len(matex.explain(model, samples()[0].path, "the left lung", method="saliency").words) == 3


def test_what_does_not_fit_is_refused_in_one_line(together, tokenizer):
    with pytest.raises(InputError, match="special tokens and a grid of 3x3"):
        together("tokens", patch=16)
    with pytest.raises(InputError, match="a patch that divides 48x48"):
        together("vector", patch=13)
    options = {"preprocessing": PIXELS, "tokenizer": tokenizer}
    with pytest.raises(InputError, match=r"evaluation mode, got it training. Call eval\(\)"):
        matex.from_encoders(Images("map"), Words(False).eval(), **options)
    with pytest.raises(InputError, match="a module of torch, got 'function'"):
        matex.from_encoders(lambda x: x, Words(False).eval(), **options)
    with pytest.raises(InputError, match="pooling of the text to be first, last, mean, got 'max'"):
        together("tokens", pooling=("mean", "max"))
    with pytest.raises(InputError, match=r"tokenizer of transformers .*, got none"):
        matex.from_encoders(Images("map").eval(), Words(False).eval(), preprocessing=PIXELS, tokenizer=None)
    apart = together("map", projections=(None, nn.Linear(18, 10).double()))
    ids = apart.batch([apart.encode("left")])
    with pytest.raises(InputError, match="in one space, got 20 and 10 dimensions"):
        matex.attribute(apart, torch.randn(1, 3, 48, 48, dtype=torch.float64), ids, "gradient")
    with pytest.raises(UnsupportedModel, match="got list"):
        matex.from_encoders(nn.Sequential(Images("map"), Listed()).eval(), Words(False).eval(), **options)


class Listed(nn.Module):
    def forward(self, found):
        return [found]
