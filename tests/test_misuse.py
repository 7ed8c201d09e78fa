"""Slips of a hand in the Python interface: one line that says what to write instead, never a raw error."""

from functools import partial

import numpy as np
import pytest
import torch

import matex
from matex.benchmark.config import load_config
from matex.benchmark.report.load import read_run
from matex.benchmark.report.write import write_report
from matex.benchmark.runs.merge import merge
from matex.benchmark.runs.runner import run
from matex.benchmark.tuning import tune
from matex.bias import associations
from matex.datasets import Sample
from matex.figures.config import load_figure
from matex.metrics.metric import METRICS
from matex.reader_study import analyse, make_study
from matex.samples import samples

FILM = samples()[0]
PHRASE = FILM.demo_phrase


@pytest.fixture(scope="module")
def inputs(tiny):
    return tiny.prepare(matex.read(FILM.path))[0], tiny.batch([tiny.encode(PHRASE)])


def refused(call, *parts):
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value).__module__ == "matex.errors", type(caught.value)
    assert message.isprintable()
    assert len(message) < 500
    for part in parts:
        assert part in message, message
    return True


NO_MODELS = ("tiny", "hf:some/model", None, 5, torch.nn.Linear(2, 2), FILM.path, [])


@pytest.mark.parametrize("model", NO_MODELS, ids=lambda model: type(model).__name__)
def test_a_model_is_loaded_first(model, inputs):
    pixels, ids = inputs
    for call in (
        lambda: matex.explain(model, FILM.path, PHRASE),
        lambda: matex.explain_batch(model, [(FILM.path, PHRASE)]),
        lambda: matex.explain_each(model, [(FILM.path, PHRASE)]),
        lambda: matex.compare(model, FILM.path, PHRASE),
        lambda: matex.audit(model, FILM.path, PHRASE),
        lambda: matex.attribute(model, pixels, ids),
        lambda: matex.score(model, pixels, ids),
    ):
        assert refused(call, "matex.load(")


@pytest.mark.parametrize("text", [None, 3, b"a", np.array(["a"]), {"a": 1}], ids=lambda text: type(text).__name__)
def test_a_phrase_is_text(tiny, text):
    for call in (
        lambda: matex.explain(tiny, FILM.path, text),
        lambda: matex.explain_batch(tiny, [(FILM.path, text)]),
        lambda: matex.compare(tiny, FILM.path, text),
        lambda: matex.audit(tiny, FILM.path, text),
    ):
        assert refused(call)


def test_several_phrases_go_to_explain_batch(tiny):
    for texts in ([PHRASE, PHRASE], (PHRASE,), []):
        for call in (matex.explain, matex.compare, matex.audit):
            assert refused(lambda call=call, texts=texts: call(tiny, FILM.path, texts), "explain_batch")


@pytest.mark.parametrize("method", [["rollout"], ("rollout", "matex"), None, 5, {"rollout": {}}, torch.nn.ReLU])
def test_one_method_is_a_name(tiny, method, inputs):
    for call in (
        lambda: matex.explain(tiny, FILM.path, PHRASE, method),
        lambda: matex.explain_batch(tiny, [(FILM.path, PHRASE)], method),
        lambda: matex.audit(tiny, FILM.path, PHRASE, method),
        lambda: matex.attribute(tiny, *inputs, method),
    ):
        assert refused(call, "matex.compare takes several")


def test_images_and_texts_are_pairs(tiny):
    images, texts = [FILM.path, FILM.path], [PHRASE, PHRASE]
    assert refused(lambda: matex.explain_batch(tiny, images, texts), "list(zip(images, texts))")
    assert refused(lambda: matex.explain_batch(tiny, images), "zip(images, texts)")
    assert refused(lambda: matex.explain_batch(tiny, FILM.path), "[(image, text), (image, text)]")
    assert refused(lambda: matex.explain_batch(tiny, str(FILM.path)), "pairs")
    assert refused(lambda: matex.explain_batch(tiny, None), "pairs")
    assert refused(lambda: matex.explain_batch(tiny, np.zeros((20, 20))), "pairs")
    assert refused(lambda: matex.explain_batch(tiny, {FILM.path: PHRASE}), "pairs")
    assert refused(lambda: matex.explain_batch(tiny, (FILM.path, PHRASE)), "pair")


@pytest.mark.parametrize("size", [0, -1, 2.5, "8", None, 10**9, True])
def test_sizes_of_batches_are_counts(tiny, size):
    assert refused(lambda: matex.explain_batch(tiny, [(FILM.path, PHRASE)], batch_size=size), "batch_size")
    assert refused(lambda: matex.explain_batch(tiny, [(FILM.path, PHRASE)], workers=size), "workers")


@pytest.mark.parametrize(
    "methods", [None, 5, [], {}, [["rollout"]], [5], {"rollout": None}, {5: {}}, {"rollout": {5: 1}}, ["x"]]
)
def test_methods_to_compare_are_names_or_parameters_by_name(tiny, methods):
    assert refused(lambda: matex.compare(tiny, FILM.path, PHRASE, methods))


def test_one_method_may_be_compared_alone(tiny):
    assert list(matex.compare(tiny, FILM.path, PHRASE, "rollout")) == ["rollout"]


def test_score_takes_tensors_and_says_how_to_make_them(tiny, inputs):
    pixels, ids = inputs
    assert refused(lambda: matex.score(tiny, FILM.path, PHRASE), "pixels as a tensor", "model.prepare")
    assert refused(lambda: matex.score(tiny, pixels, PHRASE), "token_ids as a tensor", "model.encode")
    assert refused(lambda: matex.score(tiny, matex.read(FILM.path), PHRASE), "pixels as a tensor")
    assert matex.score(tiny, torch.cat([pixels, pixels]), ids).shape == (2, 1)


def test_tensors_of_other_shapes_types_and_values_are_refused(tiny, inputs):
    pixels, ids = inputs
    for wrong in (
        (pixels[0], ids), (pixels, ids[0]), (pixels[:0], ids), (pixels, ids[:, :0]), (pixels[:, :1], ids),
        (pixels[..., :2], ids), (pixels * torch.nan, ids), (pixels.int(), ids), (pixels, ids.float()),
        (pixels, ids - 1000), (pixels, ids + 10**6), (pixels, ids.repeat(1, 99)), (pixels.numpy(), ids),
        (pixels, ids.tolist()), (pixels, ids.bool()), (pixels.to(torch.complex64), ids),
    ):  # fmt: skip
        assert refused(lambda wrong=wrong: matex.score(tiny, *wrong))
        assert refused(lambda wrong=wrong: matex.attribute(tiny, *wrong))
    assert refused(lambda: matex.attribute(tiny, pixels, torch.cat([ids, ids])))
    assert refused(lambda: matex.attribute(tiny, pixels, ids, "rollout", tower="both"), "tower")
    assert refused(lambda: matex.attribute(tiny, pixels, ids, "matex", text=5), "phrase")


@pytest.mark.parametrize("mask", ["mask.npy", 5, [[1], [1, 2]], np.full((9, 9), "a"), {}, torch.zeros(3, 3)])
def test_a_lung_mask_fits_its_film(tiny, mask):
    assert refused(lambda: matex.explain(tiny, FILM.path, PHRASE, lung_mask=mask), "lung mask")


def test_values_of_a_lung_mask_are_0_1_and_2_or_0_and_255(tiny):
    size = matex.read(FILM.path).size
    for values in (3, -1, 0.5, np.nan, 254):
        assert refused(lambda values=values: matex.explain(tiny, FILM.path, PHRASE, lung_mask=np.full(size, values)))
    halves = np.zeros(size, np.uint8)
    halves[40:80, 20:60] = halves[40:80, 120:160] = 255
    one = matex.explain(tiny, FILM.path, PHRASE, lung_mask=halves).image.grid
    assert (one == matex.explain(tiny, FILM.path, PHRASE, lung_mask=halves > 0).image.grid).all()


@pytest.mark.parametrize(
    "settings",
    [{"resize": "stretch"}, {"resize": None}, {"resize": ["pad"]}, {"domain": "mri"}, {"domain": 5}, {"view": 5},
     {"view": ["PA"]}, {"mirrored": "yes"}, {"mirrored": 2}, {"alpha": "much"}, {"alpha": float("nan")},
     {"alpha": float("inf")}, {"alpha": None}, {"gradient_layers": 10**9}, {"gradient_layers": 1.5}, {"nosuch": 1}],
)  # fmt: skip
def test_settings_are_checked(tiny, settings):
    assert refused(lambda: matex.explain(tiny, FILM.path, PHRASE, **settings))


@pytest.mark.parametrize("settings", [{"regions": 3}, {"regions": 10**9}, {"regions": "40"}, {"repeats": 1.5},
                                      {"repeats": 10**9}, {"unrelated": 5}, {"unrelated": PHRASE}])  # fmt: skip
def test_settings_of_an_audit_are_checked(tiny, settings):
    assert refused(lambda: matex.audit(tiny, FILM.path, PHRASE, **settings))


def test_every_count_of_every_method_and_metric_has_an_upper_bound():
    import dataclasses
    import typing

    from matex.attribution import METHODS
    from matex.datasets import DATASETS
    from matex.metrics import METRICS
    from matex.registry import build

    bounded = 0
    for registry in (METHODS, METRICS):
        for name, kind in registry.items():
            hints = typing.get_type_hints(kind)
            for field in dataclasses.fields(kind):
                if "int" in str(hints[field.name]):
                    value = (10**9,) if "tuple" in str(hints[field.name]) else 10**10
                    assert refused(lambda r=registry, n=name, f=field, v=value: build(r, n, {f.name: v}, "x"))
                    bounded += 1
    assert bounded > 40
    assert refused(lambda: matex.datasets.open_dataset("simulated", films=10**9), "films")
    assert DATASETS


@pytest.mark.parametrize("name", [None, 5, "", "TINY", "x" * 20_000, "hf:", "openai:", b"tiny", ["tiny"]])
def test_a_model_is_loaded_by_its_name(name):
    assert refused(lambda: matex.load(name))


@pytest.mark.parametrize("settings", [{"device": 5}, {"device": None}, {"device": "x" * 20_000}, {"dtype": 5},
                                      {"dtype": torch.float64}, {"tokenizer": 5}, {"preset": 5}])  # fmt: skip
def test_settings_of_loading_are_checked(settings):
    assert refused(lambda: matex.load("tiny", **settings))


@pytest.mark.parametrize("folder", [None, 5, "a\0b", "x" * 3000, __file__])
def test_a_folder_to_save_to_is_a_path(tiny, folder):
    explanation = matex.explain(tiny, FILM.path, PHRASE, "raw-attention")
    assert refused(lambda: explanation.save(folder))


def test_a_phrase_of_megabytes_is_refused_before_it_is_tokenised(tiny, tmp_path, monkeypatch, capsys):
    from matex import cli

    phrase = "opacity " * (1 << 20)

    tokenise = type(tiny.tokenizer).__call__

    def short(self, text, **settings):
        assert len(text) < 1000
        return tokenise(self, text, **settings)

    monkeypatch.setattr(type(tiny.tokenizer), "__call__", short)
    for call in (matex.explain, matex.compare, matex.audit):
        assert refused(lambda call=call: call(tiny, FILM.path, phrase), "at most 20000 characters")
    assert refused(lambda: matex.explain_batch(tiny, [(FILM.path, phrase)]), "at most 20000 characters")
    assert refused(lambda: matex.audit(tiny, FILM.path, PHRASE, unrelated=phrase))
    assert refused(lambda: tiny.encode("x" * 20_001), "at most 20000 characters, got 20001")
    assert cli.run(["explain", str(FILM.path), phrase, "-o", str(tmp_path / "out")]) == 2
    (tmp_path / "t.csv").write_text(f"image,text\n{FILM.path},{phrase[:100_000]}\n")
    assert cli.run(["explain", str(tmp_path / "t.csv"), "-o", str(tmp_path / "out")]) == 2
    (tmp_path / "report.txt").write_text(phrase)
    assert cli.run(["explain", str(FILM.path), "--report", str(tmp_path / "report.txt")]) == 2
    assert "of at most 1 MiB" in capsys.readouterr().err


@pytest.mark.parametrize("value", [np.zeros(0), np.zeros(3), torch.zeros(3), torch.zeros(2, 2).to_sparse()])
def test_settings_are_no_arrays(tiny, value):
    """An array compared with a choice is an array, whose truth is ambiguous."""
    for settings in ({"resize": value}, {"domain": value}, {"mirrored": value}, {"view": value}):
        assert refused(lambda settings=settings: matex.explain(tiny, FILM.path, PHRASE, **settings))


def numeric(kind):
    """The numeric parameters of a method or metric: name, and whether it is a tuple."""
    import dataclasses
    import typing

    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if "int" in str(hints[field.name]) or "float" in str(hints[field.name]):
            yield field.name, "tuple" in str(hints[field.name])


@pytest.mark.parametrize("value", [1e308, -1e308, 1.1e9, float("nan"), float("inf"), 10**400])
def test_no_parameter_takes_a_number_that_overflows(value):
    from matex.attribution import METHODS
    from matex.metrics import METRICS
    from matex.registry import build

    for registry in (METHODS, METRICS):
        for name, kind in registry.items():
            for field, several in numeric(kind):
                given = {field: (value, value) if several else value}
                assert refused(lambda r=registry, n=name, g=given: build(r, n, g, "x"))


@pytest.mark.parametrize("cells", [10**9, 100_000, 2048])
def test_masks_of_rise_fit_into_memory(cells):
    from matex.attribution import make

    assert refused(lambda: make("rise", {"cells": cells}), "cells")
    assert make("rise", {"cells": 32})


def test_arrays_and_sparse_tensors_are_refused_wherever_a_choice_is_compared(tiny, inputs):
    for value in (np.zeros(0), np.zeros(3), np.zeros(())):
        assert refused(lambda value=value: matex.explain_batch(tiny, [(FILM.path, PHRASE)], on_error=value), "on_error")
        assert refused(lambda value=value: matex.attribute(tiny, *inputs, "rollout", tower=value), "tower")
        assert refused(lambda value=value: matex.compare(tiny, FILM.path, PHRASE, value))
    sparse = torch.zeros(2, 2).to_sparse()
    assert refused(lambda: matex.explain(tiny, FILM.path, PHRASE, lung_mask=sparse), "lung mask")
    assert refused(lambda: matex.load("tiny", dtype="b" * 20_000), "dtype")


@pytest.fixture(scope="module")
def words(tiny):
    return matex.interactions(tiny, FILM.path, PHRASE)


@pytest.mark.parametrize("path", [5, None, 2.5, ["a"], "", "a\0b"], ids=repr)
def test_files_and_folders_are_paths(tiny, words, path):
    config = load_config("examples/evidence.toml")
    for call in (
        lambda: matex.read_sound(path),
        lambda: words.save(path),
        lambda: load_figure("words", path),
        lambda: analyse([path], path),
        lambda: run(config, path),
        lambda: merge([path]),
        lambda: read_run(path),
        lambda: write_report(path),
    ):
        assert refused(call, "Expected")


@pytest.mark.parametrize("samples", [5, None, ["film.png"], "pairs.csv", b"x"], ids=repr)
def test_samples_are_those_of_a_data_set(tiny, samples):
    for call in (
        lambda: matex.calibrate(tiny, samples),
        lambda: matex.compare_models(tiny, tiny, samples),
        lambda: make_study(tiny, samples, ["matex"]),
        lambda: associations(tiny, samples, ["view"]),
        lambda: tune(tiny, samples, "matex", {"delta": [0.5]}, "pointing"),
    ):
        assert refused(call, "Expected samples", "open_dataset")


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("clip-surgery", {"rivals": ("effusion", "effusion")}),
        ("embedding-space", {"prompts": ("effusion", "effusion")}),
    ],
)
def test_what_is_listed_twice_would_count_double(tiny, method, parameters):
    (name,) = parameters
    assert refused(lambda: matex.explain(tiny, FILM.path, PHRASE, method, **parameters), f"one of {name} once", "twice")


def test_a_method_listed_twice_would_be_dropped(tiny, tmp_path):
    data = [Sample("one", FILM.path, PHRASE)]
    assert refused(lambda: matex.compare(tiny, FILM.path, PHRASE, ["matex", "matex"]), "every method once", "'matex'")
    assert refused(lambda: make_study(tiny, data, ["matex", "matex"]), "every method once")
    for metric, parameters in (
        ("class-discrimination", {"phrases": ("nodule", "nodule")}),
        ("randomisation", {"orders": ("cascade", "cascade")}),
    ):
        assert refused(partial(METRICS[metric], **parameters), "once")
