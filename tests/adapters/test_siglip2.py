"""SigLIP 2 NaFlex: films of any shape, against transformers' own processor and its forward with padding and mask."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Siglip2Config, Siglip2Model
from transformers.models.siglip2.image_processing_pil_siglip2 import (
    Siglip2ImageProcessorPil,
    get_image_size_for_max_num_patches,
)

import matex
from matex.adapters.huggingface import preprocessing_of
from matex.adapters.inputs import stack_images
from matex.adapters.preprocessing import flexible_size
from matex.adapters.siglip2 import adapt
from matex.datasets.sample import Sample
from matex.forward_pass import run
from matex.metrics import Case, make_metric
from matex.testing import check_model
from matex.traced import trace_pairs
from tests.adapters.test_siglip import EOS, PAD, TEXT, VISION, exact, perturbed, words_tokenizer

IDS = [[3, 4, 5, 6, EOS, *[PAD] * 4], [10, EOS, *[PAD] * 7]]
MOST = 30  # patches of 7 x 7 pixels; positions lie on 5 x 5


def small_siglip2(seed=0):
    return perturbed(
        Siglip2Model, Siglip2Config(vision_config={**VISION, "num_patches": 25}, text_config=dict(TEXT)), seed
    )


def processor():
    return Siglip2ImageProcessorPil(patch_size=7, max_num_patches=MOST)


def film(height, width):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    return matex.read(Image.fromarray(pixels))


def saved(folder, module):
    module.float().save_pretrained(folder)
    words_tokenizer().save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


@pytest.fixture
def module():
    return small_siglip2()


@pytest.fixture
def model(module):
    settings = {name: value for name, value in processor().to_dict().items() if value is not None}
    preprocessing = preprocessing_of(settings, module)
    return adapt(module, "small", preprocessing=preprocessing, tokenizer=words_tokenizer())


SHAPES = [(120, 310), (310, 120), (50, 50), (16, 300), (33, 20)]


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_embeddings_and_logits_are_the_librarys_own_with_its_padding(module, model, dtype, atol):
    module.to(dtype)
    films, ids = [film(*shape) for shape in SHAPES], torch.tensor(IDS)
    theirs = processor()([one.pixels for one in films], return_tensors="pt").to(dtype=dtype)
    assert not theirs["pixel_attention_mask"].all()
    with torch.no_grad():
        expected = module(input_ids=ids, **theirs)
    for number, one in enumerate(films):
        own, placement = model.prepare(one)
        rows, columns = theirs["spatial_shapes"][number].tolist()
        assert placement.grid == (rows, columns)
        patches = theirs["pixel_values"][number, : rows * columns].reshape(rows, columns, 7, 7, 3)
        pixels = patches.permute(4, 0, 2, 1, 3).reshape(1, 3, rows * 7, columns * 7)
        exact(own, pixels, 1e-6)  # normalised in float32, in another order of operations
        exact(run(model.image, pixels).embedding[0], expected.image_embeds[number], atol)
        logits = model.similarity.scale * matex.score(model, pixels, ids) + model.similarity.bias
        exact(logits[0], expected.logits_per_image[number], atol * 10)
    exact(run(model.text, ids).embedding, expected.text_embeds, atol)


def test_grids_are_the_processors_for_films_of_every_shape():
    random = np.random.default_rng(0)
    for _ in range(300):
        height, width = (int(side) for side in np.exp(random.uniform(0, 9, 2)).astype(int))
        most, side = int(random.integers(1, 1025)), int(random.integers(7, 33))
        expected = get_image_size_for_max_num_patches(height, width, side, most)
        assert flexible_size((height, width), (side, side), most) == expected
        assert expected[0] * expected[1] <= most * side**2


def test_a_turned_film_gets_the_grid_of_the_upright_one(model):
    lying = film(120, 310)
    pixels, placement = model.prepare(dataclasses.replace(lying, turns=1))
    upright, _ = model.prepare(matex.read(Image.fromarray(np.rot90(lying.pixels).copy())))
    torch.testing.assert_close(pixels, upright)
    assert placement.map_to_original(np.zeros(placement.grid, np.float32)).shape == (120, 310)


@pytest.mark.parametrize("shape", [(28, 49), (42, 35)])
def test_the_conformance_checks_pass_on_grids_that_are_not_square(model, shape):
    model = dataclasses.replace(model, tokenizer=None)
    pixels = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    states = {check.name: check.state for check in check_model(model, pixels=pixels, token_ids=torch.tensor(IDS))}
    assert states["image: the embedding is the library's own"] == "pass"


@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize("column", [0, 7])
def test_occlusion_finds_the_only_bright_patch_in_a_corner_of_a_wide_film(model, row, column):
    """The rest of the film has the mean colour already, so that only this patch's removal changes the score."""
    top, left = 20 * row, 18.75 * column  # a patch covers 20 x 18.75 pixels of the film
    pixels = np.full((60, 150, 3), 128, np.uint8)
    pixels[top + 5 : top + 15, round(left) + 5 : round(left) + 14] = 255
    explanation = matex.explain(model, Image.fromarray(pixels), "left nodule", "occlusion")
    change = np.abs(explanation.image.raw)
    assert explanation.image.placement.grid == (3, 8)
    assert change.shape == (60, 150)
    y, x = np.unravel_index(change.argmax(), change.shape)
    assert top <= y < top + 20
    assert left - 1 < x < left + 18.75


def test_a_folder_and_a_model_in_memory_explain_films_in_three_lines(tmp_path, module):
    folder = saved(tmp_path / "naflex", module)
    model = matex.load(f"hf:{folder}")
    explanation = matex.explain(model, film(120, 310), "opacity in the left lower lung")
    assert explanation.image.grid.shape == (3, 8)
    assert explanation.probability is not None
    held = matex.load(Siglip2Model.from_pretrained(folder), tokenizer=words_tokenizer(), image_processor=processor())
    same = matex.explain(held, film(120, 310), "opacity in the left lower lung")
    np.testing.assert_array_equal(same.image.grid, explanation.image.grid)
    with pytest.raises(matex.UnsupportedModel, match="max_num_patches"):
        matex.load(f"hf:{folder}", resolution=70)


def test_films_of_several_shapes_are_explained_by_shape_and_refused_where_they_are_compared(model):
    films, phrases = [film(120, 310), film(50, 50), film(60, 155)], ["left nodule", "nodule", "lung"]
    pairs = list(zip(films, phrases, strict=True))
    explanations = matex.explain_batch(model, pairs, "grad-eclip")
    assert [one.image.grid.shape for one in explanations] == [(3, 8), (5, 5), (3, 8)]
    for (one, phrase), explanation in zip(pairs, explanations, strict=True):
        alone = matex.explain(model, one, phrase, "grad-eclip")
        np.testing.assert_allclose(explanation.image.grid, alone.image.grid, atol=1e-6)
    message = re.escape("got 21 x 56 and 35 x 35 pixels: the model keeps each film's aspect ratio.") + ".*resize='pad'"
    with pytest.raises(matex.InputError, match=message):
        trace_pairs(model, pairs, [("grad-eclip", {})])
    cases = [
        Case(model, Sample(f"s{number}", one, phrase), explanation, {})
        for number, ((one, phrase), explanation) in enumerate(zip(pairs, explanations, strict=True))
    ]
    with pytest.raises(matex.InputError, match=message):
        make_metric("randomisation", {})(cases)
    with pytest.raises(matex.InputError, match=message):
        stack_images([model.prepare(one)[0][0] for one in films])
    squares = trace_pairs(model, pairs, [("grad-eclip", {})], resize="pad").explain("grad-eclip", {})
    assert [one.image.grid.shape for one in squares] == [(5, 5)] * 3


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("max_num_patches", None, "max_num_patches of 1 or more"),
        ("patch_size", 16, "patch_size 7 .* and 16"),
        ("image_mean", None, "Expected image_mean"),
    ],
)
def test_wrong_processors_are_refused_with_the_reason(module, name, value, match):
    settings = {**processor().to_dict(), name: value}
    with pytest.raises(matex.InputError, match=match):
        preprocessing_of({key: one for key, one in settings.items() if one is not None}, module)


def test_position_embeddings_of_no_square_are_refused(tmp_path, module):
    module.config.vision_config.num_patches = 24
    other = Siglip2Model(module.config)
    with pytest.raises(matex.CheckpointError, match=r"square grid .* num_patches 24"):
        matex.load(f"hf:{saved(tmp_path / 'naflex', other)}")


def test_a_processor_that_states_no_filter_resizes_bilinearly(module):
    settings = {key: one for key, one in processor().to_dict().items() if one is not None and key != "resample"}
    assert preprocessing_of(settings, module).resampling == "bilinear"
