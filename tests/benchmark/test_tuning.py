"""Tuning finds what is best on the validation samples, sees no others, and writes what it found."""

import dataclasses
import itertools

import numpy as np
import pytest

import matex
from matex.benchmark import read_preset, tune
from matex.benchmark.search import load_search
from matex.benchmark.tuning import tune_file, write_preset
from matex.errors import InputError
from tests.benchmark import toy

VALUES = {"alpha": (0.1, 1.0), "delta": (0.0, 0.7)}


@pytest.fixture(scope="module")
def model():
    return matex.load("tiny")


@pytest.fixture(scope="module")
def tuned(model):
    return tune(model, toy.Toy(films=17), "matex", VALUES, "brightness", fixed={"gamma": 0.0}, batch_size=2)


def test_every_combination_is_tried_and_the_best_wins(model, tuned):
    expected = {}
    for alpha, delta in itertools.product(*VALUES.values()):
        settings = {"alpha": alpha, "delta": delta, "gamma": 0.0}
        made = [matex.explain(model, one.image, one.text, view="PA", **settings) for one in toy.Toy(films=17)]
        expected[alpha, delta] = np.mean([explanation.image.grid.mean(dtype=np.float64) for explanation in made])
    found = {tuple(trial.parameters.values()): trial.value for trial in tuned.trials}
    assert found == pytest.approx(expected, rel=1e-4)
    assert tuple(tuned.best()[0].parameters.values()) == max(expected, key=expected.__getitem__) == (1.0, 0.7)
    assert tuned.parameters == {"gamma": 0.0, "alpha": 1.0, "delta": 0.7}
    assert tuned.samples == 17
    assert tuned.clusters == 12  # every third sample shows the image before it
    assert tuned.chosen is tuned.best()[0]
    assert tuned.chosen.p < 0.05
    assert "beats the defaults beyond noise" in tuned.conclusion
    assert tuned.default.parameters == {}


def test_too_few_films_keep_the_defaults_however_far_ahead_a_setting_is(model, tmp_path):
    found = tune(model, toy.Toy(films=5), "matex", VALUES, "brightness", fixed={"gamma": 0.0})
    assert found.best()[0].value > found.default.value
    assert found.clusters == 4
    assert found.parameters == {"gamma": 0.0}
    assert found.conclusion.startswith("The defaults are kept: fewer than 10 patients or films")
    file = write_preset(found, tmp_path / "preset.toml")
    assert read_preset(file) == ("matex", {"gamma": 0.0})
    text = file.read_text()
    assert "The defaults are kept" in text
    assert f"value = {found.default.value!r}" in text
    assert f"best = {found.best()[0].value!r}" in text


def test_a_lead_within_noise_keeps_the_defaults(model, monkeypatch):
    """The best of many settings that differ by chance alone is always ahead."""
    random = np.random.default_rng(0)
    monkeypatch.setattr(
        toy.Brightness, "__call__", lambda self, cases: {"mean": random.standard_normal(len(cases)) * 0.1}
    )
    values = {"alpha": tuple(0.1 * n for n in range(1, 9))}
    found = tune(model, toy.Toy(films=30), "matex", values, "brightness", batch_size=30)
    assert found.best()[0].value > found.default.value
    assert found.chosen is found.default
    assert found.parameters == {}
    assert "not ahead beyond noise" in found.conclusion


def test_images_of_one_film_do_not_make_a_lead_sure(model):
    alone = toy.Toy(films=40, split="val")
    rendered = [dataclasses.replace(sample, cluster=f"film {i % 4}") for i, sample in enumerate(alone)]
    found = tune(model, rendered, "matex", {"alpha": (1.0,)}, "brightness")
    assert (found.samples, found.clusters) == (40, 4)
    assert found.chosen is found.default


def test_lower_is_better_where_the_metric_says_so(model):
    found = tune(model, toy.Toy(films=2), "matex", {"alpha": (0.5, 0.0, 1.0)}, "brightness", "least")
    values = [trial.value for trial in found.best(3)]
    assert values == sorted(values)
    assert found.best()[0].value == min(trial.value for trial in found.trials)


def test_all_settings_read_one_trace(model, monkeypatch):
    from matex.benchmark import tuning

    calls = []
    trace_pairs = tuning.trace_pairs

    def counted(*arguments, **settings):
        calls.append(len(arguments[1]))
        return trace_pairs(*arguments, **settings)

    monkeypatch.setattr(tuning, "trace_pairs", counted)
    tune(model, toy.Toy(films=3), "matex", {"alpha": (0.1, 0.2, 0.3, 0.4)}, "pointing", batch_size=2)
    assert calls == [2, 1]


def test_the_test_split_is_refused_and_others_are_not_seen(model):
    for name in ("test", "Test ", "testing"):
        with pytest.raises(InputError, match=f"got '{name}'"):
            tune(model, toy.Toy(split=name), "matex", VALUES, "pointing", split=name)
    with pytest.raises(InputError, match="samples of split 'val', got none"):
        tune(model, toy.Toy(films=2, split="test"), "matex", VALUES, "pointing")
    with pytest.raises(InputError, match="samples of split 'val', got none"):
        tune(model, toy.Toy(films=2, split=None), "matex", VALUES, "pointing")
    mixed = [dataclasses.replace(sample, split=split) for sample, split in zip(toy.Toy(), ("val", "test", None))]  # noqa: B905
    assert tune(model, mixed, "grad-eclip", {"layers": (1, 2)}, "pointing").samples == 1
    assert tune(model, mixed, "grad-eclip", {"layers": (1,)}, "pointing", split="none").samples == 1


def test_a_random_search_draws_different_settings_from_its_seed(model):
    values = {"alpha": (0.1, 0.2, 0.3), "delta": (0.0, 0.5, 1.0)}
    settings = {"trials": 4, "split": "val"}
    one, again, other = (
        [trial.parameters for trial in tune(model, toy.Toy(films=1), "matex", values, "iou", seed=s, **settings).trials]
        for s in (0, 0, 1)
    )
    assert one == again != other
    assert len({tuple(some.values()) for some in one}) == 4


def test_metrics_of_the_whole_and_columns_without_a_better_end_are_refused(model):
    for metric, column in (("together", None), ("brightness", "size"), ("brightness", "none"), ("agreement", "x")):
        with pytest.raises(InputError, match="judges single maps and has a better end"):
            tune(model, toy.Toy(), "matex", VALUES, metric, column)
    with pytest.raises(ValueError, match="alpha of 0 or more"):
        tune(model, toy.Toy(), "matex", {"alpha": (-1,)}, "pointing")


def test_unreadable_images_are_counted(model, tmp_path):
    found = tune(
        model,
        toy.Toy(root=tmp_path, films=4, broken=("1", "2")),
        "grad-eclip",
        {"layers": (1,)},
        "pointing",
        batch_size=1,
    )
    assert (found.samples, found.left_out) == (2, 2)


def test_a_metric_that_is_undefined_everywhere_gives_no_preset(model, tmp_path):
    samples = [dataclasses.replace(sample, boxes=(), mask=None) for sample in toy.Toy(films=2)]
    found = tune(model, samples, "grad-eclip", {"layers": (1,)}, "pointing")
    assert np.isnan(found.trials[0].value)
    assert found.trials[0].undefined == 2
    with pytest.raises(InputError, match="NaN everywhere"):
        write_preset(found, tmp_path / "preset.toml")


def test_a_preset_is_read_back(tuned, tmp_path):
    file = write_preset(tuned, tmp_path / "new/matex.toml")
    assert read_preset(file) == ("matex", {"gamma": 0.0, "alpha": 1.0, "delta": 0.7})
    text = file.read_text()
    assert 'split = "val"' in text
    assert "samples = 17" in text
    assert [path.name for path in file.parent.iterdir()] == ["matex.toml"]


def test_a_file_is_tuned(tmp_path):
    (tmp_path / "tune.toml").write_text(
        """
        [dataset]
        name = "toy"
        limit = 2
        [tune]
        method = "mmel"
        metric = "brightness"
        trials = 2
        [tune.values]
        scales = [[1, 0.5], [1]]
        alpha = [1, 2]
        """
    )
    found = tune_file(*load_search(tmp_path / "tune.toml"))
    assert found.samples == 2
    assert len(found.trials) == 2
    assert found.parameters == {}  # two films say nothing
    ahead = tuple(dataclasses.replace(trial, p=0.001) for trial in found.trials)
    found = dataclasses.replace(found, trials=ahead, default=dataclasses.replace(found.default, value=-1.0))
    file = write_preset(found, tmp_path / "preset.toml")
    name, parameters = read_preset(file)
    assert name == "mmel"
    assert isinstance(parameters["scales"], tuple)
    assert 'dataset = "toy"' in file.read_text()


@pytest.mark.parametrize("values", ["text.layers = [1, 2]", '"text.layers" = [1, 2]'])
def test_settings_of_the_text_alone_are_tuned_and_read_back(values, tmp_path):
    (tmp_path / "tune.toml").write_text(
        f"""
        dataset = {{name = "toy", limit = 2}}
        [tune]
        method = "grad-eclip"
        metric = "brightness"
        [tune.values]
        {values}
        """
    )
    dataset, model, search = load_search(tmp_path / "tune.toml")
    assert search.values == {"text.layers": (1, 2)}
    found = tune_file(dataset, model, search)
    ahead = tuple(dataclasses.replace(trial, p=0.001) for trial in found.trials)
    found = dataclasses.replace(found, trials=ahead, default=dataclasses.replace(found.default, value=-1.0))
    _, parameters = read_preset(write_preset(found, tmp_path / "preset.toml"))
    assert parameters in ({"text.layers": 1}, {"text.layers": 2})
    (tmp_path / "tune.toml").write_text((tmp_path / "tune.toml").read_text().replace("layers", "depth"))
    with pytest.raises(InputError, match=r"unknown key 'tune\.values\.text\.depth'"):
        load_search(tmp_path / "tune.toml")
