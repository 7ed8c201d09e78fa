"""Methods agree with their slow twins, and with what can be worked out by hand."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch

import matex
from matex.attribution import METHODS, make
from matex.attribution.grad_eclip import key_similarity, value_gradient
from matex.attribution.matex import consistency, layer_weights, weighted_flow
from matex.attribution.rollout import rollout_row
from matex.attribution.shared.minmax import minmax
from matex.registry import UnknownName
from tests.conftest import BOS, EOS, small_clip
from tests.reference import clip, methods


def exact(actual, expected):
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=1e-8)


@pytest.fixture(params=[0, 1])
def twin(request, module, pixels, token_ids):
    """One pair, seen by the slow twin: towers, score, and the tokens that carry content."""
    which = request.param
    ids = token_ids[which].tolist()
    ids = ids[: ids.index(EOS) + 1]
    image, text = clip.image(module, pixels[which]), clip.text(module, ids)
    score = clip.cosine(image.embedding, text.embedding)
    inputs = (pixels[which : which + 1], torch.tensor([ids]))
    return inputs, image, list(range(1, 26)), text, list(range(1, len(ids) - 1)), score


def compare(model, twin, name, parameters, image_twin, text_twin):
    """Raw output of the library against the twin's list of numbers, on both towers."""
    inputs, image, patches, text, words, score = twin
    grid = matex.attribute(model, *inputs, method=name, **parameters)
    assert grid.shape == (5, 5)
    exact(grid.flatten(), image_twin(image, patches, score))
    tokens = matex.attribute(model, *inputs, method=name, tower="text", **parameters)
    assert tokens.shape == inputs[1].shape[1:]
    exact(tokens[1:-1], text_twin(text, words, score))


def test_raw_attention_agrees_with_its_twin(model, twin):
    formula = lambda tower, tokens, score: methods.raw_attention(tower, tokens)  # noqa: E731
    compare(model, twin, "raw-attention", {}, formula, formula)


def test_rollout_agrees_with_its_twin(model, twin):
    formula = lambda tower, tokens, score: methods.rollout(tower, tokens)  # noqa: E731
    compare(model, twin, "rollout", {}, formula, formula)


@pytest.mark.parametrize("layers", [None, 1, 2, 9])
@pytest.mark.parametrize("similarity", [True, False])
def test_grad_eclip_agrees_with_its_twin(model, twin, layers, similarity):
    length = len(twin[4]) + 2
    compare(
        model,
        twin,
        "grad-eclip",
        {"layers": layers, "key_similarity": similarity},
        lambda tower, tokens, score: methods.grad_eclip(tower, score, tokens, tokens, layers or 1, similarity),
        lambda tower, tokens, score: methods.grad_eclip(
            tower, score, tokens, range(length), layers or 8, similarity, relu_each=False
        ),
    )


@pytest.mark.parametrize(
    ("gradient", "flow", "steady", "layers", "temperature"),
    [
        *itertools.product(
            ["attention", "similarity", "value"], ["weighted", "rollout"], ["paper", "relative"], [3], [0.5]
        ),
        ("attention", "weighted", "paper", 1, 0.0),
        ("attention", "weighted", "paper", 9, 2.0),
    ],
)
def test_matex_agrees_with_its_twin(model, twin, gradient, flow, steady, layers, temperature):
    settings = {"gradient": gradient, "flow": flow, "consistency": steady, "temperature": temperature}

    def formula(tower, tokens, score):
        return methods.matex(methods.matex_terms(tower, score, tokens, gradient_layers=layers, **settings))

    compare(model, twin, "matex", {**settings, "gradient_layers": layers, **PAPER_WEIGHTS}, formula, formula)


@pytest.mark.parametrize("scales", [(1.0, 0.75, 0.5), (0.3,), (1.0, 1.0)])
def test_matex_over_a_pyramid_agrees_with_its_twin(model, twin, scales):
    def formula(tower, tokens, score):
        shape = (5, 5) if len(tokens) == 25 else (1, len(tokens))
        return methods.matex(methods.matex_terms(tower, score, tokens, scales=scales, shape=shape))

    compare(model, twin, "matex", {"scales": scales, **PAPER_WEIGHTS}, formula, formula)


@pytest.mark.parametrize("scales", [(), (0.0,), (1.5,)])
def test_scales_outside_a_grid_are_refused(scales):
    with pytest.raises(matex.InputError, match=r"Expected scales to be one or more numbers above 0 and up to 1"):
        make("matex", {"scales": scales})


WITHOUT_RELU = [name for name in METHODS if name != "guided-backprop"]  # the small model has GELUs
TEXT_BLIND = ("rollout", "raw-attention", "attention-flow")
PAPER_WEIGHTS = {"alpha": 0.5, "beta": 0.2, "gamma": 0.35, "delta": 0.2}


@pytest.mark.filterwarnings("ignore:.*laterality.*")
def test_matex_paper_is_equations_one_to_six_as_printed(model, twin):
    """The whole path, prior included: 'right apex' on a 5 x 5 grid of a 35 px image, patch centres, mirrored."""
    inputs, image, patches, _, _, score = twin

    def ramp(value, low, high):
        clamp = lambda t: min(max(t, 0.0), 1.0)  # noqa: E731
        return clamp((value - low) / (high - low)) * clamp((high - value) / (high - low))

    centres = [(i + 0.5) / 5 for i in range(5)]
    region = [ramp(x, 0.5, 1.0) * ramp(y, 0.0, 0.4) for y in centres for x in centres]
    spatial = [1 + 1.5 * value for value in methods.minmax(region)]
    expected = methods.matex(methods.matex_terms(image, score, patches, spatial=spatial))
    found = matex.attribute(model, *inputs, method="matex-paper", text="nodule in the right apex")
    exact(found.flatten(), expected)
    parameters = dataclasses.asdict(make("matex-paper", {}))
    assert {name: parameters[name] for name in PAPER_WEIGHTS} == PAPER_WEIGHTS
    assert (parameters["prior"], parameters["laterality"]) == ("parabola", "paper")
    assert (parameters["prior_strength"], parameters["gradient_layers"], parameters["temperature"]) == (
        2.5,
        3,
        0.5,
    )


def test_matex_prior_lies_on_the_patients_side(model, twin):
    weights = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0, "delta": 1.0, "gradient_layers": 4}
    plain = matex.attribute(model, *twin[0], method="matex", **weights)
    for text, near, far in (("opacity in the right lung", slice(0, 2), slice(3, 5)),
                            ("opacity in the left lung", slice(3, 5), slice(0, 2))):  # fmt: skip
        ratio = matex.attribute(model, *twin[0], method="matex", text=text, **weights) / plain
        assert ratio[:, near].nanmean() > 1.2
        assert ratio[:, far].nan_to_num(1.0).mean() < 1.05


def test_one_layers_gradient_term_adds_up_to_gradient_times_output(model, pixels, token_ids):
    """Before the ReLU the sum over all tokens is G . o, METHODS 1.2.1."""
    trace = matex.record(model, pixels, token_ids).image
    for layer in range(trace.depth):
        row, value = trace.attention_row(layer), trace.value(layer)
        total = (row * value_gradient(trace.gradient(layer), value)).sum((1, 2))
        output = torch.einsum("pht,phtd->phd", row, value)
        exact(total, (trace.gradient(layer) * output).sum((1, 2)))


def test_layer_weights_are_those_of_the_table():
    """METHODS 1.2.2, twelve blocks: share of the last one."""
    last = [layer_weights(12, temperature)[-1].item() for temperature in (0, 0.1, 0.25, 0.5, 1.0, 2.0)]
    torch.testing.assert_close(
        torch.tensor(last), torch.tensor([1 / 12, 0.136, 0.233, 0.394, 0.632, 0.865]), atol=6e-4, rtol=0
    )
    assert layer_weights(12, 0.5)[-3:].sum().item() == pytest.approx(0.779, abs=6e-4)


def test_flow_of_equal_rows_is_that_row():
    row = torch.rand(2, 7, dtype=torch.float64)
    exact(weighted_flow([row] * 5, 0.7), row)


def test_steady_attention_is_fully_consistent():
    row = torch.rand(2, 7, dtype=torch.float64)
    exact(consistency([row, row, row]), torch.ones(2, 7))
    exact(consistency([0 * row, 2 * row]), 1 / (1 + row))
    exact(consistency([0 * row, 2 * row], relative=True), torch.full((2, 7), 0.5))
    exact(consistency([0 * row, 0 * row], relative=True), torch.ones(2, 7))


def test_uniform_attention_rolls_out_to_uniform():
    tokens, depth = 6, 4
    uniform = torch.full((1, tokens, tokens), 1 / tokens, dtype=torch.float64)
    row = rollout_row(lambda layer: uniform, uniform[:, 0], torch.tensor([0]), depth)
    own = 0.5**depth
    exact(row[0, 1:], torch.full((tokens - 1,), (1 - own) / tokens))
    assert row.sum().item() == pytest.approx(1)
    itself = torch.eye(tokens, dtype=torch.float64)[None]
    exact(rollout_row(lambda layer: itself, itself[:, 2], torch.tensor([2]), depth), itself[:, 2])


def test_minmax_of_a_constant_is_zero_and_never_nan():
    exact(minmax(torch.full((1, 3), 4.0)), torch.zeros(1, 3))
    among = torch.tensor([[False, True, True]])
    exact(minmax(torch.tensor([[9.0, 1.0, 3.0]]), among), torch.tensor([[4.0, 0.0, 1.0]]))
    for sign in (1, -1):  # what one rounding tells apart is no map
        nearly = sign * torch.tensor([[0.7, 0.7 + 6e-8, 0.7]])
        assert nearly.unique().numel() == 2
        assert (minmax(nearly) == 0).all()
    exact(minmax(torch.tensor([[0.7, 0.7 + 4e-6]])), torch.tensor([[0.0, 1.0]]))


def test_key_similarity_reaches_from_zero_to_one_among_the_chosen(model, pixels, token_ids):
    trace = matex.record(model, pixels, token_ids).image
    similarity = key_similarity(trace.query(3), trace.key(3), trace.content)
    exact(similarity[:, 1:].amin(1), torch.zeros(3))
    exact(similarity[:, 1:].amax(1), torch.ones(3))


@pytest.mark.parametrize("name", WITHOUT_RELU)
@pytest.mark.parametrize("tower", ["image", "text"])
def test_a_batch_equals_its_items(model, pixels, token_ids, name, tower):
    if tower not in METHODS[name].towers:
        pytest.skip(f"{name} is not defined on the {tower} tower")
    batch = matex.attribute(model, pixels, token_ids, method=name, tower=tower)
    assert len(batch) == 3
    for i in range(3):
        length = int(model.text.axis(token_ids[i : i + 1]).valid.sum())
        alone = matex.attribute(model, pixels[i : i + 1], token_ids[i : i + 1, :length], method=name, tower=tower)
        if tower == "text":
            assert torch.isnan(batch[i][length:]).all()
        exact(batch[i] if tower == "image" else batch[i][:length], alone)


@pytest.mark.parametrize("name", [name for name in WITHOUT_RELU if name not in TEXT_BLIND])
def test_another_text_and_other_weights_change_the_map(model, pixels, token_ids, name):
    first = matex.attribute(model, pixels[:1], token_ids[:1], method=name)
    other_text = matex.attribute(model, pixels[:1], token_ids[2:], method=name)
    assert not torch.allclose(first, other_text, atol=1e-4)
    from matex.adapters.clip import adapt

    other = adapt(small_clip(seed=5), "other", preprocessing=None, tokenizer=None)
    assert not torch.allclose(first, matex.attribute(other, pixels[:1], token_ids[:1], method=name), atol=1e-4)


def test_a_model_whose_patches_do_not_matter_gets_zeros_not_nan(module, model, pixels, token_ids):
    with torch.no_grad():
        module.visual_projection.weight.zero_()
        module.visual_projection.weight[0, 0] = 1.0
        for block in module.vision_model.encoder.layers:
            block.self_attn.out_proj.weight.zero_()
    for name in WITHOUT_RELU:
        assert torch.isfinite(matex.attribute(model, pixels[:1], token_ids[:1], method=name)).all()
    terms = make("matex", {}).components(matex.record(model, pixels[:1], token_ids[:1]).image)
    assert (terms["gradient"] == 0).all()


def test_unknown_names_and_bad_values_are_refused_in_one_line(model, pixels, token_ids):
    with pytest.raises(UnknownName, match="Did you mean 'rollout'"):
        matex.attribute(model, pixels, token_ids, method="rolout")
    with pytest.raises(UnknownName, match=r"Unknown parameter of matex 'alfa'\. Known: alpha"):
        matex.attribute(model, pixels, token_ids, method="matex", alfa=1)
    with pytest.raises(ValueError, match=r"Expected prior_strength of 1 or more, got 0\.5"):
        make("matex", {"prior_strength": 0.5})
    with pytest.raises(ValueError, match="Expected flow to be one of weighted, rollout, got 'x'"):
        make("matex", {"flow": "x"})
    with pytest.raises(matex.InputError, match="Expected pixels"):
        matex.attribute(model, pixels[0], token_ids)
    with pytest.raises(matex.InputError, match="finite"):
        matex.attribute(model, pixels * float("nan"), token_ids)
    for wrong in (pixels[:, :1], pixels[..., :3, :3], pixels.long(), pixels[:0]):
        with pytest.raises(matex.InputError, match="Expected"):
            matex.attribute(model, wrong, token_ids[: len(wrong)])
    for wrong in (token_ids.double(), token_ids - 10, token_ids + 90, token_ids.repeat(1, 3)):
        with pytest.raises(matex.InputError, match="token ids"):
            matex.attribute(model, pixels, wrong)
    with pytest.raises(matex.InputError, match=r"Expected the end token \(id 98\) in every row"):
        matex.attribute(model, pixels[:1], token_ids[:1, :-1])
    with pytest.raises(matex.InputError, match="tower"):
        matex.attribute(model, pixels, token_ids, tower="sound")


@pytest.mark.parametrize(
    ("name", "parameter", "value", "expected"),
    [
        ("matex", "alpha", "a", "a finite number"),
        ("matex", "alpha", float("nan"), "a finite number"),
        ("matex", "gradient_layers", 2.5, "a whole number"),
        ("m2ib", "beta", float("inf"), "a finite number"),
        ("m2ib", "steps", True, "a whole number"),
        ("m2ib", "layer", "9", "a whole number or None"),
        ("ca-m2ib", "readout_key", 2, "True or False or None"),
        ("mmel", "theta", None, "a finite number or a tuple of numbers"),
        ("mmel", "scales", 0.5, "a tuple of numbers"),
        ("mmel", "seed", None, "a whole number"),
        ("saliency", "reduce", 3, "one of max_abs, sum_abs, l2, signed or None"),
        ("clip-surgery", "rivals", "clear lungs", "a tuple of texts"),
        ("clip-surgery", "rivals", (4, 11), "a tuple of texts"),
        ("clip-surgery", "redundant", 3, "text or a tuple of numbers"),
        ("maskclip", "residual", "no", "True or False"),
        ("rise", "masks", 2.5, "a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_in_one_line(name, parameter, value, expected):
    with pytest.raises(matex.InputError) as caught:
        make(name, {parameter: value})
    assert str(caught.value) == f"Expected {parameter} to be {expected}, got {value!r}."


def test_however_a_value_is_given_the_method_is_the_same():
    given = {"scales": [1, np.float32(0.5)], "layers": np.int64(2), "alpha": 1, "theta": [1, 2]}
    method = make("mmel", given)
    assert method == make("mmel", {"scales": (1.0, 0.5), "layers": 2, "alpha": 1.0, "theta": (1.0, 2.0)})
    assert hash(method) == hash(make("mmel", given))
    assert json.loads(json.dumps(dataclasses.asdict(method)))["scales"] == [1.0, 0.5]
    assert make("embedding-space", {"prompts": ["a", "b"]}).prompts == ("a", "b")


@pytest.mark.parametrize("name", [name for name, kind in METHODS.items() if hasattr(kind, "seed")])
def test_a_seed_that_not_every_generator_takes_is_refused(name):
    for seed, expected in ((-1, "from 0 to 4294967295"), (2**32, "of at most 4294967295")):
        with pytest.raises(matex.InputError, match=f"Expected seed {expected}, got {seed}"):
            make(name, {"seed": seed})


@pytest.mark.parametrize("name", WITHOUT_RELU)
@pytest.mark.parametrize("tower", ["image", "text"])
def test_pairs_that_share_an_image_or_a_phrase_are_each_pair_alone(model, pixels, token_ids, name, tower):
    if tower not in METHODS[name].towers:
        pytest.skip(f"{name} is not defined on the {tower} tower")
    few = {"rise": {"masks": 50}, "kernel-shap": {"samples": 60}, "integrated-gradients": {"steps": 3}}.get(name, {})
    pairs = [(0, 0), (1, 1), (0, 2), (0, 1)]
    together = make(name, few)(getattr(matex.record(model, pixels[:2], token_ids, pairs), tower))
    for number, (image, phrase) in enumerate(pairs):
        inputs = pixels[image : image + 1], token_ids[phrase : phrase + 1]
        alone = matex.attribute(model, *inputs, method=name, tower=tower, **few)
        exact(together[number].nan_to_num(), alone.nan_to_num())


@pytest.mark.parametrize("name", WITHOUT_RELU)
@pytest.mark.parametrize("words", [[], [7]])
def test_an_empty_phrase_and_an_empty_film_give_finite_maps(model, name, words):
    ids = torch.tensor([[BOS, *words, EOS]])
    few = {"rise": {"masks": 20}, "kernel-shap": {"samples": 20}}.get(name, {})
    for tower in METHODS[name].towers:
        found = matex.attribute(model, torch.zeros(1, 3, 35, 35).double(), ids, method=name, tower=tower, **few)
        assert torch.isfinite(found).all()
