"""Which words begin a section of a report, and which stay in the text."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matex.datasets.mimic_cxr import section_of
from matex.phrases import claim, sentences
from matex.phrases.sections import NAMES, sections

SUB_HEADINGS = [
    ("FINDINGS:\n LUNGS:  Clear.\n HEART:  Normal.\n\n IMPRESSION: x", "findings", "LUNGS: Clear. HEART: Normal."),
    ("FINDINGS:\n PA AND LATERAL CHEST:  Clear.\n\n IMPRESSION:  x", "findings", "PA AND LATERAL CHEST: Clear."),
    ("FINDINGS: Clear. OTHER FINDINGS: none.\nIMPRESSION: x", "findings", "Clear. OTHER FINDINGS: none."),
    ("FINDINGS: Clear. Bone findings: none.\nIMPRESSION: x", "findings", "Clear. Bone findings: none."),
    ("FINDINGS: with the findings: a, the impression: b", "findings", "with the findings: a, the impression: b"),
    ("IMPRESSION:\n1. Normal.\n2. NODULE: left.\n", "impression", "1. Normal. 2. NODULE: left."),
]
ANYWHERE_ON_THE_LINE = [
    (" COMPARISON:  None.  FINDINGS:  Lungs clear.  IMPRESSION:  Normal.\n", "impression", "Normal."),
    (" COMPARISON:  None.  FINDINGS:  Lungs clear.  IMPRESSION:  Normal.\n", "findings", "Lungs clear."),
    ("Comparison: 2/3/2010 Findings: Clear Impression: Normal", "findings", "Clear"),
    ("INDICATION: COUGH FINDINGS: CLEAR IMPRESSION: NORMAL", "findings", "CLEAR"),
    ("FINAL REPORT FINDINGS: clear", "findings", "clear"),
]
IN_ANY_CASE = [
    ("comparison: none. findings: lungs clear. impression: normal.", "findings", "lungs clear."),
    ("findings:\n lungs clear.\n\nImpression: normal.", "impression", "normal."),
    ("Comparison: None findings: clear. IMPRESSION: x", "findings", "clear."),
]
WITHOUT_A_COLON = [
    ("Findings\n\nThe lungs are clear.\n\nImpression\nNormal.\n", "findings", "The lungs are clear."),
    ("FINDINGS\r\nClear.\r\n\r\nIMPRESSION\r\nNormal.\r\n", "impression", "Normal."),
    ("FINDINGS: tumour, a long\nhistory\nof smoking.", "findings", "tumour, a long history of smoking."),
]
BOTH_REPEATED_OR_MISSING = [
    ("FINDINGS AND IMPRESSION: both", "impression", "both"),
    ("FINDINGS/IMPRESSION: both", "findings", "both"),
    ("IMPRESSION AND FINDINGS: both", "findings", "both"),
    ("Impression & Findings (portable): both", "findings", "both"),
    ("TECHNIQUE/COMPARISON: AP\nFINDINGS: a\nHISTORY / INDICATION: b", "findings", "a"),
    ("IMPRESSION: one.\nADDENDUM: x.\nIMPRESSION: two.", "impression", "one. two."),
    ("IMPRESSION: one.\n\nIMPRESSION: one.", "impression", "one."),
    ("INDICATION: x\n\nIMPRESSION: y", "findings", ""),
    ("FINDINGS:\n\nIMPRESSION: x", "findings", ""),
]
WHAT_ENDS_A_SECTION = [
    ("WET READ: x. \n FINDINGS: y.\n NOTIFICATION: Dr X.", "findings", "y."),
    ("IMPRESSION: Normal. RECOMMENDATION(S): CT.", "impression", "Normal."),
    ("IMPRESSION (PRELIMINARY): Normal.\nTECHNIQUE: AP", "impression", "Normal."),
    ("IMPRESSION - Normal.\nEXAMINATION: chest", "impression", "Normal."),
    ("CONCLUSION: Normal.", "impression", "Normal."),
]


@pytest.mark.parametrize(
    ("report", "section", "expected"),
    [
        *SUB_HEADINGS,
        *ANYWHERE_ON_THE_LINE,
        *IN_ANY_CASE,
        *WITHOUT_A_COLON,
        *BOTH_REPEATED_OR_MISSING,
        *WHAT_ENDS_A_SECTION,
    ],
)
def test_a_section_holds_its_own_text_alone(report, section, expected):
    assert section_of(report, section) == expected


def test_a_name_is_a_heading_only_where_it_is_used_as_one():
    assert section_of("The findings: left effusion.", "findings") == ""
    assert section_of("No prior impression was made. See findings below.", "impression") == ""
    assert [part.name for part in sections("Study of findings, history of impressions")] == [""]


HEADINGS = [heading for headings in NAMES.values() for heading in headings]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([*HEADINGS, ":", "\n", "\n\n", ". ", "1.", "LUNGS:"]), st.text(max_size=6))))
def test_sections_cover_any_text_in_order(parts):
    report = " ".join(parts)
    found = sections(report)
    assert found[0].heading == 0
    assert found[-1].end == len(report)
    for before, after in pairwise(found):
        assert before.start <= before.end == after.heading < after.start
    for sentence in sentences(report):
        assert report[sentence.start : sentence.end] == sentence.text


def test_every_heading_begins_its_section_in_any_case():
    for name, headings in NAMES.items():
        for heading in headings:
            for change in (str.upper, str.title, str.lower):
                title = change(heading)
                for report in (f"x.\n{title}: y", f"Clear. {title}: y", f"x.\n\n{title}\ny"):
                    assert sections(report)[-1].name == name, report


def test_sentences_of_a_request_describe_no_finding_but_the_text_after_it_does():
    report = "INDICATION: Left pneumonia? Evaluate.\nRight basal opacity.\n\nTECHNIQUE:\nAP chest.\nLeft effusion."
    assert [(sentence.section, claim(sentence)) for sentence in sentences(report)] == [
        ("indication", "no finding"),
        ("indication", "no finding"),
        ("", "positive"),
        ("technique", "no finding"),
        ("", "positive"),
    ]


@pytest.mark.parametrize("dash", [" - ", " -- "])
@pytest.mark.parametrize("sentences", [1, 9])
def test_a_heading_with_a_dash_begins_a_line_of_any_length(dash, sentences):
    report = f"FINDINGS{dash}" + " ".join(["The lungs are clear."] * sentences)
    (before, findings) = sections(report)
    assert (before.name, findings.name) == ("", "findings")
    assert report[findings.start : findings.end].lstrip().startswith("The lungs")
