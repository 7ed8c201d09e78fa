"""SigLIP: the library's own embeddings, padding that is read, the methods over a pooling head."""

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor

import matex
from matex.adapters.model import Similarity
from matex.adapters.siglip import adapt
from matex.attribution import METHODS
from matex.forward_pass import FROM_INPUT, run
from matex.recording import record
from matex.samples import samples
from tests.reference import siglip as slow

WORDS = ("opacity", "in", "the", "left", "lower", "lung", "right", "nodule", "no", "effusion")
EOS, PAD = 1, 0


# Every size different; phrases of up to 9 tokens.
VISION = {
    "hidden_size": 24,
    "intermediate_size": 28,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "patch_size": 7,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 18,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "max_position_embeddings": 9,
    "vocab_size": 40,
    "projection_size": 24,
    "bos_token_id": None,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}


def small_siglip(seed=0):
    shared = {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
    vision = {**VISION, "image_size": 35, **shared}
    return perturbed(SiglipModel, SiglipConfig(vision_config=vision, text_config={**TEXT, **shared}), seed)


def perturbed(kind, config, seed):
    """A module in float64, none of whose parameters is 0 or 1."""
    torch.manual_seed(seed)
    module = kind(config).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.06)
        module.logit_scale.fill_(2.0)
        module.logit_bias.fill_(-3.0)
    return module.double()


def words_tokenizer():
    vocabulary = {"<pad>": PAD, "</s>": EOS, "<unk>": 2} | {word: 3 + i for i, word in enumerate(WORDS)}
    backend = Backend(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def exact(actual, expected, atol=1e-8):
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=atol)


@pytest.fixture
def module():
    return small_siglip()


@pytest.fixture
def model(module):
    return adapt(module, "small", preprocessing=None, tokenizer=None)


@pytest.fixture
def token_ids(model):
    return model.text.collate([[3, 4, 5, 6, EOS], [10, EOS], [11, 3, EOS]])


def test_embeddings_and_logits_are_the_librarys_own(module, model, pixels, token_ids):
    with torch.no_grad():
        output = module(pixel_values=pixels, input_ids=token_ids)
    exact(run(model.image, pixels).embedding, output.image_embeds, atol=1e-10)
    exact(run(model.text, token_ids).embedding, output.text_embeds, atol=1e-10)
    cosine = matex.score(model, pixels, token_ids)
    exact(model.similarity.scale * cosine + model.similarity.bias, output.logits_per_image, atol=1e-10)
    probability = model.similarity.probability(float(cosine[0, 1]))
    assert probability == pytest.approx(torch.sigmoid(output.logits_per_image[0, 1]).item())


def test_float32_and_another_resolution_agree_with_the_library(pixels):
    module = small_siglip().float()
    model = adapt(module, "small", preprocessing=None, tokenizer=None)
    wide = torch.randn(2, 3, 28, 49)
    with torch.no_grad():
        features = module.get_image_features(wide, interpolate_pos_encoding=True).pooler_output
    exact(run(model.image, wide).embedding, torch.nn.functional.normalize(features, dim=-1), atol=1e-5)
    assert model.image.axis(wide).grid == (4, 7)


def test_padding_is_read_and_a_phrase_is_padded_to_its_full_length(module, model):
    ids = model.text.collate([[3, 4, EOS]])
    assert ids.tolist() == [[3, 4, EOS, 0, 0, 0, 0, 0, 0]]
    axis = model.text.axis(ids)
    assert axis.valid.all()
    assert axis.content[0].tolist() == [True, True] + [False] * 7
    left = model.text.remove(ids, torch.tensor([[True, False], [False, True]]))
    assert left.tolist() == [[3, EOS] + [0] * 7, [4, EOS] + [0] * 7]
    alone, batch = (
        run(model.text, ids).embedding[0],
        run(model.text, model.text.collate([[3, 4, EOS], [3, 4, 5, 6, EOS]])),
    )
    exact(batch.embedding[0], alone)


@pytest.mark.parametrize("layer", [0, 2, 3])
def test_the_trace_has_what_an_eager_pass_has(module, model, pixels, token_ids, layer):
    trace = record(model, pixels, token_ids, image_gradient_blocks=2).image
    for pair in range(3):
        image = slow.Image(module, pixels[pair])
        target = trace.target[pair]
        exact(trace.score[pair], image.score(target).detach())
        attention, gradient = image.layers()[layer], image.gradients(target)[layer]
        exact(trace.gradient_rows(layer)[pair].transpose(0, 1).flatten(1), gradient)
        exact(trace.attention(layer)[pair], torch.stack(attention.rows).detach())
        exact(trace.value(layer)[pair].transpose(0, 1).flatten(1), attention.value.detach())
        exact(trace.attention_row(layer)[pair].mean(0), image.reading_row(layer).detach())
    assert trace.one_reader(layer) == (layer == 3)


def test_methods_over_a_pooling_head_agree_with_their_slow_twins(module, model, pixels, token_ids):
    target = record(model, pixels, token_ids).image.target

    def grid(name, **parameters):
        return matex.attribute(model, pixels, token_ids, method=name, **parameters).flatten(1)

    fused = grid("matex", beta=0.3)
    for pair in range(3):
        image, there = slow.Image(module, pixels[pair]), target[pair]
        gradients = image.gradients(there)
        exact(grid("raw-attention")[pair], image.reading_row(3).detach())
        exact(grid("rollout")[pair], slow.rollout(image))
        scale = model.similarity.scale
        exact(grid("chefer")[pair], slow.chefer(image, there, scale, everywhere=False))
        exact(grid("chefer", layers="all")[pair], slow.chefer(image, there, scale, everywhere=True))
        exact(grid("grad-eclip")[pair], slow.grad_eclip(image.head, gradients[3]))
        both = slow.grad_eclip(image.head, gradients[3]) + slow.grad_eclip(image.attentions[2], gradients[2])
        exact(grid("grad-eclip", layers=2)[pair], both)
        terms = slow.matex_terms(image, there, layers=3, temperature=0.5)
        weights = {"gradient": 0.5 + 0.2, "flow": 0.3, "consistency": 0.35}  # the prior is neutral without words
        exact(fused[pair], sum(weights[name] * terms[name] for name in weights))
        exact(grid("legrad")[pair], slow.legrad(image, there, layers=2))
        exact(grid("maskclip")[pair], slow.maskclip(image, there))


def test_gradients_announced_or_not_and_from_the_input_are_the_same(model, pixels, token_ids):
    plain = record(model, pixels, token_ids).image
    for blocks in (2, FROM_INPUT):
        announced = record(model, pixels, token_ids, image_gradient_blocks=blocks).image
        for layer in (1, 2, 3):
            exact(announced.gradient_rows(layer), plain.gradient_rows(layer))
        exact(announced.gradient_entry(), plain.gradient_entry())


@pytest.mark.parametrize("name", [name for name in METHODS if name != "guided-backprop"])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_every_method_serves_a_batch_as_its_items_or_refuses(model, pixels, token_ids, name, tower):
    small = {"masks": 20, "samples": 20, "steps": 2}
    fields = METHODS[name].__dataclass_fields__
    settings = {key: value for key, value in small.items() if key in fields}
    if tower not in METHODS[name].towers or name == "clip-surgery" or (name, tower) == ("chefer-lrp", "image"):
        with pytest.raises((matex.InputError, matex.UnsupportedModel), match="Expected a method for this"):
            matex.attribute(model, pixels[:1], token_ids[:1], method=name, tower=tower, **settings)
        return
    batch = matex.attribute(model, pixels, token_ids, method=name, tower=tower, **settings)
    for i in range(3):
        alone = matex.attribute(model, pixels[i : i + 1], token_ids[i : i + 1], method=name, tower=tower, **settings)
        exact(batch[i], alone)
        assert alone.isfinite().all()


def saved(folder, module):
    module.float().save_pretrained(folder)
    words_tokenizer().save_pretrained(folder)
    side = {"height": 35, "width": 35}
    SiglipImageProcessor(size=side, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(folder)
    return folder


def test_a_folder_is_explained_in_three_lines(tmp_path, module):
    folder, film = saved(tmp_path / "siglip", module), samples()[0]
    model = matex.load(f"hf:{folder}")
    explanation = matex.explain(model, film.path, "opacity in the left lower lung")
    assert explanation.image.grid.shape == (5, 5)
    assert [word for word, _ in explanation.words] == ["opacity", "in", "the", "left", "lower", "lung"]
    assert np.isfinite([score for _, score in explanation.words]).all()
    logit = torch.tensor(float(np.exp(2.0)) * explanation.score - 3.0)
    assert explanation.probability == pytest.approx(torch.sigmoid(logit).item(), rel=1e-5)
    comparison = matex.compare(model, film.path, "left nodule", ["rollout", "clip-surgery"], skip_unsupported=True)
    assert "pooling head" in comparison.left_out["clip-surgery"]


def test_the_probability_is_shown_where_the_score_is(tmp_path, module, capsys):
    from matex.cli import run as command
    from matex.viewer import work

    folder, film = saved(tmp_path / "siglip", module), samples()[0]
    model = matex.load(f"hf:{folder}")
    explanation = matex.explain(model, film.path, "left nodule", "rollout")
    shown = f"{explanation.probability:.3g}"
    arguments = ["explain", str(film.path), "left nodule", "-m", "rollout", "--model", f"hf:{folder}"]
    assert command([*arguments, "-o", str(tmp_path / "out")]) == 0
    assert f"(cosine similarity, probability {shown})" in capsys.readouterr().out
    assert f"cosine similarity, probability {shown}" in (tmp_path / "out" / "report.html").read_text()
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert record["probability"] == matex.Explanation.load(tmp_path / "out").probability == explanation.probability
    rows = work.yardstick(model, work.Question(matex.read(film.path), "left nodule"))
    assert [row.probability for row in rows] == [model.similarity.probability(row.score) for row in rows]
    film = matex.read(film.path)
    assert matex.explain(model, film, film, "rollout").probability is None  # no phrase, no sigmoid that was trained
    assert matex.explain(model, film, "left nodule", "rollout", against="right nodule").probability is None
    assert matex.explain(matex.load("tiny"), film, "left nodule", "rollout").probability is None


@pytest.mark.parametrize("cosine", [-1.0, 0.02, 1.0])
def test_a_probability_of_any_scale_is_a_number(cosine):
    similarity = Similarity(5000.0, -10.0, "sigmoid")
    assert similarity.probability(cosine) == pytest.approx(torch.sigmoid(torch.tensor(5000.0 * cosine - 10)).item())
    assert Similarity(100.0).probability(cosine) is None


def test_a_model_in_memory_with_its_processor_is_the_folders(tmp_path, module):
    folder, film = saved(tmp_path / "siglip", module), samples()[0]
    processor = SiglipProcessor(SiglipImageProcessor.from_pretrained(folder), words_tokenizer())
    held = SiglipModel.from_pretrained(folder)
    expected = matex.explain(matex.load(f"hf:{folder}"), film.path, "left nodule")
    for model in (
        matex.load(held, processor=processor),
        matex.load(held, tokenizer=processor.tokenizer, image_processor=processor.image_processor),
    ):
        explanation = matex.explain(model, film.path, "left nodule")
        np.testing.assert_array_equal(explanation.image.grid, expected.image.grid)
        assert explanation.words == expected.words
    half = matex.load(held.bfloat16(), processor=processor)
    assert half.dtype == torch.bfloat16
    assert abs(matex.explain(half, film.path, "left nodule").score - expected.score) < 0.02


@pytest.mark.parametrize(("name", "value"), [("scale", 1000.0), ("scale", -1000.0), ("bias", float("inf"))])
def test_a_temperature_outside_every_number_is_refused(module, name, value):
    with torch.no_grad():
        getattr(module, f"logit_{name}").fill_(value)
    with pytest.raises(matex.CheckpointError, match=f"logit_{name} in 'small'"):
        adapt(module, "small", preprocessing=None, tokenizer=None)


def test_wrong_files_are_refused_with_the_reason(tmp_path, module):
    folder = saved(tmp_path / "siglip", module)
    config_as_saved = (folder / "config.json").read_text()
    config = json.loads(config_as_saved)
    config["vision_config"]["vision_use_head"] = False
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(matex.CheckpointError, match=r"unexpected .*head"):
        matex.load(f"hf:{folder}")
    config["vision_config"] |= {"vision_use_head": True, "num_hidden_layers": 2}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(matex.CheckpointError, match=r"unexpected .*encoder\.layers\.2"):
        matex.load(f"hf:{folder}")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    del settings["image_mean"], settings["size"]
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(config_as_saved)
    with pytest.raises(matex.InputError, match="Expected size, image_mean in preprocessor_config"):
        matex.load(f"hf:{folder}")
    with pytest.raises(matex.InputError, match="processor with a tokenizer"):
        matex.load(module, processor=object())
    with pytest.raises(matex.InputError, match="only with a model in memory"):
        matex.load("tiny", processor=object())
