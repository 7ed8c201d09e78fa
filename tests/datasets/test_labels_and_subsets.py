"""Labels of CheXpert and NegBio, attributes of patients, and random subsets with a seed."""

import json

import pytest

from matex.benchmark import load_config
from matex.benchmark.runs.inputs import Inputs
from matex.datasets import open_dataset, random_subset
from matex.errors import InputError
from tests.datasets import layouts


@pytest.fixture
def mimic(tmp_path):
    layouts.mimic_cxr(tmp_path)
    layouts.mimic_cxr_labels(tmp_path)
    return tmp_path


def test_positive_labels_of_a_study_are_the_phrases_of_its_films(mimic):
    found = open_dataset("mimic-cxr", root=mimic, labels_of="chexpert", template="chest film with {}")
    assert [(one.label, one.text, one.view) for one in found] == [
        ("edema", "chest film with edema", "PA"),
        ("pleural effusion", "chest film with pleural effusion", "PA"),
        ("no finding", "chest film with no finding", "AP"),
    ]
    assert len({one.id for one in found}) == 3
    assert found[0].cluster == found[1].cluster != found[2].cluster
    assert len(found.labels) == 14
    assert found.labels["lung opacity"] == ("chest film with lung opacity",)


def test_uncertain_labels_are_left_out_or_positive(mimic):
    found = open_dataset("mimic-cxr", root=mimic, labels_of="chexpert", uncertain="positive")
    assert [one.label for one in found] == ["edema", "pleural effusion", "pneumonia", "no finding"]


def test_the_programs_differ_and_films_without_a_label_are_counted(mimic):
    found = open_dataset("mimic-cxr", root=mimic, labels_of="negbio")
    assert [one.label for one in found] == ["edema"]
    assert [problem.said for problem in found.problems] == [
        "1 films left out: their report has no positive label of negbio."
    ]
    assert [one.label for one in open_dataset("mimic-cxr", root=mimic, labels_of="negbio", split="train")] == [
        "atelectasis"
    ]


def test_labels_outside_their_values_are_refused_by_row(mimic):
    table = mimic / "mimic-cxr-2.0.0-chexpert.csv"
    table.write_text(
        f"subject_id,study_id,{layouts.LABELS}\n10000032,50414267,2.0,,,,,,,,,,,,,\n10000011,50414268,1,,,,,,,,,,,,,"
    )
    found = open_dataset("mimic-cxr", root=mimic, labels_of="chexpert")
    assert [one.label for one in found] == ["atelectasis"]
    assert any(problem.row == 2 and "labels 1, 0, -1" in problem.said for problem in found.problems)
    for settings in ({"labels_of": "other"}, {"labels_of": "chexpert", "uncertain": "other"}):
        with pytest.raises(InputError):
            open_dataset("mimic-cxr", root=mimic, **settings)


def test_sex_and_age_are_attributes(mimic, tmp_path):
    found = open_dataset("mimic-cxr", root=mimic, patients=mimic / "patients.csv")
    assert [one.attributes for one in found] == [{"sex": "F", "age": 52}, {}]
    layouts.nih(tmp_path / "nih")
    assert open_dataset("nih", root=tmp_path / "nih")[0].attributes == {"sex": "M", "age": 58}


def test_columns_of_a_manifest_are_attributes(tmp_path):
    layouts.picture(tmp_path / "a.jpg")
    (tmp_path / "table.csv").write_text("image,text,sex,device\na.jpg,nodule,F,\n")
    found = open_dataset("manifest", root=tmp_path / "table.csv", attributes=["sex", "device"])
    assert found[0].attributes == {"sex": "F", "device": None}
    with pytest.raises(InputError, match="view_of"):
        open_dataset("manifest", root=tmp_path / "table.csv", attributes=["view_of"])


def test_a_random_subset_is_decided_by_its_seed():
    films = open_dataset("simulated", films=40)
    first, again, other = (random_subset(films, 6, seed) for seed in (1, 1, 2))
    assert [one.id for one in first] == [one.id for one in again]
    assert [one.id for one in first] != [one.id for one in other]
    assert len({one.id for one in first}) == 6
    assert [one.attributes["film"] for one in first] == sorted(one.attributes["film"] for one in first)
    assert len(random_subset(films, 50)) == 40
    for size, seed in ((0, 0), (3, -1)):
        with pytest.raises(InputError):
            random_subset(films, size, seed)


def test_a_benchmark_takes_a_random_subset(tmp_path):
    entry = {"name": "simulated", "parameters": {"films": 40}, "limit": 6, "seed": 1}
    text = 'models = [{name = "tiny"}]\nmethods = [{name = "rollout"}]\nmetrics = [{name = "pointing"}]\n'

    def written(**changes):
        values = {key: value for key, value in {**entry, **changes}.items() if value is not None}
        lines = ", ".join(f"{key} = {json.dumps(value).replace(': ', ' = ')}" for key, value in values.items())
        (tmp_path / "c.toml").write_text(
            f"datasets = [{{{lines.replace(chr(34) + 'films' + chr(34), 'films')}}}]\n{text}"
        )
        return load_config(tmp_path / "c.toml")

    inputs = Inputs(written())
    label = inputs.config.datasets[0].label
    films = open_dataset("simulated", films=40)
    expected = [one.id for one in random_subset(films, 6, 1)]
    assert [inputs.sample(label, number).id for number in range(inputs.count(label))] == expected
    spread = Inputs(written(seed=None))
    assert spread.sample(label, 1).id == films[40 // 6].id
    with pytest.raises(InputError, match="without a limit"):
        written(limit=None)
