"""No link within a data folder leads out of it, whichever file of whichever layout it stands for."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matex.datasets import DATASETS, open_dataset
from matex.datasets.pictures import FOLLOW_LINKS, inside
from matex.datasets.tables import Unusable
from matex.errors import InputError
from matex.samples import samples
from tests.datasets import layouts


def some_manifest(root: Path) -> None:
    layouts.manifest(root, [{"image": f"films/{name}.png", "text": "nodule", "boxes": [[1, 2, 9, 9]]} for name in "ab"])


def normals(root: Path) -> None:
    root.mkdir()
    names = [shutil.copy(one.path, root) for one in samples() if one.normal]
    layouts.text(root / "manifest.jsonl", *(f'{{"image": "{Path(name).name}"}}' for name in names))


def flat_imagenet(root: Path) -> None:
    layouts.imagenet(root, "kaggle")


LAYOUTS: dict[str, tuple[str, Callable[[Path], object], dict[str, Any]]] = {
    "ms-cxr": ("ms-cxr", layouts.ms_cxr, {}),
    "ms-cxr in COCO's form": ("ms-cxr", layouts.ms_cxr_json, {}),
    "mimic-cxr": ("mimic-cxr", layouts.mimic_cxr, {"split": None}),
    "nih": ("nih", layouts.nih, {}),
    "nih, all labels": ("nih", layouts.nih, {"films": "all"}),
    "rsna": ("rsna", layouts.rsna, {}),
    "chestx-det": ("chestx-det", layouts.chestx_det, {}),
    "vindr": ("vindr", layouts.vindr, {}),
    "chexlocalize": ("chexlocalize", layouts.chexlocalize, {"split": "val"}),
    "open-i": ("open-i", layouts.open_i, {"frontal": False}),
    "open-i of the NLM": ("open-i", layouts.open_i_nlm, {"frontal": False}),
    "conceptual-captions": ("conceptual-captions", layouts.conceptual_captions, {}),
    "coco": ("coco", layouts.coco, {}),
    "imagenet": ("imagenet", flat_imagenet, {}),
    "imagenet in folders": ("imagenet", layouts.imagenet_folders, {}),
    "manifest": ("manifest", some_manifest, {}),
    "folder": ("folder", layouts.folder, {}),
    "simulated": ("simulated", normals, {"split": None, "films": 2}),
}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    """(opens the data set and gives what it refused and the images that it would read, root)."""
    name, write, fields = LAYOUTS[request.param]
    write(tmp_path / "root")

    def opened(root: Path = tmp_path / "root") -> tuple[list[str], list[Path]]:
        try:
            dataset = open_dataset(name, root=root, **fields)
        except InputError as error:
            return [str(error)], []
        images = [sample.image.resolve() for sample in dataset if isinstance(sample.image, Path)]
        return [problem.said for problem in dataset.problems], images

    return opened, tmp_path / "root"


def linked(path: Path, target: Path) -> None:
    """Move a file or folder, and leave a link to it in its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    path.symlink_to(target)


def leads_out(refusals: list[str]) -> bool:
    return any("a link that leads out of it" in said for said in refusals)


def test_every_layout_is_covered():
    ours = {name for name, kind in DATASETS.items() if kind.__module__.startswith("matex.")}
    assert {name for name, *_ in LAYOUTS.values()} == ours


def test_no_file_of_a_layout_is_a_link_out_of_it(layout, tmp_path, monkeypatch):
    opened, root = layout
    assert not leads_out(opened()[0])
    seen = 0
    for path in [path for path in root.rglob("*") if path.is_file()]:
        outside = tmp_path / "outside" / path.name
        linked(path, outside)
        refusals, images = opened()
        assert outside not in images
        monkeypatch.setenv(FOLLOW_LINKS, "1")
        followed, through = opened()
        monkeypatch.delenv(FOLLOW_LINKS)
        assert not leads_out(followed)
        if outside in through:
            assert leads_out(refusals), path
        seen += leads_out(refusals)
        path.unlink()
        shutil.move(outside, path)
    assert seen >= 2  # a table or a text, and an image


def test_no_folder_of_a_layout_is_a_link_out_of_it(layout, tmp_path):
    opened, root = layout
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        outside = tmp_path / "outside" / folder.name
        linked(folder, outside)
        _, images = opened()
        assert not any(image.is_relative_to(outside) for image in images)
        folder.unlink()
        outside.rename(folder)


def test_links_that_stay_within_and_a_root_that_is_one_are_followed(layout, tmp_path):
    opened, root = layout
    refusals, images = opened()
    for number, path in enumerate([path for path in root.rglob("*") if path.is_file()]):
        linked(path, root / ".store" / f"{number}.object")
    again, through = opened()
    assert again == refusals
    assert len(through) == len(images)
    (tmp_path / "link").symlink_to(root)
    assert opened(tmp_path / "link") == (again, through)


@pytest.mark.parametrize(
    "name", ["../outside/a.png", "a/../../outside/a.png", "/etc/passwd", "C:\\a.png", "\\\\host\\a.png", "..\\a.png",
             "a\0.png", "x" * 5000, "loop.png", "link.png", "folder/a.png", "again/link.png", "twice.png"])  # fmt: skip
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path, name):
    root = tmp_path / "root"
    root.mkdir()
    layouts.picture(tmp_path / "outside/a.png")
    (root / "loop.png").symlink_to("loop.png")
    (root / "link.png").symlink_to("../outside/a.png")
    (root / "twice.png").symlink_to("link.png")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "again").symlink_to(".")
    with pytest.raises(Unusable):
        inside(root, name)


def test_a_link_out_of_the_folder_and_back_stays_in_it(tmp_path):
    layouts.picture(tmp_path / "root/films/a.png")
    (tmp_path / "outside").symlink_to(tmp_path / "root/films")
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    assert inside(tmp_path / "root", "link/a.png").is_file()
