"""A configuration is refused in one line that names the key, the value and what is expected."""

import pytest

from matex.benchmark import load_config, parse_config, read_preset
from matex.benchmark.plain_config import differences, plain
from matex.benchmark.search import load_search
from matex.errors import InputError
from tests.benchmark import toy


def refusal(**changes) -> str:
    with pytest.raises(InputError) as caught:
        parse_config(toy.config(**changes), "my.toml")
    told = str(caught.value)
    assert "\n" not in told
    return told


def test_names_alone_are_enough():
    config = parse_config(toy.config(methods=["rollout"], metrics=["pointing"]))
    assert config.methods[0].label == "rollout"
    assert config.seeds == (0,)
    assert config.models[0].device == "auto"


def test_a_file_is_read(tmp_path):
    file = tmp_path / "some.toml"
    file.write_text(
        """
        seeds = [1, 2]
        models = ["tiny"]
        methods = ["rollout", { name = "mmel", label = "gate", parameters = { scales = [1, 0.5], alpha = 1 } }]
        metrics = [{ name = "iou", label = "iou by value", parameters = { by = "value" } }]

        [[datasets]]
        name = "toy"
        limit = 3
        parameters = { films = 9, broken = ["1"] }
        """
    )
    config = load_config(file)
    assert config.seeds == (1, 2)
    assert config.datasets[0].limit == 3
    assert config.datasets[0].parameters == {"films": 9, "broken": ("1",)}
    assert config.methods[1].label == "gate"
    assert config.methods[1].parameters == {"scales": (1.0, 0.5), "alpha": 1.0}
    assert isinstance(config.methods[1].parameters["alpha"], float)
    assert config.metrics[0].label == "iou by value"


def test_a_file_of_a_windows_editor_is_read(tmp_path):
    file = tmp_path / "some.toml"
    text = 'models = ["tiny"]\r\nmethods = ["rollout"]\r\nmetrics = ["iou"]\r\ndatasets = ["toy"]\r\n'
    file.write_bytes(text.encode("utf-8-sig"))
    assert load_config(file).methods[0].name == "rollout"


def test_a_resolved_configuration_reads_back():
    config = parse_config(toy.config(datasets=[{"name": "toy", "limit": 2, "parameters": {"broken": ["1", "2"]}}]))
    assert parse_config(plain(config)) == config


def test_unknown_keys_are_refused_with_the_nearest():
    assert refusal(metric=["iou"]).startswith("my.toml: unknown key 'metric'. Known here:")
    assert refusal(metric=["iou"]).endswith("Did you mean 'metrics'?")
    told = refusal(methods=["matex", {"name": "matex", "lable": "x"}])
    assert told == (
        "my.toml: unknown key 'methods[1].lable'. Known here: name, label, parameters, preset, against, labels, of, "
        "pool. Did you mean 'label'?"
    )
    told = refusal(methods=[{"name": "matex", "parameters": {"aplha": 1}}])
    assert "unknown key 'methods[0].parameters.aplha'" in told
    assert "Did you mean 'alpha'?" in told
    assert "Did you mean 'films'?" in refusal(datasets=[{"name": "toy", "parameters": {"film": 3}}])


def against(settings, metrics=("pointing",)):
    """A configuration with grad-eclip and another method that explains another score."""
    entry = {"name": "grad-eclip", "label": "other score", **settings}
    return {"methods": ["grad-eclip", entry], "metrics": list(metrics)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chunk": 0}, "expected chunk to be a whole number from 1 to 4096, got 0."),
        ({"chunk": "16"}, "expected chunk to be a whole number, got '16'."),
        ({"chunk": True}, "expected chunk to be a whole number, got True."),
        ({"seeds": []}, "expected seeds to be 1 to 1000 different whole numbers from 0 to 4294967295, got []."),
        ({"seeds": [1, 1]}, "expected seeds to be 1 to 1000 different whole numbers from 0 to 4294967295, got [1, 1]."),
        ({"seeds": [1 << 32]}, "from 0 to 4294967295, got [4294967296]."),
        ({"seeds": 3}, "expected seeds to be a list of whole numbers, got 3."),
        ({"methods": []}, "expected methods to be one or more tables [[methods]] or names, got []."),
        ({"models": [{"label": "x"}]}, "expected models[0].name to be a name, got nothing."),
        ({"models": [{"name": "tiny", "dtype": "half"}]}, "expected models[0].dtype to be one of float32, "),
        ({"models": ["tiny", "tiny"]}, "expected models[1].label to be another than those before it; give it a label"),
        ({"models": ["tiny", {"name": "tiny", "label": "Tiny"}]}, "expected models[1].label to be another than those"),
        ({"models": [{"name": "tiny", "label": "肺" * 23}]}, "expected models[0].label to be shorter"),
        ({"methods": [{"name": "matex", "label": "control: uniform"}]}, "expected methods[0].label to be printable"),
        ({"methods": [{"name": "matex", "parameters": {"alpha": "x"}}]}, "methods[0].parameters.alpha to be a number"),
        ({"methods": [{"name": "matex", "parameters": {"prior": "x"}}]}, "prior to be one of parabola, gaussian,"),
        ({"methods": [{"name": "matex", "parameters": {"alpha": -1}}]}, "Expected alpha of 0 or more, got -1.0."),
        ({"methods": ["matx"]}, "methods[0].name: Unknown method 'matx'."),
        ({"metrics": ["pointig"]}, "Did you mean 'pointing'?"),
        ({"datasets": ["toys"]}, "Did you mean 'toy'?"),
        (
            {"datasets": [{"name": "toy", "limit": 0}]},
            "datasets[0].limit to be a whole number from 1 to 4294967296, got 0.",
        ),
        ({"datasets": [{"name": "toy", "parameters": {"films": 1.5}}]}, "films to be a whole number, got 1.5."),
        (
            against({"against": "a", "labels": "chest14"}),
            "methods[1]: Expected against or labels, one of them, got both",
        ),
        (against({"labels": "chest15"}), "Did you mean 'chest14'"),
        (against({"against": "a", "of": "margin"}), "methods[1]: Expected of and pool with labels"),
        (
            against({"labels": ["a", "b"], "of": "odds"}),
            "methods[1]: Expected of to be one of logit",
        ),
        (against({"against": "a", "name": "ca-m2ib"}), "a method that explains scores of several phrases"),
        (
            {"methods": [{"name": "matex", "against": "a"}], "metrics": ["pointing"]},
            "to include one that explains",
        ),
        (against({"against": "a"}, ["pointing", "confidence-image"]), "got 'confidence-image', which measures"),
    ],
)
def test_every_mistake_names_the_key_the_value_and_what_is_expected(changes, said):
    told = refusal(**changes)
    assert told.startswith("my.toml: ")
    assert said in told


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is none"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("seeds = [")
    with pytest.raises(InputError, match="expected TOML"):
        load_config(tmp_path / "bad.toml")


def test_a_preset_is_a_method(tmp_path):
    file = tmp_path / "sharp.toml"
    file.write_text('method = "matex"\n[parameters]\nalpha = 0.3\n[evidence]\nvalue = 0.9\n')
    assert read_preset(file) == ("matex", {"alpha": 0.3})
    config = parse_config(toy.config(methods=["matex", {"preset": str(file)}]))
    assert config.methods[1].label == "sharp"
    assert config.methods[1].parameters == {"alpha": 0.3}
    file.write_text('method = "matex"\n[parameters]\nalpha = -1\n')
    with pytest.raises(InputError, match=r"sharp\.toml: parameters: Expected alpha of 0 or more"):
        read_preset(file)


def test_differences_name_the_keys():
    before = {"a": [1, {"b": 2}], "c": 3}
    assert differences(before, {"a": [1, {"b": 5}], "d": 4}) == ["a[1].b: 2 -> 5", "c: 3 -> None", "d: None -> 4"]
    assert differences(before, before) == []
    assert differences({"a": [1]}, {"a": [1, 2]}) == ["a: [1] -> [1, 2]"]


SEARCH = """
model = "tiny"
[dataset]
name = "toy"
[tune]
method = "matex"
metric = "pointing"
[tune.values]
alpha = [0.2, 1]
"""


def search(tmp_path, *changes: tuple[str, str]):
    text = SEARCH
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "tune.toml").write_text(text)
    return load_search(tmp_path / "tune.toml")


def test_a_search_is_read(tmp_path):
    dataset, model, found = search(tmp_path)
    assert (dataset.name, model.name) == ("toy", "tiny")
    assert found.values == {"alpha": (0.2, 1.0)}
    assert (found.column, found.split, found.trials) == ("pointing", "val", None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('method = "matex"', 'method = "matex"\nsplit = "test"'), "parameters chosen on the test split say nothing"),
        (("alpha = [0.2, 1]", "alpha = []"), r"tune\.values\.alpha to be a list of values to try"),
        (("alpha = [0.2, 1]", "alpha = [0.2, -1]"), r"tune\.values\.alpha\[1\]: Expected alpha of 0 or more"),
        (("alpha = [0.2, 1]", "alhpa = [0.2]"), "Did you mean 'alpha'"),
        (('metric = "pointing"', 'metric = "brightness"\ncolumn = "size"'), "a column of brightness that has a better"),
        (
            ('metric = "pointing"', 'metric = "pointing"\ntrials = 0'),
            r"tune\.trials to be a whole number from 1 to 1000",
        ),
        (
            ('metric = "pointing"', 'metric = "pointing"\nfixed = { alpha = 1 }'),
            "without the parameters that are tried",
        ),
        (("[dataset]", "[datasets]"), "Did you mean 'dataset'"),
    ],
)
def test_a_search_is_refused_by_key(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        search(tmp_path, change)
