"""Where sentences and statements end, what a place takes in, and the role of each word."""

import pytest

from matex.domains import find_pack
from matex.phrases import parse, sentences
from matex.phrases.claims import polarity
from matex.phrases.sections import has_no_findings, section_name, sections
from matex.phrases.word_roles import word_roles
from tests.phrases.weights import effusion, weights


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion on the right, left base opacities are seen.", {**effusion(right=0), "left lower zone": 1}),
        ("Effusion on the right; in the left lung, there is no opacity.", {**effusion(right=1), "left lung": 0}),
        ("The right effusion is larger and the left had resolved.", effusion(right=1, left=0)),
        ("The right effusion is larger and the left was not seen.", effusion(right=1, left=0)),
        ("Right effusion worse and left cleared.", effusion(right=1, left=0)),
        ("Right effusion, left effusion not seen.", effusion(right=1, left=0)),
        ("Right effusion is smaller, left effusions are resolved.", effusion(right=1, left=0)),
        ("Right effusion is smaller, left effusions have resolved.", effusion(right=1, left=0)),
        ("Right opacity and left effusion have resolved.", {"right lung": 0, **effusion(left=0)}),
        ("New, large left effusion is not seen.", effusion(left=0)),
        ("History of new, large left effusion.", effusion(left=0)),
        ("Lungs are free of new, focal right opacity.", {"lung": 0, "right lung": 0}),
        ("No new, large, or right effusion.", effusion(right=0)),
        ("Opacity on the left, no effusion on the right.", {"left lung": 1, **effusion(right=0)}),
        ("Heart is large and there is no left effusion.", {"heart": 1, **effusion(left=0)}),
        ("Right lung opacity, there are no left effusions.", {"right lung": 1, **effusion(left=0)}),
        ("Right effusion unchanged and left resolved.", effusion(right=1, left=0)),
        ("Right effusion persists and left resolved.", effusion(right=1, left=0)),
        ("Right effusion stable and left resolved in the base.", {**effusion(right=1), "left lower zone": 0}),
        ("Right effusion stable and left resolved, heart normal.", {**effusion(right=1), "heart": 0}),
        ("Effusion has resolved on the left and is larger on the right.", effusion(left=0, right=1)),
        ("Effusions have resolved on the left and are unchanged on the right.", effusion(left=0, right=1)),
        ("Effusion has resolved on the left and is smaller on the right.", effusion(left=0, right=1)),
        ("Right opacity and new left opacity have cleared.", {"right lung": 0, "left lung": 0}),
        ("Effusion is present on the left and is absent on the right.", effusion(left=1, right=0)),
        ("Opacity is present on the right and is larger.", {"right lung": 1}),
        ("Right effusion resolved and pleura not seen.", {**effusion(right=0), "pleura": 0}),
        ("The left base shows opacity and the right effusion is gone.", {"left lower zone": 1, **effusion(right=0)}),
        (
            "Left base shows opacity and the right effusion was drained.",
            {"left lower zone": 1, **effusion(right=0)},
        ),
        (
            "Left base shows opacity and the right effusion had resolved.",
            {"left lower zone": 1, **effusion(right=0)},
        ),
        ("Right upper zone opacity, apical opacities are not seen.", {"right upper zone": 1, "apex": 0}),
        ("Right upper zone opacity, apical opacities are absent.", {"right upper zone": 1, "apex": 0}),
        ("Right upper zone opacity, apical opacities have resolved.", {"right upper zone": 1, "apex": 0}),
        ("Right upper zone opacity, apical effusions were drained.", {"right upper zone": 1, "apex": 0}),
        ("Right upper zone opacity, and apical opacities have resolved.", {"right upper zone": 1, "right apex": 0}),
        ("Right pneumothorax, lungs are clear.", {"right apex": 1, "right peripheral lung": 1, "lung": 0}),
        ("No right effusion, left base and heart is normal.", {**effusion(right=0), "left lower zone": 0, "heart": 0}),
        ("Right nodule and left mass is likely.", {"right lung": 0.5, "left lung": 0.5}),
        ("Prior opacity in the small, right lung.", {"right lung": 0}),
        ("Without coarse and patchy, left opacity.", {"left lung": 0}),
        ("No images show new, large left effusion.", effusion(left=0)),
        ("Right lung opacity with large, dense apical nodule is unchanged.", {"right apex": 1}),
    ],
)
def test_a_statement_ends_where_a_new_subject_begins(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fracture of the left distal radius.", {}),
        ("Opacity in the base in the right lung.", {"right lower zone": 1}),
        ("Opacity within the base within the left lung.", {"left lower zone": 1}),
        ("Peripheral or left basal opacity.", {"peripheral lung": 1, "left lower zone": 1}),
        ("Peripheral and left basal opacity.", {"peripheral lung": 1, "left lower zone": 1}),
        ("Peripheral left basal opacity.", {"left lower zone": 1}),
        ("Left lung and distal left base.", {"left lung": 1, "left lower zone": 1}),
        ("Left lung and pleural left base.", {"left lung": 1, "left lower zone": 1}),
        ("Left lung and upper lobe of the left lung.", {"left lung": 1, "left upper lobe": 1}),
        ("Right lung and new right hilum opacity.", {"right lung": 1, "right hilum": 1}),
        ("Left lung and left upper and lower zones.", {"left lung": 1, "left upper zone": 1, "left lower zone": 1}),
        ("Left upper lobe and left lung.", {"left upper lobe": 1, "left lung": 1}),
        ("Right basal left lung opacity.", {"right lower zone": 1, "left lung": 1}),
        ("Apical mass peripheral left lung.", {"left apex": 1}),
        ("Apical opacity basal left lung opacity.", {"apex": 1, "left lower zone": 1}),
        ("Right opacity left lung opacity.", {"right lung": 1, "left lung": 1}),
        ("Base and stable right lung opacity.", {"lower zone": 1, "right lung": 1}),
        ("Right lung upper zone opacity.", {"right upper zone": 1}),
        ("Nodule in the left lower posterior lobe.", {"left lower lobe": 1}),
        ("Mass in the right lower outer quadrant.", {}),
    ],
)
def test_a_place_takes_in_its_whole_and_no_second_place(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Right effusion in the knee.",
        "Left mass of the kidney.",
        "Right fracture of the humerus.",
        "Left nodule in the small left breast.",
        "Right lower nodule in the liver.",
        "Right infected cyst in the stable left kidney.",
        "Right large mass of the left kidney.",
        "Left mass lesion at the left wrist.",
        "Left nodule in the anterior left breast.",
    ],
)
def test_a_finding_of_other_anatomy_takes_its_side_along(text):
    assert weights(text) == {}
    assert polarity(text) == "positive"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Left opacity over the breast.", {"left lung": 1}),
        ("Right opacity adjacent to the liver.", {"right lung": 1}),
        ("Opacity on the right obscuring the liver.", {"right lung": 1}),
        ("Right effusion and nodule of the left kidney.", effusion(right=1)),
        ("Right lung nodule, mass in the liver.", {"right lung": 1}),
        ("The left effusion extends into the neck.", effusion(left=1)),
    ],
)
def test_a_finding_next_to_other_anatomy_is_one_of_the_chest(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Left lung lower zone opacity.", ["Left lung lower zone"]),
        ("Upper left and lower right zone opacities.", ["Upper left", "lower right zone"]),
        ("Opacity in the base in the right lung.", ["base in the right"]),
        ("Opacity in the base and on the left.", ["base"]),
        ("Opacity in the base or on the left.", ["base"]),
        ("Effusion, mild, left.", ["Effusion", "Effusion"]),
        ("Left, with thickening.", ["thickening"]),
        ("left with thickening", ["thickening"]),
        ("Opacities: right unchanged.", ["Opacities: right"]),
    ],
)
def test_the_words_of_a_place_reach_its_side_unless_something_parts_them(text, spans):
    assert [mention.text for mention in parse(text)] == spans


def test_the_clearer_side_is_negated_without_doubt():
    clearer, other = parse("The right lung may be clearer than the left.")
    assert (clearer.side, clearer.negated, clearer.uncertain, clearer.weight) == ("right", True, False, 0)
    assert (other.side, other.negated, other.uncertain, other.weight) == ("left", False, True, 0.5)
    assert (clearer.start, clearer.end) == (4, 14)


# ---------------------------------------------------------------------------------------------- sentences and sections


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Lungs are clear.  \n X-ray was repeated.", ["Lungs are clear.", "X-ray was repeated."]),
        ("Lungs clear \n\nX-ray repeated\n", ["Lungs clear", "X-ray repeated"]),
        ("Opacity, ? 5 mm nodule.", ["Opacity, ? 5 mm nodule."]),
        ("1. Clear.\n2. No effusion.", ["Clear.", "No effusion."]),
        ("Opacity (Dr. Smith).", ["Opacity (Dr. Smith)."]),
    ],
)
def test_sentences_have_their_own_words_and_places(text, expected):
    found = sentences(text)
    assert [sentence.text for sentence in found] == expected
    assert [text[sentence.start : sentence.end] for sentence in found] == expected


def test_only_the_first_line_of_a_request_belongs_to_it():
    text = "INDICATION:\nCough.\nOpacity.\nFINDINGS: Clear."
    assert [(part.text, part.section) for part in sentences(text)] == [
        ("Cough.", "indication"),
        ("Opacity.", ""),
        ("Clear.", "findings"),
    ]


def test_names_of_sections_are_joined_and_known():
    assert section_name("Findings / Impression") == section_name("findings and impression") == "findings and impression"
    assert section_name("Lungs & Heart") == "lungs and heart"
    assert has_no_findings("indication and technique")
    assert not has_no_findings("indication and findings")
    assert not has_no_findings("")


def test_a_section_begins_after_its_heading_whatever_ends_it():
    text = "Stable.\nFINDINGS -- Clear.\nIMPRESSION - Normal.\nTECHNIQUE: PA."
    found = sections(text)
    assert [(part.name, part.heading, text[part.start : part.end].strip()) for part in found] == [
        ("", 0, "Stable."),
        ("findings", 8, "Clear."),
        ("impression", 27, "Normal."),
        ("technique", 48, "PA."),
    ]


# ---------------------------------------------------------------------------------------------------------- word roles


def roles(text, *anatomy):
    spans, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        spans.append((start, start + len(word)))
        start += len(word)
    return word_roles(text, spans, *anatomy)


def test_each_word_names_a_finding_or_a_place_or_fills_the_sentence():
    assert roles("there is a nodule in the left apex") == ("filler",) * 3 + (
        "finding",
        "filler",
        "filler",
        "place",
        "place",
    )
    assert roles("Large hiatal hernia.") == ("filler", "filler", "finding")
    assert word_roles("nodule,base", [(0, 6), (6, 7), (7, 11)]) == ("finding", "filler", "place")


def test_roles_are_those_of_the_anatomy_of_the_image():
    brain = find_pack("brain-axial").anatomy
    assert roles("left parietal stroke", brain) == ("place", "place", "finding")
    assert roles("left parietal stroke")[1:] == ("filler", "filler")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Chest film  findings: clear.", ["", "findings"]),
        ("Chest film findings: clear.", [""]),
        ("Heart is normal and unchanged\nfindings\nare clear.", [""]),
        ("Heart is normal.\nfindings\nclear", ["", "findings"]),
        ("Heart is normal. \r\nfindings\r\nclear", ["", "findings"]),
        ("Heart is normal\n \nfindings\nclear", ["", "findings"]),
        ("Heart is normal\nFindings\nclear", ["", "findings"]),
        ("  \nfindings\nclear", ["", "findings"]),
        ("- findings\nclear", ["", "findings"]),
    ],
)
def test_a_known_word_is_a_heading_where_it_stands_apart(text, names):
    assert [part.name for part in sections(text)] == names


def test_punctuation_between_words_is_neither_finding_nor_place():
    assert word_roles("base,nodule", [(0, 4), (4, 5), (5, 11)]) == ("place", "filler", "finding")
