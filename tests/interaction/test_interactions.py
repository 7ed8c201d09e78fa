"""Words against places: closed forms, slow twins, games that are known, the command."""

import dataclasses
import functools
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import matex
from matex.adapters import medclip, siglip
from matex.adapters.medclip import MedClip, MedClipConfig
from matex.attribution import METHODS
from matex.cli.app import run as command
from matex.forward_pass import embed, encode, run
from matex.interaction import second_order as formulas
from matex.interaction.games import banzhaf, masks, shapley
from matex.interaction.second_order import place_rows, second_order, word_factors
from matex.interaction.sides import Path as InputPath
from matex.interaction.sides import word_groups
from matex.mask_files import read_part
from matex.samples import samples
from tests.adapters.random_weights import BERT, IDS, randomise
from tests.adapters.test_siglip import small_siglip

FILM = samples()[0]
PHRASE = "opacity in the left lower lung"


def exact(actual, expected, atol=1e-8):
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=atol)


@pytest.fixture(params=["clip", "siglip"])
def subject(request, model, pixels, token_ids):
    """(model, one image, one phrase, groups of two words)"""
    if request.param == "siglip":
        model = siglip.adapt(small_siglip(), "small", preprocessing=None, tokenizer=None)
        token_ids = model.text.collate([[3, 4, 5, 6, 1]])
        groups = torch.zeros(2, 9, dtype=torch.bool)
        groups[0, 0], groups[1, 1:4] = True, True
    else:
        token_ids = token_ids[:1]
        groups = torch.zeros(2, 7, dtype=torch.bool)
        groups[0, 1:3], groups[1, 3:6] = True, True
    return model, pixels[:1], token_ids, groups


@pytest.mark.parametrize("layer", [0, 2])
def test_the_sum_is_the_difference_of_four_corners(subject, layer):
    model, pixels, ids, groups = subject
    image, text = InputPath.of(run(model.image, pixels), layer), InputPath.of(run(model.text, ids), layer)
    found = second_order(image, text, groups, nodes=40)
    assert found.total == pytest.approx(found.expected, abs=1e-6)
    assert abs(found.expected) > 1e-3
    blank = torch.zeros_like(pixels)
    if layer == 0:
        kept = text.encoder.axis(ids).content[..., None]
        entry = torch.where(kept, model.text.blank(ids), model.text.entry(ids))
        read = embed(model.text, model.text.start(entry, ids)).detach()
        corners = (encode(model.image, pixels) - encode(model.image, blank)) @ (encode(model.text, ids) - read).T
        assert found.expected == pytest.approx(corners.item(), abs=1e-10)


def test_the_matrix_is_the_product_of_two_integrated_jacobians(subject):
    """Jacobians one coordinate and node at a time, against forward mode and batched backwards."""
    model, pixels, ids, groups = subject
    image, text = InputPath.of(run(model.image, pixels), 2), InputPath.of(run(model.text, ids), 1)
    nodes = 3
    points, weights = np.polynomial.legendre.leggauss(nodes)
    points, weights = (points + 1) / 2, weights / 2

    def factors(side):
        total = 0
        for position, weight in zip(points, weights, strict=True):
            state = side.points(torch.tensor([position]))

            def joint(hidden, state=state, side=side):
                return embed(side.encoder, type(state)(hidden, state.axis, state.earlier), side.layer)[0]

            jacobian = torch.autograd.functional.jacobian(joint, state.hidden)[:, 0]  # [joint, token, dim]
            total = total + weight * torch.einsum("jtd,td->tj", jacobian, side.displacement)
        return total

    u, v = factors(image), factors(text)
    grouped = torch.stack([v[group].sum(0) for group in groups])
    exact(word_factors(text, groups, nodes), grouped)
    exact(place_rows(image, grouped, nodes, batch_size=2), grouped @ u.T)
    exact(second_order(image, text, groups, nodes).values, grouped @ u.T)


def test_word_groups_hold_all_pieces_of_a_word_and_no_punctuation():
    text = "Left-sided effusion, small."
    spans = [(0, 0), (0, 4), (4, 5), (5, 10), (11, 15), (15, 19), (19, 20), (21, 26), (26, 27), (0, 0)]
    words, groups = word_groups(text, spans, 12)
    assert words == ("Left-sided", "effusion", "small")
    assert [group.nonzero()[:, 0].tolist() for group in groups] == [[1, 2, 3], [4, 5], [7]]


def test_what_the_pooling_reads_of_lower_blocks_moves_too():
    """MedCLIP's text pools several depths: above the lowest of them, what was read already would stand still."""
    model = medclip.adapt(randomise(MedClip(MedClipConfig(((1, 1, 1, 1), 2), BERT, 10))), "small")
    forward = run(model.text, IDS[:1])
    path = InputPath.of(forward)
    assert path.layer == min(model.text.taps)
    with pytest.raises(ValueError, match="layer from 0 to 0, got 1"):
        InputPath.of(forward, 1)
    ends = embed(model.text, path.points(torch.tensor([1.0, 0.0])), path.layer)
    everything = torch.ones(1, IDS.shape[1], dtype=torch.bool)
    exact(word_factors(path, everything, 64)[0], (ends[0] - ends[1]).detach(), atol=1e-6)
    blank = torch.where(
        model.text.axis(IDS[:1]).content[..., None], model.text.blank(IDS[:1]), model.text.entry(IDS[:1])
    )
    exact(ends[1], embed(model.text, model.text.start(blank, IDS[:1]))[0].detach())


def test_a_linear_method_splits_its_map_over_words(tiny):
    """MaskCLIP: the maps of all words and of the special tokens add up to the map of h(y) - h(r')."""
    made = matex.interactions(tiny, FILM.path, PHRASE, method="maskclip", nodes=64)
    assert made.words == tuple(PHRASE.split())
    pixels, _ = tiny.prepare(matex.read(FILM.path))
    ids = tiny.batch([tiny.encode(PHRASE)])
    text = InputPath.of(run(tiny.text, ids), 2)
    ends = embed(tiny.text, text.points(torch.tensor([1.0, 0.0])), 2)
    everything = torch.ones(1, ids.shape[1], dtype=torch.bool)
    whole = word_factors(text, everything, 64)[0]
    torch.testing.assert_close(whole, ends[0] - ends[1], rtol=0, atol=1e-4)
    forward = run(tiny.image, pixels)
    from matex.attribution import make
    from matex.trace import Trace

    rest = word_factors(text, ~word_groups(PHRASE, tiny.encode(PHRASE).spans, ids.shape[1])[1].any(0)[None], 64)
    trace = Trace(forward, torch.zeros(2, dtype=torch.long), torch.stack([whole, rest[0]]))
    of_all, of_rest = make("maskclip", {})(trace)
    np.testing.assert_allclose(made.values.sum(0) + of_rest.numpy(), of_all.numpy(), atol=1e-5)


@pytest.mark.parametrize("method", ["second-order", "grad-eclip", "matex", "banzhaf", "shapley", "m2ib", "ca-m2ib"])
def test_every_way_answers_on_the_bundled_model(tiny, method):
    few = {"banzhaf": {"cells": 4, "masks": 64}, "shapley": {"cells": 3, "masks": 40, "text_masks": 20}}
    found = matex.interactions(tiny, FILM.path, PHRASE, method=method, **few.get(method, {}))
    assert found.values.shape[0] == 6
    assert np.isfinite(found.values).all()
    assert found.score == pytest.approx(matex.explain(tiny, FILM.path, PHRASE).score, abs=1e-5)
    image = found.of("left")
    assert image.values.shape == matex.read(FILM.path).size
    height, width = image.placement.original
    inside = dict(found.at((0, 0, width, height)))
    assert inside["left"] == pytest.approx(float(np.nanmean(image.raw)))
    assert list(inside) == PHRASE.split()


def test_the_words_of_a_place_are_sums_of_cells_that_add_up(tiny):
    """Against a loop over points: each cell's value counts by the part of its area inside the box."""
    found = matex.interactions(tiny, FILM.path, PHRASE, nodes=4)
    height, width = found.placement.original
    box = (width // 3, height // 5, width - 7, height // 2)
    points = 8  # for each axis of a cell
    sums, sizes = np.zeros(6), np.zeros(6)
    _, rows, columns = found.values.shape
    for row, column in itertools.product(range(rows), range(columns)):
        y = (row + (np.arange(points) + 0.5) / points) * height / rows
        x = (column + (np.arange(points) + 0.5) / points) * width / columns
        inside = np.mean((y >= box[1]) & (y < box[3])) * np.mean((x >= box[0]) & (x < box[2]))
        sums += inside * found.values[:, row, column]
        sizes += inside * np.abs(found.values[:, row, column])
    support = found.support(box)
    scale = np.abs(found.values).sum((1, 2))
    np.testing.assert_allclose([one.sum for one in support], sums, atol=0.01 * scale.max())
    np.testing.assert_allclose([one.share for one in support], sizes / scale, atol=0.01)
    parts = [found.support((0, 0, 100, height)), found.support((100, 0, width, height))]
    np.testing.assert_allclose(
        [left.sum + right.sum for left, right in zip(*parts, strict=True)], found.values.sum((1, 2)), atol=1e-6
    )
    assert [one.share for one in found.support((0, 0, width, height))] == pytest.approx([1.0] * 6)


def test_the_page_is_one_file_that_escapes_and_states_the_strongest_place(tiny, tmp_path):
    found = matex.interactions(tiny, FILM.path, "<b>opacity</b> in the left lung", nodes=4)
    html = (found.save(tmp_path / "out") / "interactions.html").read_text(encoding="utf-8")
    assert "<b>opacity" not in html
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org", "")
    row, column = np.unravel_index(np.abs(found.values[1]).argmax(), found.values[1].shape)
    x, y = found.placement.cell_centre(found.values[1].shape, int(row), int(column))
    assert found.of(1).raw[int(y), int(x)] == pytest.approx(found.values[1, row, column], rel=0.1)
    assert f"<td>{round(x)}, {round(y)}</td>" in html


def test_a_way_can_be_repeated_from_its_record_and_is_saved(tiny, tmp_path):
    found = matex.interactions(tiny, FILM.path, PHRASE, nodes=48)
    again = matex.interactions(tiny, FILM.path, PHRASE, method=found.method, **found.parameters)
    np.testing.assert_array_equal(found.values, again.values)
    assert abs(found.report["closed_form_error"]) < 0.02
    folder = found.save(tmp_path / "out")
    record = json.loads((folder / "interactions.json").read_text())
    assert any("orientation" in note for note in record["notes"])
    assert record["words"] == list(found.words)
    np.testing.assert_allclose(record["values"], found.values, atol=1e-8)
    np.testing.assert_array_equal(np.load(folder / "interactions.npy"), found.values)
    assert (folder / "interactions.png").stat().st_size > 10_000
    assert repr(found) == f"Interactions(6 words x 14 x 14, second-order, {PHRASE!r})"


def test_what_cannot_be_answered_is_refused(tiny):
    with pytest.raises(matex.UnknownName, match="method of interactions 'second'") as refused:
        matex.interactions(tiny, FILM.path, PHRASE, method="second")
    assert "grad-eclip" in str(refused.value)
    assert "rollout" not in str(refused.value)
    with pytest.raises(matex.UnknownName, match="parameter of banzhaf"):
        matex.interactions(tiny, FILM.path, PHRASE, method="banzhaf", nodes=3)
    with pytest.raises(ValueError, match="layer"):
        matex.interactions(tiny, FILM.path, PHRASE, layer=99)
    found = matex.interactions(tiny, FILM.path, PHRASE, nodes=1)
    with pytest.raises(matex.InputError, match="one of the words"):
        found.of("nodule")
    with pytest.raises(matex.InputError, match="box"):
        found.at((5, 5, 5, 9))
    for phrase in (PHRASE, "opacity"):
        with pytest.raises(matex.InputError, match="gives every word the same map"):
            matex.interactions(tiny, FILM.path, phrase, method="rollout")
    with pytest.raises(matex.InputError, match="masks that tell 49 places apart, got 20"):
        matex.interactions(tiny, FILM.path, PHRASE, method="banzhaf", masks=20)
    black_box = matex.from_score(lambda images, texts: np.zeros((len(images), len(texts))), size=32)
    with pytest.raises(matex.UnsupportedModel, match="only scores"):
        matex.interactions(black_box, FILM.path, PHRASE)


PLUGIN = '''
from dataclasses import dataclass

from matex.attribution import METHODS


@METHODS("own-gradient")
@dataclass(frozen=True)
class OwnGradient:
    """The gradient at the last block."""

    towers = ("image",)
    needs = ("readout",)
    source = "a test"

    def gradient_blocks(self, kind):
        return 1

    def __call__(self, trace):
        return METHODS["grad-eclip"]()(trace)
'''


def quadrants():
    """The film's quarters as masks, row by row."""
    height, width = matex.read(FILM.path).size
    masks = np.zeros((4, height, width), dtype=bool)
    for number, (row, column) in enumerate(itertools.product(range(2), range(2))):
        rows = slice(0, height // 2) if row == 0 else slice(height // 2, height)
        columns = slice(0, width // 2) if column == 0 else slice(width // 2, width)
        masks[number, rows, columns] = True
    return masks


def test_quarters_as_units_play_the_game_of_two_by_two_cells(tiny):
    cells = matex.interactions(tiny, FILM.path, PHRASE, method="banzhaf", cells=2)
    found = matex.interactions(tiny, FILM.path, PHRASE, method="banzhaf", units=quadrants())
    np.testing.assert_allclose(found.units, cells.values.reshape(6, 4), atol=1e-6)
    np.testing.assert_allclose(found.values.sum((1, 2)), found.units.sum(1), atol=1e-5)
    left = matex.interactions(tiny, FILM.path, PHRASE, method="banzhaf", units=quadrants()[[0, 2]])
    assert left.units.shape == (6, 2)  # what lies outside is a player of its own, which is not reported
    assert left.report["image_masks"] == 8
    rest = left.values.sum((1, 2)) - left.units.sum(1)
    assert np.abs(rest).max() > 1e-4


@pytest.mark.parametrize("method", ["second-order", "gradient"])
def test_maps_are_summed_over_units(tiny, method):
    found = matex.interactions(tiny, FILM.path, PHRASE, method=method, nodes=4, units=quadrants())
    height, width = found.placement.original
    boxes = [(0, 0), (width // 2, 0), (0, height // 2), (width // 2, height // 2)]
    sums = [[one.sum for one in found.support((x, y, x + width // 2, y + height // 2))] for x, y in boxes]
    np.testing.assert_allclose(found.units, np.transpose(sums), atol=1e-5)


def test_superpixels_are_units_and_units_that_make_no_sense_are_refused(tiny, tmp_path, capsys):
    masks = quadrants()
    for wrong, match in (
        (masks[:, 1:], "masks bool"),
        (masks[0], "masks bool"),
        (masks.astype(np.uint8), "masks bool"),
        (masks[[0, 0]], "do not overlap"),
        (masks[[0]] & masks[[1]], "that the model sees"),
        (1, "superpixels"),
    ):
        with pytest.raises(ValueError, match=match):
            matex.interactions(tiny, FILM.path, PHRASE, units=wrong)
    pytest.importorskip("skimage")
    found = matex.interactions(tiny, FILM.path, PHRASE, nodes=4, units=12)
    assert 2 <= found.units.shape[1] <= 30
    np.testing.assert_allclose(found.units.sum(1), found.values.sum((1, 2)), atol=1e-5)
    np.save(tmp_path / "unit.npy", masks[3])
    film = ["interactions", str(FILM.path), PHRASE, "-o", str(tmp_path / "out"), "-p", "nodes=4"]
    assert command([*film, "--unit", str(tmp_path / "unit.npy")]) == 0
    assert "units:" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "interactions.json").read_text())
    assert np.shape(record["units"]) == (6, 1)
    assert command([*film, "--unit", str(tmp_path / "unit.npy"), "--superpixels", "9"]) == 2


def subsets(units):
    return torch.tensor(list(itertools.product((False, True), repeat=units)))


def game(image, text, seed=0):
    """A game with main effects, pairs and a term of order 4, its pairs across the sides, and its values."""
    generator = torch.Generator().manual_seed(seed)
    units = image.shape[1] + text.shape[1]
    main = torch.randn(units, generator=generator, dtype=torch.float64)
    pairs = torch.randn(units, units, generator=generator, dtype=torch.float64).triu(1)
    joint = torch.cat([image.repeat_interleave(len(text), 0), text.repeat(len(image), 1)], dim=1).double()
    values = 0.3 + joint @ main + torch.einsum("np,pq,nq->n", joint, pairs, joint)
    cut = image.shape[1]
    return values.unflatten(0, (len(image), len(text))), pairs[:cut, cut:], main


def test_a_game_of_order_two_is_found_exactly():
    image, text = subsets(4), subsets(3)
    values, pairs, main = game(image, text)
    exact(shapley(values, image, text).pairs, pairs)
    exact(torch.cat([shapley(values, image, text).image, shapley(values, image, text).text]), main)
    assert shapley(values, image, text).r_squared == pytest.approx(1)
    for chance in (0.3, 0.5):
        exact(banzhaf(values, image, text, chance).pairs, pairs)
    drawn = masks(4, 9, 0.5, seed=0), masks(3, 7, 0.5, seed=1)
    values, pairs, _ = game(*drawn)
    exact(shapley(values, *drawn).pairs, pairs, atol=1e-6)


def test_faithful_pairs_are_those_of_a_full_weighted_fit():
    """The index by its definition: weighted least squares over all subsets with pairs of one side too."""
    image, text = subsets(3), subsets(3)
    values = torch.randn(8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    players = 6
    everything = subsets(players).double()
    flat = values.flatten()
    pairs = list(itertools.combinations(range(players), 2))
    columns = [
        torch.ones(64, dtype=torch.float64),
        *everything.T,
        *(everything[:, i] * everything[:, j] for i, j in pairs),
    ]
    design, size = torch.stack(columns, dim=1), everything.sum(1)
    for chance in (0.5, 0.7):
        weight = (chance**size * (1 - chance) ** (players - size)).sqrt()
        solution = torch.linalg.lstsq(weight[:, None] * design, (weight * flat)[:, None]).solution[:, 0]
        expected = torch.stack([solution[7 + number] for number, (i, j) in enumerate(pairs) if i < 3 <= j]).view(3, 3)
        exact(banzhaf(values, image, text, chance).pairs, expected)
    kernel = torch.tensor(
        [1e9 if s in (0, players) else (players - 1) / (math.comb(players, int(s)) * s * (players - s)) for s in size],
        dtype=torch.float64,
    ).sqrt()
    solution = torch.linalg.lstsq(kernel[:, None] * design, (kernel * flat)[:, None]).solution[:, 0]
    expected = torch.stack([solution[7 + number] for number, (i, j) in enumerate(pairs) if i < 3 <= j]).view(3, 3)
    exact(shapley(values, image, text).pairs, expected, atol=1e-5)


def test_shapiq_agrees():
    shapiq = pytest.importorskip("shapiq")
    image, text = subsets(3), subsets(3)
    values = torch.randn(8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    table = {tuple(row.tolist()): value for row, value in zip(subsets(6), values.flatten().tolist(), strict=True)}

    def play(coalitions):
        return np.array([table[tuple(bool(x) for x in row)] for row in coalitions])

    computer = shapiq.ExactComputer(n_players=6, game=play)
    for index, fit in (("FSII", shapley(values, image, text)), ("FBII", banzhaf(values, image, text, 0.5))):
        theirs = computer(index=index, order=2)
        expected = [[theirs[(i, 3 + j)] for j in range(3)] for i in range(3)]
        exact(fit.pairs, expected, atol=1e-6)


def test_the_command_writes_a_matrix_and_says_where_each_word_lies(tmp_path, capsys):
    out = tmp_path / "out"
    film = ["interactions", str(FILM.path), PHRASE, "-o", str(out)]
    assert command([*film, "-p", "nodes=4"]) == 0
    told = capsys.readouterr().out
    assert "opacity" in told
    assert "closed form error" in told
    assert {file.name for file in out.iterdir()} == {f"interactions.{kind}" for kind in ("html", "json", "npy", "png")}
    assert command([*film, "-m", "grad-eclip", "-p", "layers=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["layers"] == 2
    assert command(["interactions", str(FILM.path), str(FILM.path)]) == 2
    assert "Expected the phrase as text, got" in capsys.readouterr().err
    for wrong in (
        ["--lung-mask", str(FILM.path)],
        ["-p", "cells=3"],
        ["-p", "nodes"],
        ["-m", "second"],
        ["-p", "nodes=many"],
        ["-p", "nodes=4", "-p", "nodes=8"],
        ["-m", "rollout"],
    ):
        assert command([*film, *wrong]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert command([*film, "--superpixels", "0"]) == 2
    assert "Expected --superpixels to be a whole number from 2 to 256, got 0" in capsys.readouterr().err


def test_methods_of_a_file_serve_and_slow_methods_show_their_progress(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(METHODS, "_entries", {**METHODS})
    monkeypatch.setenv("MATEX_PLUGINS", "")  # the command adds its file, for processes that later tests start
    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    film = ["interactions", str(FILM.path), "opacity left", "-o", str(tmp_path / "out")]
    assert command([*film, "-m", "own-gradient", "--plugin", str(plugin)]) == 0
    assert "own-gradient: score" in capsys.readouterr().out
    monkeypatch.setattr("matex.cli.interactions.on_terminal", lambda: True)
    assert command([*film, "-m", "rise", "-p", "masks=8", "-p", "cells=2"]) == 0
    assert "8/8" in capsys.readouterr().err


def test_exclip_agrees(model, pixels, monkeypatch):
    """At its nodes, and with its embeddings: it attributes them before they are brought to unit norm."""
    pytest.importorskip("exclip")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from exclip_model import explainer

    def riemann(count):
        return torch.arange(count, 0, -1, dtype=torch.float64) / count, torch.full((count,), 1 / count)

    monkeypatch.setattr(formulas, "gauss_legendre", riemann)
    monkeypatch.setattr(formulas, "embed", functools.partial(embed, unit=False))
    pixels, nodes = pixels[:1], 6
    ids, blank = torch.tensor([[97, 3, 14, 15, 9, 26, 98]]), torch.tensor([[97, 0, 98, 0, 0, 0, 0]])
    expected = explainer(model, 35, 7, blank).explain(ids, pixels, text_layer=3, image_layer=2, N=nodes)
    image, text = InputPath.of(run(model.image, pixels), 2), InputPath.of(run(model.text, ids), 3)
    text = dataclasses.replace(text, blank=run(model.text, blank).states[3].hidden)
    factors = word_factors(text, torch.eye(7, dtype=torch.bool), nodes)
    rows = place_rows(image, factors, nodes, batch_size=4)[:, 1:].unflatten(1, (5, 5))
    norms = encode(model.image, pixels, unit=False).norm() * encode(model.text, ids, unit=False).norm()
    torch.testing.assert_close((rows / norms).float(), expected.float(), rtol=0, atol=1e-7)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((10, 10)), r"Expected a unit of shape \(512, 512\) .*, got \(10, 10\): .*part.npy"),
        (np.zeros((512, 512)), "got none: .*part.npy"),
        (np.full((512, 512), np.nan), "Expected finite numbers in a unit"),
    ],
)
def test_a_file_that_is_no_unit_is_refused_by_its_name(tmp_path, values, message):
    np.save(tmp_path / "part.npy", values)
    with pytest.raises(matex.InputError, match=message):
        read_part(tmp_path / "part.npy", matex.read(FILM.path))


def test_any_number_but_zero_belongs_to_a_unit(tmp_path):
    values = np.zeros((512, 512))
    values[:5] = 7
    np.save(tmp_path / "part.npy", values)
    np.testing.assert_array_equal(read_part(tmp_path / "part.npy", matex.read(FILM.path)), values == 7)
