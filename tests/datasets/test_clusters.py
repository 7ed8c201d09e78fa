"""Which samples are one observation: the patient where known, else the study or the source film, never the image."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from matex.datasets import DATASETS, open_dataset
from matex.datasets.layout import cluster
from matex.images import read
from tests.datasets import layouts


def clusters(name, root, **fields):
    return [sample.cluster for sample in open_dataset(name, root=root, **fields)]


def patient_manifest(root: Path) -> None:
    for name in ("a", "b", "c"):
        layouts.picture(root / f"{name}.png")
    rows = [("a", "one", "7"), ("a", "two", "7"), ("b", "one", "7"), ("c", "one", "8")]
    layouts.manifest(root, [{"image": f"{image}.png", "text": text, "patient": who} for image, text, who in rows])


PATIENTS: dict[str, tuple[str, Callable[[Path], object], dict[str, object], list[str]]] = {
    # what each sample's patient is, in the order of the samples
    "ms-cxr": ("ms-cxr", layouts.ms_cxr, {}, ["11", "11", "12"]),
    "ms-cxr in COCO's form": ("ms-cxr", layouts.ms_cxr_json, {}, ["11", "11", "12"]),
    "mimic-cxr": ("mimic-cxr", layouts.mimic_cxr, {"split": None}, ["32", "11", "64"]),
    "nih": ("nih", layouts.nih, {}, ["1", "3"]),
    "nih, all labels": ("nih", layouts.nih, {"films": "all"}, ["1", "3", "1"]),
    "chexlocalize": ("chexlocalize", layouts.chexlocalize, {"split": "val"}, []),
    "manifest": ("manifest", patient_manifest, {}, ["7", "7", "7", "8"]),
}


@pytest.mark.parametrize("layout", PATIENTS)
def test_samples_of_one_patient_are_one_cluster(tmp_path, layout):
    name, write, fields, patients = PATIENTS[layout]
    write(tmp_path)
    found = clusters(name, tmp_path, **fields)
    assert found
    assert all(one.startswith("patient ") for one in found)
    if patients:
        assert len(found) == len(patients)
        same = {(a == b, p == q) for a, p in zip(found, patients, strict=True) for b, q in zip(found, patients)}  # noqa: B905
        assert same == {(True, True), (False, False)}


def test_a_patient_of_mimic_is_the_same_one_in_ms_cxr(tmp_path):
    layouts.ms_cxr(tmp_path)
    assert clusters("ms-cxr", tmp_path)[0] == cluster("patient", "mimic-cxr", "10000011")


def test_two_films_of_a_patient_of_chexpert_are_one_cluster(tmp_path):
    layouts.chexlocalize(tmp_path)
    table = tmp_path / "gt_segmentations_val.json"
    (marks,) = json.loads(table.read_text()).values()
    names = [f"patient{patient}_study{study}_view1_frontal" for patient, study in ((64541, 1), (64541, 2), (64542, 1))]
    table.write_text(json.dumps(dict.fromkeys(names, marks)))
    for name in names:
        layouts.picture(tmp_path / f"CheXpert/val/{'/'.join(name.split('_', 2))}.jpg")
    found = clusters("chexlocalize", tmp_path, split="val")
    assert len(found) == 6
    assert set(found) == {cluster("patient", "chexpert", one) for one in ("patient64541", "patient64542")}


@pytest.mark.parametrize("write", [layouts.open_i, layouts.open_i_nlm])
def test_the_films_of_a_report_of_open_i_are_one_study(tmp_path, write):
    write(tmp_path)
    first, second = open_dataset("open-i", root=tmp_path, frontal=False)
    assert first.image != second.image
    assert first.cluster == second.cluster == cluster("study", "open-i", "1")


OTHERS = {
    "rsna": layouts.rsna,
    "chestx-det": layouts.chestx_det,
    "vindr": layouts.vindr,
    "coco": layouts.coco,
    "conceptual-captions": layouts.conceptual_captions,
    "imagenet": layouts.imagenet_folders,
    "folder": layouts.folder,
}


@pytest.mark.parametrize("name", OTHERS)
def test_where_no_patient_is_known_the_film_itself_is_the_cluster(tmp_path, name):
    OTHERS[name](tmp_path)
    assert set(clusters(name, tmp_path)) == {""}


def test_every_layout_is_covered():
    covered = {name for name, *_ in PATIENTS.values()} | set(OTHERS) | {"open-i", "simulated"}
    assert {name for name in DATASETS if DATASETS[name].__module__.startswith("matex.")} <= covered


@pytest.mark.parametrize("findings", [1, 2])
def test_images_rendered_from_one_normal_film_are_one_cluster(findings):
    samples = list(open_dataset("simulated", films=6, findings=findings, placed=findings == 1))
    images = {sample.image.sha256 for sample in samples}
    found = {sample.cluster for sample in samples}
    assert len(images) == 6
    assert 1 < len(found) <= 4  # as many normal films ship with the package
    assert all(one.startswith("film ") for one in found)


def test_images_rendered_from_films_of_one_patient_are_one_cluster(tmp_path):
    from matex.samples import samples

    normals = [one for one in samples() if one.normal][:3]
    for number, one in enumerate(normals):
        Image.fromarray(read(one.path).pixels).save(tmp_path / f"{number}.png")
    rows = [{"image": f"{number}.png", "split": "val", "patient": "p"} for number in range(len(normals))]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = {one.cluster for one in open_dataset("simulated", root=tmp_path, films=5)}
    assert found == {cluster("patient", "simulated", "p")}


def test_a_manifest_that_changes_its_patients_is_other_data(tmp_path):
    patient_manifest(tmp_path)
    before = open_dataset("manifest", root=tmp_path)
    file = next(tmp_path.glob("manifest.*"))
    file.write_text(file.read_text().replace('"8"', '"7"'))
    after = open_dataset("manifest", root=tmp_path)
    assert before.fingerprint != after.fingerprint
    assert [sample.id for sample in before] == [sample.id for sample in after]


def test_clusters_name_no_patient(tmp_path):
    layouts.mimic_cxr(tmp_path)
    for sample in open_dataset("mimic-cxr", root=tmp_path, split=None):
        assert "100000" not in sample.cluster
    assert np.unique([len(one) for one in clusters("mimic-cxr", tmp_path, split=None)]).size == 1
