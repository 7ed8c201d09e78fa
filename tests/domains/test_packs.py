"""The packaged packs: their phrases, their sources, and what holds for every region."""

from pathlib import Path

import pytest

from matex.domains import anatomy_of, find_pack, read_places
from matex.domains.check import check_pack, misreading
from matex.domains.pack import Labelled
from matex.domains.registry import PACKAGED
from matex.phrases import parse
from matex.phrases.swap_sides import other_side

HELD_OUT = Path(__file__).parents[1] / "data" / "domain_phrases_held_out.txt"


@pytest.mark.parametrize("name", PACKAGED)
def test_every_phrase_of_a_pack_is_read_as_it_is_labelled(name):
    pack, faults = check_pack(name)
    assert faults == []
    assert len(pack.phrases) + len(pack.misread) >= 150
    assert len(pack.misread) <= 3


@pytest.mark.parametrize("name", PACKAGED)
def test_the_phrases_of_a_pack_cover_what_a_phrase_can_say(name):
    labels = [phrase.places for phrase in find_pack(name).phrases]
    texts = [phrase.text for phrase in find_pack(name).phrases]
    assert len(set(texts)) == len(texts)
    for kind in ("no ", "maybe ", "past ", "lesser "):
        assert sum(any(place.startswith(kind) for place in places) for places in labels) >= (
            1 if kind == "lesser " else 3
        )
    assert sum(not places for places in labels) >= 8  # distractors
    assert sum({"right", "left"} <= {place.split()[0] for place in places} for places in labels) >= 4


@pytest.mark.parametrize("name", PACKAGED)
def test_every_region_is_named_by_a_phrase_or_a_clock_position(name):
    pack = find_pack(name)
    named = {mention.region for phrase in pack.phrases for mention in parse(phrase.text, pack.anatomy)}
    assert {one.name for one in pack.regions.values() if not one.same_as} - named == set()


def held_out():
    lines = [line for line in HELD_OUT.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for line in lines:
        domain, _, rest = line.partition(": ")
        text, *places = (part.strip() for part in rest.split("|"))
        yield domain, Labelled(text, tuple(place for place in places if place))


def test_the_held_out_figures_are_those_of_the_documentation():
    found = {name: [0, 0] for name in PACKAGED}
    for domain, phrase in held_out():
        found[domain][0] += misreading(find_pack(domain), phrase) is None
        found[domain][1] += 1
    assert found == {
        "mammography": [14, 20],
        "brain-axial": [19, 20],
        "abdomen": [18, 20],
        "chest-lateral": [20, 20],
    }


def test_a_side_is_exchanged_in_the_words_of_the_domain():
    brain = anatomy_of("brain-axial")
    assert other_side("infarct in the left thalamus", brain) == "infarct in the right thalamus"
    assert other_side("lesion in the pons", brain) is None
    assert other_side("mass in the sella", brain) is None


def test_a_domain_without_anatomy_names_no_place():
    assert read_places("opacity in the left lung", "natural") == ()
    assert read_places("opacity in the left lung", "sound") == ()
    assert [one.region for one in read_places("opacity in the left lung", "chest")] == ["lung"]


def test_the_chest_names_nothing_in_a_brain():
    for text in ("right lower lobe pneumonia", "left pleural effusion", "cardiomegaly", "left lung nodule"):
        assert read_places(text, "brain-axial") == ()
