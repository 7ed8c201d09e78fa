"""Opening by name: what is checked before a table is read."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from matex.datasets import DATASETS, Sample, open_dataset
from matex.datasets.layout import Layout, Reading, identity
from matex.errors import InputError
from matex.registry import UnknownName
from tests.datasets import layouts


def test_every_data_set_is_a_frozen_dataclass_that_begins_with_root():
    assert len(DATASETS) == 14
    for kind in DATASETS.values():
        fields = dataclasses.fields(kind)
        assert fields[0].name == "root"
        assert kind.__dataclass_params__.frozen
        assert kind.domain in ("chest", "natural")
        allowed = (Path, Path | None, str, str | None, int, bool, tuple[str, ...])
        hints = get_type_hints(kind)
        assert all(hints[field.name] in allowed for field in fields)
        assert all(f"{field.name}:" in kind.__doc__ for field in fields), kind


def test_an_unknown_name_or_field_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(UnknownName, match=r"Unknown data set 'ms_cxr'.*Did you mean 'ms-cxr'"):
        open_dataset("ms_cxr", root=tmp_path)
    with pytest.raises(UnknownName, match=r"Unknown field of simulated 'film'.*Did you mean 'films'"):
        open_dataset("simulated", film=3)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("ms-cxr", {}, "Expected root for ms-cxr, got none. Name the folder"),
        ("ms-cxr", {"root": "/no/such/place"}, "Expected root of ms-cxr, got a path where there is nothing"),
        ("ms-cxr", {"root": 3}, "Expected root of ms-cxr as a path, got 3."),
        ("ms-cxr", {"root": ".", "split": "validate"}, "Expected split among none, train, val, test, got 'validate'."),
        ("ms-cxr", {"root": "."}, "Expected a table named MS_CXR_Local_Alignment_v*.csv or "),
        ("simulated", {"films": "ten"}, "Expected films of simulated as a whole number, got 'ten'."),
        ("simulated", {"films": True}, "Expected films of simulated as a whole number, got True."),
        ("simulated", {"films": 0}, "Expected films of 1 or more"),
        ("simulated", {"seed": -1}, "a seed of 0 or more"),
        ("simulated", {"findings": 13}, "Expected 1 to 12 findings"),
        ("simulated", {"findings": 3, "placed": False}, "Expected phrases that name places"),
        ("simulated", {"tier": "hard"}, "Expected tier among obvious, moderate, subtle, got 'hard'."),
        ("simulated", {"placed": "yes"}, "Expected placed of simulated as True or False, got 'yes'."),
        ("imagenet", {"root": ".", "templates": "a {}"}, "Expected templates of imagenet as a tuple of texts"),
        ("nih", {"root": ".", "template": "x"}, "Expected a template with {} where the name goes, got 'x'."),
        ("manifest", {"root": ".", "box_frame": "metres"}, "Expected box_frame among pixels, fractions, WIDTHxHEIGHT"),
        ("vindr", {"root": ".", "split": "val"}, "Expected split among none, train, test, got 'val'."),
    ],
)
def test_fields_are_checked_in_one_line(tmp_path, monkeypatch, name, fields, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        open_dataset(name, **fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_tables_that_could_be_meant_are_refused(tmp_path):
    for version in ("1.0.0", "1.1.0"):
        (tmp_path / f"MS_CXR_Local_Alignment_v{version}.csv").touch()
    with pytest.raises(InputError, match=r"got MS_CXR_Local_Alignment_v1.0.0.csv, MS_CXR_Local_Alignment_v1.1.0.csv"):
        open_dataset("ms-cxr", root=tmp_path)


def test_identities_are_short_stable_and_keep_parts_apart():
    assert identity("ms-cxr", "a", "b") == "e2ae8ca1651c"
    assert identity("a", "bc") != identity("ab", "c")


def test_a_fingerprint_tells_data_apart_and_ids_are_unique(tmp_path):
    table = layouts.manifest(tmp_path, [{"image": "a.png", "text": "nodule", "boxes": [[1, 2, 9, 9]]}])
    one, same = (open_dataset("manifest", root=tmp_path).fingerprint for _ in range(2))
    table.write_text(table.read_text().replace("9, 9", "9, 8"))
    assert one == same != open_dataset("manifest", root=tmp_path).fingerprint

    @dataclasses.dataclass(frozen=True)
    class Twice(Layout):
        def read(self):
            return Reading([Sample("a", tmp_path / "a.png", text) for text in ("nodule", "mass")])

    with pytest.raises(InputError, match="got two of the same id, with the phrase 'nodule'"):
        len(Twice())


def test_opening_imports_no_torch():
    code = "import sys, matex.datasets; assert 'torch' not in sys.modules and 'pydicom' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
