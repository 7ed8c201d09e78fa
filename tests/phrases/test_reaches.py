"""How far a denial, a normal word, a doubt and a history reach, and what a sentence claims then."""

import pytest

from matex.domains import find_pack
from matex.phrases import claim, parse, polarity, sentences
from tests.phrases.weights import effusion


def weights(text):
    """Side and region -> weight; "normal" for a region that is called normal."""
    return {
        f"{mention.side or ''} {mention.region}".strip(): "normal" if mention.normal else mention.weight
        for mention in parse(text)
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Prior films: none.", "no finding"),
        ("Prior imaging: not available.", "no finding"),
        ("Previous examinations: none.", "no finding"),
        ("Priors: none.", "no finding"),
        ("None available for comparison.", "no finding"),
        ("Lines and tubes: none.", "no finding"),
        ("Comparison: none.", "no finding"),
        ("Comparison: none. Findings: no effusion.", "negated"),
        ("History: pneumonia. Findings: no effusion.", "negated"),
        ("Pneumothorax: none.", "negated"),
        ("Pleura: none.", "negated"),
        ("None.", "negated"),
        ("Film confirms tube position.", "no finding"),
        ("Radiograph shows ET tube in good position.", "no finding"),
        ("Radiograph confirms correct placement of the tube.", "no finding"),
        ("Portable radiograph demonstrates satisfactory line position.", "no finding"),
        ("Film confirms tube position and bronchiolitis.", "positive"),
        ("Films confirm bronchiolitis.", "positive"),
        ("Film confirms no complication of line placement.", "negated"),
        ("No tube in the trachea and no right effusion.", "negated"),
        ("No NG tube in the left lung, no effusion.", "negated"),
        ("No pneumothorax. No line tip over the heart.", "negated"),
        ("Left PICC no longer seen, heart normal.", "normal"),
    ],
)
def test_other_films_and_positions_of_devices_are_no_finding(text, expected):
    assert claim(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Line over the left hemidiaphragm is not seen.", {"left hemidiaphragm": 1}),
        ("Tip of the catheter in the SVC is not seen.", {"superior vena cava": 1}),
        ("Tube in the right main bronchus is no longer present.", {"right main bronchus": 1}),
        ("No line over the left hemidiaphragm.", {"left hemidiaphragm": 1}),
        ("No tip of a line over the left base.", {"left lower zone": 1}),
        ("No line or effusion in the left base.", {"left lower zone": 0}),
        ("No lines, tubes, or bronchiolitis in the left base.", {"left lower zone": 0}),
        ("No pacemaker or cardiomegaly.", {"heart": 0}),
        ("Effusion over the left hemidiaphragm is not seen.", {"left hemidiaphragm": 0}),
        ("Tube over the left lung and effusion are not seen.", {"left lung": 0}),
    ],
)
def test_a_device_that_is_absent_denies_nothing_of_its_place(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Film free of artifact.", "no finding"),
        ("Resolved wrist fracture.", "negated"),
        ("Film reveals the tube tip.", "no finding"),
        ("Portable film shows mets.", "positive"),
        ("Portable film, bed 12.", "no finding"),
        ("Opacity, likely atelectasis, and left effusion.", "positive"),
        ("History of left effusion and no right effusion.", "negated"),
        ("No consolidation and new effusion or pneumothorax.", "negated"),
        ("The left lung has normal vascular markings.", "normal"),
        ("Both lungs have normal vascular markings.", "normal"),
        ("The left lung is normal in density.", "normal"),
        ("The left lung shows symmetric, normal markings.", "normal"),
        ("Lungs: normal markings.", "normal"),
        ("Left lung normal, increased markings on the right.", "positive"),
        ("Left lung normal. Increased markings on the right.", "positive"),
        ("Left lung has resolved effusion.", "negated"),
    ],
)
def test_what_a_sentence_claims(text, expected):
    assert claim(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left hilum and heart: normal markings.", {"left hilum": "normal", "heart": "normal"}),
        ("Vascularity is normal, tube in the left base.", {"left lower zone": 1}),
        ("Heart unremarkable and markings normal in the left lung.", {"heart": "normal", "left lung": "normal"}),
        ("Right base is hazy: normal left lung.", {"right lower zone": 1, "left lung": "normal"}),
        ("Left basal opacity: right lung clear.", {"left lower zone": 1, "right lung": "normal"}),
        ("Heart larger, lungs clear.", {"heart": 1, "lung": "normal"}),
        ("Left lung less clear, right lung clear.", {"left lung": 1, "right lung": "normal"}),
        ("Heart is large, normal lungs.", {"heart": 1, "lung": "normal"}),
        ("Left lung is hazy with normal right lung.", {"left lung": 1, "right lung": "normal"}),
        ("Views are adequate: normal heart.", {"heart": "normal"}),
        ("Left base is hazy but normal heart.", {"left lower zone": 1, "heart": "normal"}),
        ("Hazy left base and there are normal lungs.", {"left lower zone": 1, "lung": "normal"}),
        ("Opacity in the left base and there is a normal heart.", {"left lower zone": 1, "heart": "normal"}),
        ("Left lung normal, increased markings on the right.", {"left lung": "normal", "right lung": 1}),
        ("The lungs are clear at the bases.", {"lower zone": "normal"}),
        ("Lungs clear at both bases.", {"right lower zone": "normal", "left lower zone": "normal"}),
        ("Left lung is clear at the apex.", {"left apex": "normal"}),
        ("Lungs are clear at the apices and hazy at the bases.", {"apex": "normal", "lower zone": 1}),
        ("Lungs are clear in the upper zones with opacity at the bases.", {"upper zone": "normal", "lower zone": 1}),
        ("The lungs are clear above the right base opacity.", {"lung": "normal", "right lower zone": 1}),
        ("Lungs are clear on the left but not at the right base.", {"left lung": "normal", "right lower zone": 1}),
    ],
)
def test_how_far_normal_reaches(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion and stable cardiomegaly.", {"heart": 1}),
        ("No effusion, left base with consolidation or atelectasis.", {"left lower zone": 1}),
        ("No effusion, left base hazy without mass or nodule.", {"left lower zone": 1}),
        ("No effusion, left basal opacity; mass or nodule.", {"left lower zone": 1}),
        ("Lungs, pleura: no abnormality.", {"lung": 0, "pleura": 0}),
        ("Left lung and right base: no opacity.", {"left lung": 0, "right lower zone": 0}),
        ("Lungs: no left basal opacity.", {"left lower zone": 0}),
        ("Right apical nodule, left base: no consolidation.", {"right apex": 1, "left lower zone": 0}),
        ("Nodule at the right apex, left base: no consolidation.", {"right apex": 1, "left lower zone": 0}),
        ("Suspected mass, left base.", {"left lower zone": 0.5}),
        ("Suspected mass, RUL.", {"right upper lobe": 0.5}),
        ("Suspected mass, left upper lobe.", {"left upper lobe": 0.5}),
        ("Suspected effusion, left pleura.", {"left pleura": 0.5}),
        ("Bibasilar opacities; the left has resolved.", {"right lower zone": 1, "left lower zone": 0}),
        ("Bilateral apical opacities, the left has resolved.", {"right apex": 1, "left apex": 0}),
        (
            "Effusion present on the left and absent on this film with right basal opacity.",
            {"left lower zone": 1, "left costophrenic angle": 1, "right lower zone": 1},
        ),
        (
            "Status post right lobectomy, left effusion or pneumonia.",
            {"right lung": 0, "left lower zone": 1, "left costophrenic angle": 1},
        ),
        ("Left apical nodule near the right upper lobe resection.", {"left apex": 1, "right upper lobe": 0}),
        ("Left apical nodule without lobectomy.", {"left apex": 1}),
        ("Left apical nodule, right upper lobectomy.", {"left apex": 1, "right upper lobe": 0}),
        ("Left lower lobe and right upper lobectomy.", {"left lower lobe": 1, "right upper lobe": 0}),
        ("Left lower lobe mass, resected.", {"left lower lobe": 0}),
        (
            "Left apical nodule with right basal atelectasis cannot be excluded.",
            {"left apex": 1, "right lower zone": 0.5},
        ),
        ("Left lung has resolved effusion.", {"left lung": 0}),
        ("The right base has cleared atelectasis.", {"right lower zone": 0}),
        ("Left effusion has resolved opacity at the right base.", {**effusion(left=0), "right lower zone": 1}),
    ],
)
def test_where_a_scope_ends(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The postoperative left lung shows no opacity.", {"left lung": 0}),
        ("The postoperative lungs show no opacity.", {"lung": 0}),
        ("Postoperative left lung without opacity.", {"left lung": 1}),
        ("The structure in the left lung shows no opacity.", {"left lung": 1}),
        ("Heart, mediastinum and hila show no abnormality.", {"heart": 0, "mediastinum": 0, "hilum": 0}),
        ("Heart, mediastinum or hila without abnormality.", {"heart": 0, "mediastinum": 0, "hilum": 0}),
        ("Left basal atelectasis, right lung without effusion.", {"left lower zone": 1, "right lung": 0}),
        ("Left basal opacity; right lung without effusion.", {"left lower zone": 1, "right lung": 0}),
        ("Cardiomegaly with lungs without effusion.", {"heart": 1, "lung": 0}),
        ("Heart is large and left lung without effusion.", {"heart": 1, "left lung": 0}),
        ("Hila are large and left lung without effusion.", {"hilum": 1, "left lung": 0}),
        ("The heart is not big.", {"heart": 1}),
        ("The right lung is not fully expanded.", {"right lung": 1}),
        ("Large heart, no effusion.", {"heart": 1}),
        ("Left lung with heart that may be large.", {"left lung": 1, "heart": 0.5}),
        ("Left apical cap, the heart may be large.", {"left apex": 1, "heart": 0.5}),
        ("Tube in the trachea may be high.", {"trachea": 1}),
        ("Clear lungs and heart may be enlarged.", {"lung": "normal", "heart": 0.5}),
    ],
)
def test_places_before_a_denial_or_doubt(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Retrosternal clear space is filled.", "positive"),
        ("Sternal wires are intact.", "normal"),
    ],
)
def test_a_claim_is_read_with_the_words_of_its_domain(text, expected):
    anatomy = find_pack("chest-lateral").anatomy
    (sentence,) = sentences(text)
    assert claim(text, anatomy) == claim(sentence, anatomy) == polarity(text, anatomy) == expected
