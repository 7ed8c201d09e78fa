"""matex domains, and --domain of the commands that read an image."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.cli.command_line import FILM, refused
from tests.domains.pack_files import knee, write


def test_the_domains_are_listed_with_their_views(command):
    code, out, err = command("domains")
    assert (code, err) == (0, "")
    for name in ("chest", "chest-lateral", "mammography", "brain-axial", "abdomen", "natural"):
        assert f"{name}: " in out
    listed = json.loads(command("domains", "--json")[1])
    assert [one["name"] for one in listed][1:5] == ["chest-lateral", "mammography", "brain-axial", "abdomen"]
    assert all(one["sources"] for one in listed[1:5])


def test_a_packaged_pack_has_no_faults(command):
    code, out, err = command("domains", "check", "mammography")
    assert (code, err) == (0, "")
    assert out.startswith("mammography: no faults. 31 regions, 8 views")


def test_faults_are_printed_one_a_line(command, tmp_path):
    path = write(tmp_path, knee(whole="thigh", frame="lung"))
    code, out, err = command("domains", "check", str(path))
    assert code == 2
    assert out.splitlines() == [
        "whole: expected a sided region, got 'thigh'. Name one of [regions].",
        "frame: expected one of film, foreground, got 'lung'. Choose one.",
    ]
    assert err == "matex: Expected a pack without faults, found 2. Correct them.\n"
    listed = json.loads(command("domains", "check", str(path), "--json")[1])
    assert (listed["usable"], len(listed["faults"])) == (False, 2)


@pytest.mark.parametrize("name", ["chest", "brain", "missing.toml"])
def test_a_name_that_is_no_pack_is_refused(command, name):
    assert refused(command("domains", "check", name))
    assert refused(command("domains", "picture", name))


def test_the_picture_of_a_pack_shows_each_region(command, tmp_path):
    out = tmp_path / "atlas.png"
    assert command("domains", "picture", str(write(tmp_path, knee())), "-o", str(out))[0] == 0
    pixels = np.asarray(Image.open(out))
    colours = {tuple(colour) for colour in pixels.reshape(-1, 3)}
    assert {(209, 73, 91), (46, 111, 183), (107, 114, 128)} <= colours  # right, left, midline


def test_explain_takes_a_domain_and_its_views(command, tmp_path):
    out = tmp_path / "out"
    arguments = (
        "explain",
        str(FILM),
        "stone in the left kidney",
        "--domain",
        "abdomen",
        "--view",
        "ap",
        "-o",
        str(out),
    )
    assert command(*arguments)[0] == 0
    record = json.loads((out / "explanation.json").read_text())
    assert record["provenance"]["domain"] == "abdomen"
    assert record["provenance"]["pack"]["name"] == "abdomen"
    assert [(one["side"], one["region"]) for one in record["regions"]] == [("left", "kidney")]
    page = (out / "report.html").read_text()
    assert ", domain abdomen</b>" in page
    text = re.sub(r"[A-Za-z0-9+/=]{200,}", "", page.split("<script")[0]).lower()  # without pictures
    assert "lung" not in text.replace("lung_mask", "")
    assert command("verify", str(out))[0] == 0


def test_a_pack_of_ones_own_is_found_again(command, tmp_path):
    out, path = tmp_path / "out", write(tmp_path, knee())
    assert command("explain", str(FILM), "fracture of the left patella", "--domain", str(path), "-o", str(out))[0] == 0
    record = json.loads((out / "explanation.json").read_text())
    assert record["provenance"]["domain"] == "knee.toml"
    assert command("verify", str(out))[0] == 0
    write(tmp_path, knee(description="Changed."))
    assert refused(command("verify", str(out)), "Found no file 'knee.toml'")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--domain", "mammography", "--view", "PA"), "Unknown view"),
        (("--domain", "mri"), "Expected domain"),
        (("--domain", "brain-axial", "--view", "AXIAL"), "AXIAL-CEREBELLUM"),
        (("--view", "RCC"), "Unknown view"),
    ],
)
def test_a_view_or_domain_that_is_unknown_is_refused(command, options, what):
    assert refused(command("explain", str(FILM), "mass", *options), what)


def test_the_audit_of_a_brain_does_not_speak_of_lungs(command, tmp_path):
    head = np.zeros((128, 128), np.uint8)
    y, x = np.mgrid[0:128, 0:128]
    head[((x - 64) / 40) ** 2 + ((y - 64) / 50) ** 2 <= 1] = 160
    Image.fromarray(head).save(tmp_path / "head.png")
    options = ("--domain", "brain-axial", "--view", "AXIAL-VENTRICLES", "--not-mirrored", "-m", "rollout", "--json")
    code, out, _ = command("audit", str(tmp_path / "head.png"), "infarct in the left thalamus", *options)
    assert code == 0
    checks = json.loads(out)["checks"]
    assert "lungs" not in checks
    assert checks["organ"]["question"] == "Does the map lie in the head?"
    assert checks["side"]["state"] != "skipped"
    assert "lung" not in out.lower().replace("lung_mask", "")
