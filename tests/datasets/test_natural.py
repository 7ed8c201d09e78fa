"""Natural images: Conceptual Captions, COCO with Karpathy's splits, ImageNet."""

import json

import pytest

from matex.datasets import open_dataset
from matex.errors import InputError
from tests.datasets import layouts

# Conceptual Captions


def test_captions_are_joined_with_local_images_by_row(tmp_path):
    layouts.conceptual_captions(tmp_path)
    dataset = open_dataset("conceptual-captions", root=tmp_path)
    assert [sample.text for sample in dataset] == [layouts.CAPTIONS[0][0], layouts.CAPTIONS[2][0]]
    assert [sample.image.name for sample in dataset] == ["000000000.jpg", "000000002.jpg"]
    (problem,) = dataset.problems
    assert problem.row is None
    assert problem.said.startswith("1 rows have no image")
    assert dataset.domain == "natural"


def test_rows_may_be_counted_from_one(tmp_path):
    layouts.conceptual_captions(tmp_path)
    dataset = open_dataset("conceptual-captions", root=tmp_path, first_row=1)
    assert [sample.text for sample in dataset] == [layouts.CAPTIONS[1][0]]  # image 2 belongs to the second row now


def test_captions_are_joined_by_the_digest_of_the_link(tmp_path):
    layouts.conceptual_captions(tmp_path)
    dataset = open_dataset("conceptual-captions", root=tmp_path, images=tmp_path / "hashed", named_by="md5")
    assert [sample.text for sample in dataset] == [layouts.CAPTIONS[0][0], layouts.CAPTIONS[2][0]]
    by_row = open_dataset("conceptual-captions", root=tmp_path)
    assert [sample.id for sample in dataset] == [sample.id for sample in by_row]


def test_lines_that_are_no_caption_and_link_are_named(tmp_path):
    layouts.conceptual_captions(tmp_path)
    table = tmp_path / "Validation_GCC-1.1.0-Validation.tsv"
    table.write_text(table.read_text().replace("\thttp://a.example/1.jpg", ""))
    dataset = open_dataset("conceptual-captions", root=tmp_path)
    assert len(dataset) == 1
    assert (dataset.problems[0].file, dataset.problems[0].row) == (table.name, 1)


def test_captions_without_an_image_folder_are_refused(tmp_path):
    layouts.conceptual_captions(tmp_path)
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"got no such folder\. Name the folder in images\."):
        open_dataset("conceptual-captions", root=tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(InputError, match="3 rows have no image"):
        open_dataset("conceptual-captions", root=tmp_path)


# COCO


@pytest.mark.parametrize(("split", "count"), [("test", 1), ("restval", 1), ("train", 1), (None, 3)])
def test_coco_gives_one_sample_with_all_captions(tmp_path, split, count):
    layouts.coco(tmp_path)
    dataset = open_dataset("coco", root=tmp_path, split=split)
    assert len(dataset) == count
    assert dataset.problems == ()
    for sample in dataset:
        assert sample.text == sample.captions[0] == "A man with a red helmet 0."
        assert len(sample.captions) == 5
    assert {sample.split for sample in dataset} <= {"train", "test"}


def test_coco_gives_one_sample_per_caption_when_asked(tmp_path):
    layouts.coco(tmp_path)
    dataset = list(open_dataset("coco", root=tmp_path, split=None, captions="each"))
    assert len({sample.id for sample in dataset}) == len(dataset) == 15
    assert [sample.text for sample in dataset[:5]] == list(dataset[0].captions)
    assert len({sample.image for sample in dataset[:5]}) == 1
    with pytest.raises(ValueError, match="captions"):
        open_dataset("coco", root=tmp_path, captions="all")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filepath": "../.."}, "leads out of it"),
        ({"filename": "x.jpg"}, "found no such file"),
        ({"sentences": []}, "Expected at least one caption"),
        ({"sentences": [{"tokens": []}]}, "Expected sentences with their raw text"),
        ({"sentences": [{"raw": "\ud800"}]}, "Expected text, got halves of characters"),
        ({"cocoid": None}, "Expected something in column 'cocoid'"),
    ],
)
def test_coco_names_entries_that_cannot_be_used(tmp_path, change, message):
    layouts.coco(tmp_path)
    table = tmp_path / "dataset_coco.json"
    whole = json.loads(table.read_text())
    whole["images"][1].update(change)
    table.write_text(json.dumps(whole))
    dataset = open_dataset("coco", root=tmp_path, split=None)
    assert len(dataset) == 2
    (problem,) = dataset.problems
    assert (problem.file, problem.row) == (table.name, 2)
    assert message in problem.said


def test_coco_counts_the_objects_of_an_image(tmp_path):
    layouts.coco(tmp_path)
    layouts.coco_instances(tmp_path / "annotations")
    dataset = open_dataset("coco", root=tmp_path, split=None, objects=tmp_path / "annotations")
    assert [sample.attributes for sample in dataset] == [
        {"objects": 0, "categories": 0, "clutter": "none"},
        {"objects": 2, "categories": 1, "clutter": "1-5"},
        {"objects": 11, "categories": 3, "clutter": "more than 10"},
    ]
    assert all(sample.attributes == {} for sample in open_dataset("coco", root=tmp_path, split=None))
    with pytest.raises(InputError, match=r"Expected instances_val2014\.json in the folder of objects"):
        open_dataset("coco", root=tmp_path, objects=tmp_path)
    (tmp_path / "annotations" / "instances_val2014.json").write_text('{"images": []}')
    with pytest.raises(InputError, match="annotations"):
        open_dataset("coco", root=tmp_path, objects=tmp_path / "annotations")


def test_coco_takes_an_image_once(tmp_path):
    layouts.coco(tmp_path)
    table = tmp_path / "dataset_coco.json"
    whole = json.loads(table.read_text())
    table.write_text(json.dumps({"images": [*whole["images"], whole["images"][0]]}))
    dataset = open_dataset("coco", root=tmp_path, split=None)
    assert len(dataset) == 3
    assert [problem.row for problem in dataset.problems] == [4]


def test_coco_of_another_form_is_refused(tmp_path):
    layouts.text(tmp_path / "dataset_coco.json", '{"annotations": []}')
    with pytest.raises(InputError, match=r"Expected columns images in dataset_coco.json, got annotations"):
        open_dataset("coco", root=tmp_path)
    layouts.text(tmp_path / "dataset_coco.json", '{"images": [{"file_name": "a.jpg", "split": "test"}]}')
    with pytest.raises(InputError, match="got file_name, split: no filepath, filename, sentences, cocoid"):
        open_dataset("coco", root=tmp_path)


# ImageNet


@pytest.mark.parametrize("truth", ["kaggle", "names", "numbers", "kit", "folders"])
def test_imagenet_knows_what_each_image_shows(tmp_path, truth):
    if truth == "folders":
        layouts.imagenet_folders(tmp_path)
    else:
        layouts.imagenet(tmp_path, truth)
    dataset = open_dataset("imagenet", root=tmp_path, templates=["a photo of a {}.", "many {}."])
    assert dataset.problems == ()
    shown = {sample.image.name[-6]: (sample.label, sample.text) for sample in dataset}
    assert shown == {
        "1": ("n03995372", "a photo of a power drill."),
        "2": ("n01440764", "a photo of a tench."),
    }
    assert dataset.labels["n02119789"] == ("a photo of a kit fox.", "many kit fox.")
    assert len(dataset.labels) == 3


def test_numbers_in_the_wrong_order_of_classes_are_refused(tmp_path):
    layouts.imagenet(tmp_path / "kit", "kit")
    layouts.text(tmp_path / "kit/classes.txt", *sorted(layouts.SYNSETS))
    with pytest.raises(InputError, match="Expected classes in the order of ILSVRC2012_ID"):
        open_dataset("imagenet", root=tmp_path / "kit")
    layouts.imagenet(tmp_path / "numbers", "numbers")
    layouts.text(tmp_path / "numbers/LOC_synset_mapping.txt", *layouts.SYNSETS)
    with pytest.raises(
        InputError, match=r"Expected classes in the order of their WordNet ids for the numbers in val.txt"
    ):
        open_dataset("imagenet", root=tmp_path / "numbers")


def test_imagenet_names_rows_that_cannot_be_used(tmp_path):
    layouts.imagenet(tmp_path, "names")
    layouts.text(
        tmp_path / "val.txt",
        "ILSVRC2012_val_00000001.JPEG n03995372",
        "ILSVRC2012_val_00000002.JPEG n09999999",
        "ILSVRC2012_val_00000003.JPEG n01440764",
        "../../etc/passwd n01440764",
    )
    dataset = open_dataset("imagenet", root=tmp_path)
    assert len(dataset) == 1
    assert [problem.row for problem in dataset.problems] == [2, 3, 4]


def test_imagenet_names_images_that_come_twice_and_classes_that_it_does_not_know(tmp_path):
    layouts.imagenet(tmp_path / "flat", "names")
    truth = tmp_path / "flat/val.txt"
    layouts.text(truth, *truth.read_text().splitlines(), "ILSVRC2012_val_00000001 n01440764")
    dataset = open_dataset("imagenet", root=tmp_path / "flat")
    assert [sample.label for sample in dataset] == ["n03995372", "n01440764"]
    assert [problem.row for problem in dataset.problems] == [3]
    layouts.imagenet_folders(tmp_path / "folders")
    layouts.picture(tmp_path / "folders/n09999999/ILSVRC2012_val_00000003.JPEG")
    dataset = open_dataset("imagenet", root=tmp_path / "folders")
    assert len(dataset) == 2
    assert [problem.file for problem in dataset.problems] == ["n09999999"]


def test_imagenet_refuses_what_it_cannot_understand(tmp_path):
    layouts.imagenet(tmp_path, "kaggle")
    with pytest.raises(InputError, match="Expected at least one template"):
        open_dataset("imagenet", root=tmp_path, templates=[])
    with pytest.raises(InputError, match=r"Expected a template with \{\}"):
        open_dataset("imagenet", root=tmp_path, templates=["a photo"])
    layouts.text(tmp_path / "LOC_val_solution.csv", "Image,Class")
    with pytest.raises(
        InputError, match=r"Expected columns ImageId, PredictionString in LOC_val_solution.csv, got Image"
    ):
        open_dataset("imagenet", root=tmp_path)
    layouts.text(tmp_path / "LOC_synset_mapping.txt", "tench")
    with pytest.raises(InputError, match="Expected lines such as 'n01440764 tench, Tinca tinca' in LOC_synset_mapping"):
        open_dataset("imagenet", root=tmp_path)
    (tmp_path / "LOC_synset_mapping.txt").unlink()
    with pytest.raises(InputError, match=r"Expected LOC_synset_mapping.txt or synset_words.txt"):
        open_dataset("imagenet", root=tmp_path)
