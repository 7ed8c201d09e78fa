"""Completeness errors of attributions along a path: in the report of a method and in the notes of an explanation."""

import math

import pytest
import torch

import matex
from matex.attribution import make
from matex.corpus import explain_batch
from matex.forward_pass import embed
from matex.notes import incompleteness
from matex.samples import samples
from tests.reference import clip

PAIRS = [(0, 0), (1, 2), (0, 1)]
IMAGE_METHODS = [
    ("integrated-gradients", {"steps": 3}, None),
    ("integrated-gradients", {"steps": 3, "baseline": "noise", "seed": 4}, (4, 1)),
    ("gradient-shap", {"samples": 3}, None),
    ("gradient-shap", {"samples": 19, "baseline": "noise", "seed": 4, "batch_size": 8}, (5, 19)),
    ("embedding-space", {"operator": "integrated-gradients"}, None),
    ("embedding-space", {"operator": "gradient-shap", "keep_maps": True}, None),
]


def starting_points(pixels, noise):
    if noise is None:
        return [torch.zeros_like(pixels)]
    seed, draws = noise
    shape = (draws, *pixels.shape)
    return list(torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


@pytest.mark.parametrize(("name", "parameters", "noise"), IMAGE_METHODS)
def test_the_report_compares_the_sum_with_the_change_of_score(
    module, model, pixels, token_ids, name, parameters, noise
):
    trace = matex.record(model, pixels, token_ids, PAIRS).image
    method = make(name, parameters)
    maps = method(trace)
    for (image, _), target, values, row in zip(PAIRS, trace.target, maps, method.report(trace), strict=True):
        begins = [clip.image(module, point).embedding for point in starting_points(pixels[image], noise)]
        scores = torch.stack([clip.cosine(point, target) for point in begins])
        change = (clip.cosine(clip.image(module, pixels[image]).embedding, target) - scores.mean()).detach()
        assert row["score_change"] == pytest.approx(change.item(), abs=1e-9)
        assert row["attribution_sum"] == pytest.approx(values.sum().item(), abs=1e-12)
        assert row["completeness_error"] == pytest.approx(((values.sum() - change) / change.abs()).item(), rel=1e-6)


@pytest.mark.parametrize("operator", ["integrated-gradients", "gradient-shap"])
def test_words_of_phrases_of_different_lengths(model, pixels, token_ids, operator):
    trace = matex.record(model, pixels, token_ids, PAIRS).text
    with torch.no_grad():
        words = trace.tower.axis(trace.inputs).content[..., None]
        begin = torch.where(words, trace.tower.blank(trace.inputs), trace.tower.entry(trace.inputs))
        start = embed(trace.tower, trace.tower.start(begin, trace.inputs))[trace.item]
        change = trace.score - (start * trace.target).sum(dim=1)
    for method in (make(operator, {}), make("embedding-space", {"operator": operator})):
        rows = method.report(trace)
        assert [row["score_change"] for row in rows] == pytest.approx(change.tolist(), abs=1e-9)
        sums = method(trace).nan_to_num().flatten(1).sum(1)
        assert [row["attribution_sum"] for row in rows] == pytest.approx(sums.tolist(), abs=1e-12)


def test_prompts_and_raw_embeddings_are_compared_with_what_they_explain(model, pixels, token_ids):
    trace = matex.record(model, pixels[:1], token_ids[:1]).image
    raw = make("embedding-space", {"operator": "integrated-gradients", "embed": "raw"}).report(trace)[0]
    plain = make("embedding-space", {"operator": "integrated-gradients"}).report(trace)[0]
    assert raw["score_change"] != pytest.approx(plain["score_change"], rel=0.01)
    assert abs(raw["completeness_error"]) < 1e-4
    tiny = matex.load("tiny")
    sample = samples()[0]
    texts, errors = ("opacity", "a film with consolidation"), []
    for prompts in ((), texts):
        settings = {"operator": "integrated-gradients", "prompts": prompts}
        found = matex.explain(tiny, sample.path, sample.demo_phrase, method="embedding-space", **settings)
        errors.append(found.provenance["report"]["image"])
    assert "mean_score" in errors[1]
    assert errors[0]["score_change"] != pytest.approx(errors[1]["score_change"], rel=0.01)
    assert abs(errors[1]["completeness_error"]) < 0.05


@pytest.mark.parametrize(
    "parameters", [{}, {"operator": "occlusion"}, {"operator": "gradient-shap", "per_dimension": "absolute"}]
)
def test_nothing_is_reported_of_attributions_that_need_not_sum(model, pixels, token_ids, parameters):
    pair = matex.record(model, pixels[:1], token_ids[:1])
    for trace in (pair.image, pair.text):
        assert make("embedding-space", parameters).report(trace) == [{}]


def test_no_change_of_score_and_undefined_scores_have_no_error(model, pixels, token_ids):
    at_the_baseline = matex.record(model, torch.zeros_like(pixels[:1]), token_ids[:1]).image
    row = make("integrated-gradients", {"steps": 2}).report(at_the_baseline)[0]
    assert row == {"attribution_sum": 0.0, "score_change": 0.0, "completeness_error": None}
    undefined = matex.record(model, torch.full_like(pixels[:1], math.inf), token_ids[:1]).image
    assert make("integrated-gradients", {"steps": 2}).report(undefined) == [{"completeness_error": None}]


def test_a_large_error_is_a_note_of_each_explanation():
    tiny, (first, second) = matex.load("tiny"), samples()[:2]
    coarse, fine = {"steps": 1}, {"steps": 50}
    note = "image attributions sum to"

    def notes(explanation):
        return [text for text in explanation.notes if note in text]

    one = matex.explain(tiny, first.path, first.demo_phrase, method="integrated-gradients", **coarse)
    report = one.provenance["report"]["image"]
    assert abs(report["completeness_error"]) > 0.05
    assert f"{report['attribution_sum']:.3g}" in notes(one)[0]
    assert f"{report['score_change']:.3g}" in notes(one)[0]
    assert f"{abs(report['completeness_error']):.0%}" in notes(one)[0]
    assert report["attribution_sum"] == pytest.approx(one.image.grid.sum(), rel=1e-4)
    compared = matex.compare(tiny, first.path, first.demo_phrase, {"integrated-gradients": coarse, "gradient": {}})
    assert notes(compared["integrated-gradients"]) == notes(one)
    assert notes(compared["gradient"]) == []
    pairs = [(first.path, first.demo_phrase), (second.path, second.demo_phrase)]
    batch = explain_batch(tiny, pairs, method="integrated-gradients", **coarse)
    assert notes(batch[0]) == notes(one)
    errors = [each.provenance["report"]["image"]["completeness_error"] for each in batch]
    assert errors[0] == pytest.approx(report["completeness_error"], rel=1e-4)
    assert errors[0] != pytest.approx(errors[1], rel=0.01)
    best = matex.explain(tiny, first.path, first.demo_phrase, method="integrated-gradients", **fine)
    assert abs(best.provenance["report"]["image"]["completeness_error"]) < 0.05
    assert notes(best) == []


def test_the_note_begins_above_five_percent():
    def note(error):
        return incompleteness("text", {"attribution_sum": 1 + error, "score_change": 1.0, "completeness_error": error})

    assert note(0.05) is note(-0.05) is note(0.0) is None
    assert "completeness error of 6%" in note(0.06)
    assert "completeness error of 6%" in note(-0.06)
    assert incompleteness("image", {"completeness_error": None}) is None
    assert incompleteness("image", {"target_cosine": 0.3}) is None
