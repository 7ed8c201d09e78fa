"""The browser's maps are Python's: fusion, interpolation, range, colours."""

import base64

import numpy as np
import pytest

import matex
from matex.geometry import Placement
from matex.render.colormap import PALETTES, ColourScale, table
from matex.render.film_data import film_data, grid_data, map_data
from matex.render.panel import Layer
from matex.samples import samples
from tests.fake_explanation import film as fake_film

PHRASE = "opacity in the left lower lung"
NAMES = ("alpha", "beta", "gamma", "delta", "prior_strength", "temperature")
SETTINGS = [
    (0.5, 0.0, 0.35, 0.2, 2.5, 0.5),
    (0.1, 0.9, 0.0, 0.7, 5.0, 2.0),
    (0.0, 1.0, 0.0, 0.0, 1.0, 0.0),
    (1.0, 0.3, 1.0, 1.0, 1.0, 4.0),
]


@pytest.fixture(scope="module")
def run(browser, viewer):
    """Evaluate statements with the module of maps in the browser."""
    page = browser.new_page()
    page.goto(f"{viewer.url}static/icon.svg")  # any page of the same origin
    statement = "async (given) => {{ const maps = await import('./maps.js'); {} }}"
    yield lambda code, argument=None: page.evaluate(statement.format(code), argument)
    page.close()


def decoded(text, kind="<f4"):
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.mark.parametrize("values", SETTINGS)
def test_the_map_fused_in_the_browser_is_that_of_python(run, viewer, film, values):
    wanted = dict(zip(NAMES, values, strict=True))
    base = viewer.result("api/explain", {"film": film, "text": PHRASE, "method": "matex"})
    sample = next(sample for sample in samples() if sample.name == "left-lower-opacity")
    expected = matex.explain(matex.load("tiny"), sample.path, PHRASE, view=sample.view, **wanted)
    found = run(
        """const grid = maps.fuse(maps.decodeLive(given.live), given.wanted);
        const [low, high] = maps.mapRange(grid, given.placement);
        const [height, width] = given.placement.original;
        const values = maps.interpolate(grid, given.placement, width, height).map((v) => (v - low) / (high - low))
          .filter((_, i) => i % 7 === 0);
        return {grid: Array.from(grid.values), range: [low, high], values: Array.from(values)};""",
        {"live": base["live"], "wanted": wanted, "placement": base["map"]["placement"]},
    )
    np.testing.assert_allclose(np.reshape(found["grid"], expected.image.grid.shape), expected.image.grid, atol=1e-5)
    np.testing.assert_allclose(found["range"], expected.image.range, atol=1e-5)
    np.testing.assert_allclose(found["values"], expected.image.values.ravel()[::7], atol=1e-5)


def test_the_terms_in_the_browser_are_those_of_python(run, viewer, film):
    base = viewer.result("api/explain", {"film": film, "text": PHRASE, "method": "matex"})
    found = run(
        "const terms = maps.liveTerms(maps.decodeLive(given.live), given.parameters);"
        "return Object.fromEntries(Object.entries(terms).map(([name, grid]) => [name, Array.from(grid.values)]));",
        base,
    )
    for layer in base["layers"]:
        if layer["term"]:
            np.testing.assert_allclose(found[layer["term"]], decoded(layer["grid"]["values"]), atol=1e-6)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
@pytest.mark.filterwarnings("ignore:.*NaN.*")
def test_a_grid_lies_on_the_film_as_in_python(run, turns, mirrored, resize):
    """Odd sizes, so that no axis can be taken for another."""
    placement = Placement.fit((83, 61), (48, 56), (8, 8), resize, turns=turns, mirrored=mirrored)
    grid = np.random.default_rng(turns).normal(size=placement.grid).astype(np.float32)
    found = run(
        """const grid = maps.decodeGrid(given.grid);
        const [height, width] = given.placement.original;
        const values = maps.interpolate(grid, given.placement, width, height);
        return {range: maps.mapRange(grid, given.placement),
          values: Array.from(values, (value) => Number.isNaN(value) ? null : value)};""",
        {"grid": grid_data(grid), "placement": plain(placement)},
    )
    values = np.array([np.nan if value is None else value for value in found["values"]], dtype=np.float32)
    np.testing.assert_allclose(values.reshape(placement.original), placement.map_to_original(grid), atol=1e-5)
    np.testing.assert_allclose(found["range"], placement.map_range(grid), atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*NaN.*")
def test_a_grid_of_overlapping_patches_lies_on_the_film_as_in_python(run):
    placement = Placement((64, 100), (128, 200), (0, -4), (128, 204), (10, 10), overlap=(6, 6))
    grid = np.random.default_rng(3).normal(size=placement.grid).astype(np.float32)
    layer = Layer("map", "", grid, ColourScale.of(grid))
    values = run(
        """const [height, width] = given.placement.original;
        return Array.from(maps.interpolate(maps.decodeGrid(given.grid), given.placement, width, height),
          (value) => Number.isNaN(value) ? null : value);""",
        map_data(layer, placement),
    )
    found = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    np.testing.assert_allclose(found.reshape(placement.original), placement.map_to_original(grid), atol=1e-5)


@pytest.mark.parametrize(("seconds", "place"), [(0.0, 0.0), (0.75, 0.375), (2.5, 1.25)])
def test_times_and_frequencies_are_read_between_the_marks(browser, viewer, seconds, place):
    page = browser.new_page()
    page.goto(f"{viewer.url}static/icon.svg")
    found = page.evaluate(
        """async ([seconds, place]) => {
          const axes = await import("./axes.js");
          const times = [[0, "0"], [0.25, "0.5"], [1, "2"]], hertz = [[0.9, "100"], [0.5, "1000"], [0.1, "10000"]];
          return [axes.placeOf(times, seconds), axes.valueOn(times, place), axes.valueOn(hertz, 0.7, true),
            axes.valueOn(hertz, 1.0, true)];
        }""",
        [seconds, place],
    )
    np.testing.assert_allclose(found, [place, seconds, 10**2.5, 10**1.75], rtol=1e-9)
    page.close()


def plain(placement):
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(placement).items()}


@pytest.mark.parametrize("name", PALETTES)
def test_colours_are_those_of_the_pictures(run, name):
    found = run("return maps.palette(given)", PALETTES[name])
    assert np.abs(np.array(found) - table(PALETTES[name])).max() <= 1


@pytest.mark.parametrize("ends", [(0.0, 1.3), (-0.4, 0.2), (0.3, 0.3), (-2e-6, 5e-6), (0.0, 4e4)])
def test_a_scale_places_and_writes_values_as_in_python(run, ends):
    scale = ColourScale(*ends)
    values = np.linspace(min(ends) - 0.1, max(ends) + 0.1, 9)
    found = run(
        "const scale = new maps.Scale(...given.ends);"
        "return given.values.map((value) => [scale.fraction(value), scale.strength(value)]);",
        {"ends": ends, "values": values.tolist()},
    )
    np.testing.assert_allclose(found, np.stack([scale.fractions(values), scale.strength(values)], axis=1), atol=1e-9)
    written = run("const scale = new maps.Scale(...given); return given.map((v) => scale.format(v))", list(ends))
    assert [float(text) for text in written] == [float(scale.format(end)) for end in ends]


@pytest.mark.parametrize(
    ("x", "y", "changes", "name"),
    [
        (0.3, 0.64, {}, "right lower zone"),
        (0.84, 0.6, {}, "left lower zone"),
        (0.62, 0.66, {}, "left lower zone, over the heart"),
        (0.25, 0.3, {}, "right upper zone"),
        (0.7, 0.64, {"mirrored": True}, "right lower zone"),
        (0.7, 0.36, {"turns": 2}, "right lower zone"),
        (0.5, 0.2, {}, "mediastinum"),
        (0.15, 0.75, {}, "right costophrenic angle"),
        (0.02, 0.5, {}, "outside the lungs, patient's right"),
        (0.3, 0.64, {"view": "LATERAL"}, ""),
    ],
)
def test_places_under_the_cursor_are_in_the_patients_terms(run, x, y, changes, name):
    described = film_data(fake_film(**changes))
    assert run("return maps.placeName(given.film, given.x, given.y)", {"film": described, "x": x, "y": y}) == name
