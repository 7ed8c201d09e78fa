"""Where sentences and statements end, what a place takes in, and the role of each word."""

import pytest

from matex.domains import find_pack
from matex.phrases import parse, sentences
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
    ],
)
def test_a_place_takes_in_its_whole_and_no_second_place(text, expected):
    assert weights(text) == expected


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Left lung lower zone opacity.", ["Left lung lower zone"]),
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
