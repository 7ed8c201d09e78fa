"""matex.explain_report: sentence by sentence over one pass of the image encoder."""

import numpy as np
import pytest

import matex
from matex.errors import InputError
from matex.samples import samples

REPORT = "TECHNIQUE: Portable AP film. FINDINGS: Opacity at the left base. No pleural effusion. Possible nodule, RUL."
FILM = samples()[1].path


@pytest.fixture(scope="module")
def model():
    return matex.load("tiny")


def test_every_sentence_is_listed_in_order_with_its_claim(model):
    found = matex.explain_report(model, FILM, REPORT, "grad-eclip")
    assert [sentence.claim for sentence in found] == ["no finding", "positive", "negated", "uncertain"]
    assert found[0].explanation is None
    assert "no finding" in found[0].reason
    for sentence in found[1:]:
        single = matex.explain(model, FILM, sentence.text, "grad-eclip")
        assert sentence.explanation.text == sentence.text
        np.testing.assert_allclose(sentence.explanation.image.grid, single.image.grid, atol=1e-6)


def test_the_film_runs_through_its_encoder_once(model, monkeypatch):
    seen = []
    attend = type(model.image).attend

    def counted(self, layer, *args, **kwargs):
        seen.append(self.modality)
        return attend(self, layer, *args, **kwargs)

    monkeypatch.setattr(type(model.image), "attend", counted)
    matex.explain_report(model, FILM, REPORT, "raw-attention")
    assert seen.count("image") == model.image.depth


def test_a_sentence_that_is_too_long_says_so_and_the_others_are_explained(model):
    found = matex.explain_report(model, FILM, f"{'Word ' * 99}. Left pleural effusion.", "raw-attention")
    assert [sentence.explanation is not None for sentence in found] == [False, True]
    assert "tokens" in found[0].reason


def test_settings_reach_every_sentence(model):
    size = matex.read(FILM).size
    mask = np.zeros(size, np.uint8)
    mask[:, : size[1] // 2] = 2  # the image's left edge is the patient's left
    mask[:, size[1] // 2 :] = 1
    found = matex.explain_report(model, FILM, "Opacity at the left base.", view="PA", mirrored=True, lung_mask=mask)
    query = found[0].explanation.query
    assert query.mirrored
    assert np.array_equal(query.lung_mask, mask)


def test_natural_images_have_no_sections_or_devices(model):
    found = matex.explain_report(model, FILM, "Portable AP film.", "raw-attention", domain="natural")
    assert found[0].explanation is not None


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ("", "sentences in the report"),
        (" \n ", "sentences in the report"),
        (None, "report as text"),
        (["Left effusion."], "report as text"),
        ("Word " * 99, "sentence that the model can read"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(model, report, message):
    with pytest.raises(InputError, match=message) as error:
        matex.explain_report(model, FILM, report)
    assert "\n" not in str(error.value)


def test_a_slip_in_the_other_arguments_is_refused_too(model):
    with pytest.raises(InputError, match=r"Load it first"):
        matex.explain_report("tiny", FILM, REPORT)
    with pytest.raises(matex.UnknownName, match="grad-eclip"):
        matex.explain_report(model, FILM, REPORT, "grad-eclipse")
