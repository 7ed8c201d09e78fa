"""Simulated films: fixed by seed and index, the truth to the pixel, one finding named and the other known."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from matex.datasets import open_dataset
from matex.errors import InputError
from matex.samples import samples
from matex.simulation import all_canonical, canonical
from tests.datasets import layouts


def test_a_film_depends_on_seed_and_index_alone():
    many = open_dataset("simulated", films=6, findings=2)
    few = open_dataset("simulated", films=3, findings=2)
    last = many[5]  # of film 2, made without those before it
    other = list(few)[5]
    assert last.id == other.id
    assert last.image.sha256 == other.image.sha256
    np.testing.assert_array_equal(last.mask, other.mask)
    changed = open_dataset("simulated", films=3, findings=2, seed=1)
    assert not {sample.id for sample in changed} & {sample.id for sample in many}


def test_findings_and_places_come_equally_often():
    count = len(all_canonical())
    dataset = open_dataset("simulated", films=2 * count)
    drawn = list(dataset)
    phrases = Counter(sample.text for sample in drawn)
    assert len({sample.id for sample in drawn}) == 2 * count  # the same phrase twice is not the same film twice
    assert set(phrases) == {phrase for phrase, *_ in all_canonical()} == set(dataset.labels)
    assert set(phrases.values()) == {2}


def test_the_phrase_names_the_finding_under_the_mask():
    for sample in open_dataset("simulated", films=12, tier="moderate"):
        facts = sample.attributes
        assert sample.text == sample.label == canonical(facts["finding"], facts["side"], facts["zone"])
        assert sample.group == facts["finding"]
        assert facts["tier"] == "moderate"
        assert sample.mask.shape == sample.image.pixels.shape
        rows, columns = np.nonzero(sample.mask)
        assert sample.boxes == ((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1),)
        assert sample.other is None
        if facts["side"] in ("right", "left"):  # the patient's right is on the image's left
            assert (columns.mean() < sample.mask.shape[1] / 2) == (facts["side"] == "right")
        assert sample.image.view == sample.view == "FRONTAL"
        assert sample.split is None


def test_two_findings_make_two_samples_of_one_film():
    dataset = open_dataset("simulated", films=4, findings=2)
    assert len(dataset) == 8
    for first, second in zip(list(dataset)[::2], list(dataset)[1::2], strict=True):
        assert first.image.sha256 == second.image.sha256
        assert first.attributes["film"] == second.attributes["film"]
        assert first.id != second.id
        assert first.text != second.text
        np.testing.assert_array_equal(first.mask, second.other)
        np.testing.assert_array_equal(first.other, second.mask)
        assert not (first.mask & first.other).any()


def test_a_crowded_film_has_as_many_samples_as_findings():
    dataset = list(open_dataset("simulated", films=1, findings=7))
    assert len({sample.text for sample in dataset}) == len(dataset) == 7
    assert {sample.attributes["objects"] for sample in dataset} == {7}
    every = np.sum([sample.mask for sample in dataset], axis=0)
    for sample in dataset:
        np.testing.assert_array_equal(sample.other, (every - sample.mask).astype(bool))
        assert not (sample.mask & sample.other).any()


def test_without_a_place_the_phrase_fits_one_of_the_two_alone():
    akin = [{"nodule", "mass"}, {"opacity", "consolidation"}, {"opacity", "nodule"}, {"opacity", "atelectasis"}]
    dataset = open_dataset("simulated", films=34, findings=2, placed=False)
    groups = [sample.group for sample in dataset]
    for pair in zip(groups[::2], groups[1::2], strict=True):
        assert len(set(pair)) == 2
        assert set(pair) not in akin
    assert all(sample.text == sample.group for sample in dataset)
    assert set(dataset.labels) == set(groups)


def test_normal_films_come_from_the_split_of_the_root(tmp_path):
    normal = next(sample for sample in samples() if sample.normal)
    with Image.open(normal.path) as image:
        for name in ("val.png", "train.png"):
            image.resize((120, 100)).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"x")
    rows = [("val.png", "val"), ("train.png", "train"), ("broken.png", "val"), ("gone.png", "val")]
    layouts.text(tmp_path / "manifest.jsonl", *(f'{{"image": "{name}", "split": "{split}"}}' for name, split in rows))
    dataset = open_dataset("simulated", root=tmp_path, films=3)
    assert [problem.row for problem in dataset.problems] == [3, 4]
    assert {sample.split for sample in dataset} == {"val"}
    assert {sample.image.pixels.shape for sample in dataset} == {(100, 120)}
    with pytest.raises(InputError, match="Expected at least one usable sample"):
        open_dataset("simulated", root=tmp_path, split="test")


def test_films_without_room_for_findings_are_refused_when_they_are_made(tmp_path):
    layouts.picture(tmp_path / "a.png", 16, 16)
    layouts.text(tmp_path / "manifest.jsonl", '{"image": "a.png", "split": "val"}')
    dataset = open_dataset("simulated", root=tmp_path, films=1)
    with pytest.raises(InputError, match="Expected normal films with room for nodule, got none in 60"):
        dataset[0]


def films_of(tmp_path, **parameters):
    """Grey levels of the normal films behind 40 simulated ones, of four in the manifest."""
    manifest = []
    for number in range(4):
        name = f"film-{number}.png"
        normal = np.asarray(Image.open(samples()[-1].path).convert("L"))
        Image.fromarray(np.maximum(normal, number)).save(tmp_path / name)
        manifest.append(json.dumps({"image": name, "split": "val"}))
    (tmp_path / "manifest.jsonl").write_text("\n".join(manifest))
    dataset = open_dataset("simulated", root=tmp_path, films=40, **parameters)
    return {sample.cluster for sample in dataset}


def test_films_kept_for_a_test_are_in_that_test_and_nowhere_else(tmp_path):
    (tmp_path / "kept.txt").write_text("# kept\nfilm-1.png  # one\n\nfilm-3.png\n")
    kept = films_of(tmp_path, only=tmp_path / "kept.txt")
    others = films_of(tmp_path, without=tmp_path / "kept.txt")
    assert len(kept) == len(others) == 2
    assert not kept & others


def test_a_list_that_names_a_film_that_is_not_there_leaves_nothing_out_and_is_refused(tmp_path):
    (tmp_path / "kept.txt").write_text("film-9.png\n")
    for name in ("only", "without"):
        with pytest.raises(InputError, match=r"1 that are not there, the first 'film-9\.png'"):
            films_of(tmp_path, **{name: tmp_path / "kept.txt"})
    with pytest.raises(InputError, match="Expected a root"):
        open_dataset("simulated", only=tmp_path / "kept.txt")
