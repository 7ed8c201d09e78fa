"""How far a denial, a normal word, a doubt and a history reach, and what a sentence claims then."""

import pytest

from matex.phrases import claim, parse


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
