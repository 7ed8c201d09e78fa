"""The text side's own settings: in Python, on the command line, in TOML, in the record and in verify."""

import json

import numpy as np
import pytest
import torch

import matex
from matex.attribution import METHODS, make
from matex.benchmark.config import parse_config
from matex.cli.app import run
from matex.protocols import text_settings, with_progress
from matex.samples import samples

FILM = samples()[0]
PHRASE = "opacity in the left lower lung"
FEW = {"steps": 2, "samples": 2}


@pytest.mark.parametrize("given", [{"text_parameters": {"layer": 1}}, {"text.layer": 1}])
def test_each_side_has_its_own_layer(tiny, given):
    """The image has six blocks and the text three, so that no one number is the papers' 9 and 7 for both."""
    made = matex.explain(tiny, FILM.path, PHRASE, method="m2ib", layer=4, **FEW, **given)
    with pytest.raises(matex.InputError, match="layer from 0 to 1"):
        matex.explain(tiny, FILM.path, PHRASE, method="m2ib", layer=4, **FEW)
    low = matex.explain(tiny, FILM.path, PHRASE, method="m2ib", layer=1, **FEW)
    assert made.words == low.words
    assert not np.allclose(made.image.grid, low.image.grid)
    assert made.parameters["layer"] == 4
    assert made.parameters["text.layer"] == 1
    again = matex.explain(tiny, FILM.path, PHRASE, method="m2ib", **made.parameters)
    assert again.words == made.words
    np.testing.assert_array_equal(again.image.grid, made.image.grid)


def test_prepared_inputs_batches_and_comparisons_take_them_too(tiny, model, pixels, token_ids):
    found = matex.attribute(
        model, pixels, token_ids, "grad-eclip", tower="text", layers=1, text_parameters={"layers": 4}
    )
    expected = matex.attribute(model, pixels, token_ids, "grad-eclip", tower="text", layers=4)
    torch.testing.assert_close(found, expected, equal_nan=True)
    alone = matex.explain(tiny, FILM.path, PHRASE, "grad-eclip", layers=1, text_parameters={"layers": 2})
    batch = matex.explain_batch(tiny, [(FILM.path, PHRASE)], "grad-eclip", layers=1, **{"text.layers": 2})
    compared = matex.compare(tiny, FILM.path, PHRASE, {"grad-eclip": {"layers": 1, "text.layers": 2}})
    for one in (batch[0], compared["grad-eclip"]):
        np.testing.assert_allclose([score for _, score in one.words], [score for _, score in alone.words], atol=1e-6)


def test_the_command_writes_them_down_and_verifies(tmp_path, capsys):
    out = tmp_path / "out"
    film = ["explain", str(FILM.path), PHRASE, "-m", "m2ib", "-o", str(out)]
    assert run([*film, *(f"-p{name}={value}" for name, value in {**FEW, "layer": 4, "text.layer": 1}.items())]) == 0
    assert json.loads((out / "explanation.json").read_text())["provenance"]["parameters"]["text.layer"] == 1
    assert run(["verify", str(out)]) == 0
    capsys.readouterr()
    compare = ["compare", str(FILM.path), PHRASE, "-m", "grad-eclip,rollout", "-p", "grad-eclip.text.layers=1"]
    assert run([*compare, "-o", str(tmp_path / "both")]) == 0
    capsys.readouterr()
    for wrong in ("text.layer=99", "text.depth=1", "text.layer=many"):
        assert run([*film, "-p", wrong]) == 2
    assert len([line for line in capsys.readouterr().err.splitlines() if "Expected" in line or "Unknown" in line]) == 3


def test_a_configuration_names_them_in_a_table_or_in_quotation_marks():
    for text in ({"text": {"layer": 1}}, {"text.layer": 1}):
        config = parse_config(
            {
                "datasets": [{"name": "simulated", "parameters": {"root": "x"}}],
                "models": ["tiny"],
                "methods": [{"name": "m2ib", "parameters": {"layer": 4, **text}}],
                "metrics": ["agreement"],
            }
        )
        assert config.methods[0].parameters == {"layer": 4, "text.layer": 1}


def test_wrong_ones_are_refused():
    with pytest.raises(matex.UnknownName, match="parameter of m2ib"):
        make("m2ib", {"text.depth": 1})
    with pytest.raises(matex.InputError, match="legrad explains the image alone"):
        make("legrad", {"text.layers": 1})
    with pytest.raises(matex.InputError, match="text_parameters as a mapping"):
        make("m2ib", {"text_parameters": 7})
    method = with_progress(make("m2ib", {"layer": 4, "text.layer": 1}))
    assert text_settings(method) == {"text.layer": 1}
    assert method.progress
    assert all(text_settings(make(name, {})) == {} for name in METHODS)
