"""Every medical family: the conformance suite, the methods on one film, grids that change from stage to stage."""

import dataclasses

import numpy as np
import pytest
import torch

import matex
from matex.adapters import biovil, convirt, cxr_clip, gloria, medclip
from matex.adapters.biovil import BioVil, ImageConfig, ImageModel, TextModel
from matex.adapters.convirt import Convirt, ConvirtConfig
from matex.adapters.cxr_clip import CxrClip, CxrClipConfig
from matex.adapters.gloria import Gloria, GloriaConfig
from matex.adapters.medclip import MedClip, MedClipConfig
from matex.adapters.model import Options
from matex.samples import samples
from matex.testing import check_model
from tests.adapters.random_weights import BERT, SWIN, pixels, randomise, write_vocabulary

RESNET = ((1, 1, 1, 1), 2)
TEXT = dataclasses.replace(BERT, max_position_embeddings=24)
BIOVIL = ImageConfig(*RESNET, joint=10)
FAMILIES = {
    "medclip swin": lambda options: medclip.adapt(
        small(MedClip(MedClipConfig(SWIN, TEXT, 10))), "small", None, options
    ),
    "medclip resnet": lambda options: medclip.adapt(
        small(MedClip(MedClipConfig(RESNET, TEXT, 10))), "small", None, options
    ),
    "biovil": lambda options: biovil.adapt(
        small(BioVil(ImageModel(BIOVIL), TextModel(TEXT, 10))), "small", None, options
    ),
    "biovil-t": lambda options: biovil.adapt(
        small(BioVil(ImageModel(dataclasses.replace(BIOVIL, temporal=8, heads=2, depth=2)), TextModel(TEXT, 10))),
        "small",
        None,
        options,
    ),
    "gloria": lambda options: gloria.adapt(small(Gloria(GloriaConfig(*RESNET, text=TEXT))), "small", None, options),
    "convirt": lambda options: convirt.adapt(
        small(Convirt(ConvirtConfig(*RESNET, text=TEXT, joint=10))), "small", None, options
    ),
    "cxr-clip swin": lambda options: cxr_clip.adapt(
        small(CxrClip(CxrClipConfig(SWIN, TEXT, 10))), "small", None, options
    ),
    "cxr-clip resnet": lambda options: cxr_clip.adapt(
        small(CxrClip(CxrClipConfig(RESNET, TEXT, 10))), "small", None, options
    ),
}
QUICK = ["gradcam", "m2ib", "ca-m2ib", "maskclip", "saliency", "embedding-space", "guided-backprop", "matex", "rollout"]
SERVED = {"gradcam", "m2ib", "saliency", "embedding-space"}
WORDLESS = {"maskclip", "guided-backprop", ("ca-m2ib", "cxr-clip swin")}
MORE = {
    "medclip swin": {"ca-m2ib", "maskclip"},
    "medclip resnet": {"ca-m2ib", "maskclip", "guided-backprop"},
    "biovil": {"ca-m2ib", "maskclip", "guided-backprop"},
    "biovil-t": {"ca-m2ib", "maskclip", "guided-backprop"},
    "gloria": {"ca-m2ib", "maskclip", "guided-backprop"},
    "convirt": {"guided-backprop"},
    "cxr-clip swin": {"ca-m2ib"},
    "cxr-clip resnet": {"ca-m2ib", "maskclip", "guided-backprop"},
}


def small(module):
    return randomise(module).float()


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def model(family, tmp_path):
    return FAMILIES[family](Options(tokenizer=str(write_vocabulary(tmp_path))))


def test_the_conformance_suite_finds_no_fault(family, model):
    model.module.double()
    side = {"gloria": 224, "convirt": 300, "cxr-clip swin": 48, "medclip swin": 48}.get(family, 160)
    checks = check_model(model, pixels=pixels(side, side), methods=["gradcam", "m2ib", "maskclip", "grad-eclip"])
    assert {check.state for check in checks} <= {"pass", "skipped"}


def test_methods_explain_a_film_or_refuse_it_in_one_line(family, model):
    film = samples()[0]
    found = matex.compare(model, film.path, "small opacity in the left lung", QUICK, skip_unsupported=True)
    assert set(found) == SERVED | MORE[family]
    for name, explanation in found.items():
        values = explanation.image.values
        assert values.shape == explanation.query.film.size
        assert np.isfinite(values).any(), name
        assert name == "gradcam" or explanation.image.grid.max() > explanation.image.grid.min(), name
        assert len(explanation.words) == (0 if name in WORDLESS or (name, family) in WORDLESS else 6)
    with pytest.raises(matex.UnsupportedModel, match=r"no attention over.*There are .*gradcam") as refusal:
        matex.explain(model, film.path, "opacity")
    assert "\n" not in str(refusal.value)


def test_several_phrases_of_one_film_equal_each_alone(family, model):
    model.module.double()
    film, phrases = samples()[0], ["small opacity in the left lung", "no effusion"]
    for method in ("gradcam", "m2ib", "saliency"):
        together = matex.explain_batch(model, [(film.path, phrase) for phrase in phrases], method=method)
        for phrase, explanation in zip(phrases, together, strict=True):
            alone = matex.explain(model, film.path, phrase, method=method)
            np.testing.assert_allclose(explanation.image.grid, alone.image.grid, rtol=1e-4, atol=1e-7)
            np.testing.assert_allclose(
                [score for _, score in explanation.words], [score for _, score in alone.words], rtol=1e-4, atol=1e-7
            )


def test_a_map_of_a_lower_stage_goes_the_whole_way(tmp_path):
    model = FAMILIES["medclip resnet"](Options(tokenizer=str(write_vocabulary(tmp_path))))
    film = samples()[0]
    explanation = matex.explain(model, film.path, "opacity in the left lung", method="gradcam", layer=1)
    assert explanation.image.grid.shape == (28, 28)
    explanation.save(tmp_path / "out")
    loaded = matex.Explanation.load(tmp_path / "out")
    np.testing.assert_array_equal(loaded.image.grid, explanation.image.grid)
    np.testing.assert_allclose(loaded.image.values, explanation.image.values)
    assert '"rows": 28' in (tmp_path / "out" / "report.html").read_text().replace('"rows":28', '"rows": 28')
    gloria_model = FAMILIES["gloria"](Options(tokenizer=str(tmp_path)))
    explanation = matex.explain(gloria_model, film.path, "opacity in the left lung", method="maskclip")
    assert explanation.image.grid.shape == (19, 19)
    explanation.save(tmp_path / "gloria")
    loaded = matex.Explanation.load(tmp_path / "gloria")
    assert loaded.image.placement == explanation.image.placement
    np.testing.assert_allclose(loaded.image.values, explanation.image.values)
    assert torch.equal(torch.from_numpy(loaded.image.grid), torch.from_numpy(explanation.image.grid))
