"""Figures: every configuration of the docs, what they contain, formulas against slow twins, refusals."""

import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import matex
from matex.benchmark.choices import MethodChoice
from matex.cli.app import run as command
from matex.figures import FIGURES, draw, load_figure, write
from matex.figures.attention import value_magnitude, weighted_attention
from matex.figures.kind import Material
from matex.figures.layers import measured
from matex.figures.maps import explain_case

pytest.importorskip("matplotlib")
PAGE = Path(__file__).parents[2] / "docs" / "figures.md"
CONFIGURATIONS = dict(re.findall(r"^```toml\n# (\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S))
PANELS = {"methods": 2 * 4, "classes": 4 * 3, "words": 3 * 3, "attention": 9, "layers": 1}


@pytest.fixture
def saved(tmp_path):
    """Write a configuration."""

    def write_one(content):
        path = tmp_path / "figure.toml"
        path.write_text(content, encoding="utf-8")
        return path

    return write_one


def test_the_page_shows_every_kind():
    assert set(CONFIGURATIONS) == set(FIGURES) == set(PANELS)


@pytest.mark.parametrize("name", sorted(PANELS))
def test_the_configurations_of_the_page_are_drawn_with_boxes_and_disclaimer(saved, name):
    config = load_figure(name, saved(CONFIGURATIONS[name]))
    figure = draw(config)
    assert len(figure.axes) == PANELS[name]
    assert "Not for diagnosis" in figure.get_supxlabel().replace("\n", " ")
    if name != "layers":
        assert all(len(ax.patches) == 1 for ax in figure.axes)  # the box
        different = {np.asarray(ax.images[0].get_array()).tobytes() for ax in figure.axes}
        assert len(different) > PANELS[name] / 2  # a map of one phrase may equal that of another


def test_a_figure_is_written_in_three_formats_and_twice_the_same(saved, tmp_path, capsys):
    path = saved('methods = ["grad-eclip"]\nfilms = ["right-lower-opacity"]\ndots_per_inch = 50\ntranspose = true\n')
    files = [tmp_path / f"figure.{kind}" for kind in ("png", "svg", "pdf")]
    assert command(["figure", "methods", str(path), *(part for file in files for part in ("-o", str(file)))]) == 0
    assert "figure.pdf" in capsys.readouterr().out
    png, svg, pdf = (file.read_bytes() for file in files)
    assert Image.open(io.BytesIO(png)).size[1] > Image.open(io.BytesIO(png)).size[0]  # rows of one film
    assert b"grad-eclip</text>" in svg
    assert pdf.startswith(b"%PDF")
    write(load_figure("methods", path), *files)
    assert [file.read_bytes() for file in files] == [png, svg, pdf]


def test_films_are_read_from_files_with_their_boxes_and_titles(saved, tmp_path):
    Image.fromarray(np.full((60, 90), 90, np.uint8)).save(tmp_path / "film.png")
    content = '[[films]]\nimage = "film.png"\ntext = "opacity"\ntitle = "a case"\nboxes = [[1, 2, 30, 40.5]]\n'
    (case,) = load_figure("methods", saved(content)).cases
    assert (case.film.size, case.text, case.title, case.boxes) == ((60, 90), "opacity", "a case", ((1, 2, 30, 40.5),))
    (bundled,) = load_figure("methods", saved('films = ["right-lower-opacity"]')).cases
    assert bundled.text == "opacity in the right lower lung"
    assert bundled.boxes


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('domain = "chest"', "films to be one or more"),
        ('films = ["other"]', "one of the bundled films"),
        ('films = ["normal-1"]\nmethod = "matex"', "unknown key 'method'"),
        ('films = [{text = "opacity"}]', "one of sample, image, simulated"),
        ('films = [{image = "none.png", text = "opacity"}]', "none.png"),
        ('films = [{simulated = {finding = "ghost"}}]', "can be simulated"),
        ('films = ["normal-1"]\nmethods = ["other"]', "other"),
        ('films = ["normal-1"]\ntranspose = 3', "transpose"),
        ('films = ["normal-1"]\ndots_per_inch = 5', "from 20 to 1200"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_its_key(saved, content, match):
    with pytest.raises((matex.InputError, FileNotFoundError), match=match):
        load_figure("methods", saved(content))


def test_a_method_stands_twice_in_a_figure_with_other_parameters_and_another_score(saved):
    methods = """methods = [
        "grad-eclip",
        { name = "grad-eclip", label = "two blocks", parameters = { layers = 2 } },
        { name = "grad-eclip", label = "rather than effusion", against = "pleural effusion" },
    ]
    """
    config = load_figure("methods", saved(methods + 'films = ["right-lower-opacity"]'))
    material = Material(matex.load("tiny"), config.cases, config.methods)
    own, blocks, other = (explain_case(material, config.cases[0], method) for method in config.methods)
    assert own.parameters != blocks.parameters
    assert other.query.objective.against == "pleural effusion"
    assert [method.label for method in config.methods] == ["grad-eclip", "two blocks", "rather than effusion"]


def test_unknown_kinds_endings_and_films_without_boxes_are_refused(saved, tmp_path, capsys):
    path = saved('films = ["normal-1"]\n')
    assert command(["figure", "other", str(path)]) == 2
    assert "figure 'other'" in capsys.readouterr().err
    with pytest.raises(matex.InputError, match=r"ends in \.png, \.svg or \.pdf"):
        write(load_figure("methods", path), tmp_path / "figure.gif")
    with pytest.raises(matex.InputError, match="films with boxes"):
        draw(load_figure("layers", path))
    with pytest.raises(ValueError, match="as many as classes"):
        load_figure("classes", saved('films = ["normal-1"]\nclasses = ["a", "b"]\nprompts = ["c"]'))


def test_attention_maps_are_those_of_loops():
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64)
    attention = torch.rand(2, 3, 5, generator=generator, dtype=torch.float64)
    for pair in range(2):
        for token in range(5):
            squares = [float(value[pair, head, token, i]) ** 2 for head in range(3) for i in range(7)]
            assert float(value_magnitude(value)[pair, token]) == pytest.approx(math.sqrt(sum(squares)), abs=1e-12)
            norms = [math.sqrt(sum(float(x) ** 2 for x in value[pair, head, token])) for head in range(3)]
            expected = sum(float(attention[pair, head, token]) * norms[head] for head in range(3)) / 3
            assert float(weighted_attention(attention, value)[pair, token]) == pytest.approx(expected, abs=1e-12)


def test_the_measures_of_a_layer_are_those_of_loops(saved):
    case = load_figure("layers", saved(CONFIGURATIONS["layers"])).cases[0]
    material = Material(matex.load("tiny"), (case,), ())
    explanation = explain_case(material, case, MethodChoice("grad-eclip", "grad-eclip"))
    raw = explanation.image.raw
    x0, y0, x1, y1 = case.boxes[0]
    cut = np.percentile(raw, 75)
    both = either = inside = total = 0.0
    peak = max((float(value), (y, x)) for (y, x), value in np.ndenumerate(raw))[1]
    for (y, x), value in np.ndenumerate(raw):
        truth = x0 <= x + 0.5 < x1 and y0 <= y + 0.5 < y1
        both += truth and value >= cut
        either += truth or value >= cut
        inside += max(float(value), 0) * truth
        total += max(float(value), 0)
    found = measured(explanation, case)
    assert found[0] == pytest.approx(both / either)
    assert found[1] == float(x0 <= peak[1] + 0.5 < x1 and y0 <= peak[0] + 0.5 < y1)
    assert found[2] == pytest.approx(inside / total, rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("classes", 'films = ["normal-1"]\n', "expected classes to be given for this figure, got nothing"),
        ("classes", 'classes = ["mass", "mass"]\nfilms = ["normal-1"]\n', "phrases that differ"),
        ("words", 'words = ["mass", "mass"]\nfilms = ["normal-1"]\n', "words that differ"),
        ("methods", '[[films]]\nsample = "normal-1"\nboxes = [[0, 0, 9000, 1]]\n', "in the 224 x 224 pixels, got"),
        ("methods", '[[films]]\nsample = "normal-1"\nboxes = [[5, 5, 5, 9]]\n', "x0 < x1"),
        ("methods", 'films = ["normal-1"]\nmethods = ["matex", "matex"]\n', "give it a label"),
    ],
)
def test_missing_repeated_and_impossible_values_name_their_key(saved, kind, content, message):
    with pytest.raises(matex.InputError, match=message):
        load_figure(kind, saved(content))


def test_a_method_without_a_layer_is_refused_by_the_layer_table(saved):
    content = 'methods = ["rollout"]\n[[films]]\nsample = "right-lower-opacity"\nboxes = [[5, 5, 50, 50]]\n'
    with pytest.raises(matex.InputError, match="methods with a layer, such as m2ib and ca-m2ib, got 'rollout'"):
        draw(load_figure("layers", saved(content)))
