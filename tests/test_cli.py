import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

import matex
from matex.adapters.openai import tokenizer_from_merges
from matex.adapters.tokenizer import describe_tokenizer
from matex.attribution import METHODS
from matex.cli import run
from matex.cli.parameters import parse_parameters
from matex.errors import InputError
from matex.registry import UnknownName
from matex.render.files import NAMES, RUN
from matex.samples import samples
from matex.verify import TOLERANCE, compare, find_image, load_saved, recorded_parameters

FILM = samples()[1].path
PHRASE = "opacity in the left lower lung"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A complete small checkpoint with random weights and a grid of 6 x 6."""
    import gzip

    folder = tmp_path_factory.mktemp("model")
    merges = folder / "merges.gz"
    merges.write_bytes(gzip.compress(b"#version: 0.2\no p\nop a\nl u\nn g</w>\nlu ng</w>\n"))
    tokenizer = tokenizer_from_merges(merges)
    torch.manual_seed(4)
    shared = {"intermediate_size": 40, "num_attention_heads": 2, "num_hidden_layers": 3}
    module = CLIPModel(
        CLIPConfig(
            projection_dim=16,
            vision_config={"hidden_size": 24, "image_size": 48, "patch_size": 8, **shared},
            text_config={
                "hidden_size": 20,
                "max_position_embeddings": 60,
                "vocab_size": len(tokenizer) + 3,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "pad_token_id": tokenizer.eos_token_id,
                **shared,
            },
        )
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    module.eval().save_pretrained(folder / "clip")
    tokenizer.save_pretrained(folder / "clip")
    CLIPImageProcessor(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}).save_pretrained(
        folder / "clip"
    )
    return f"hf:{folder / 'clip'}"


@pytest.fixture(autouse=True, scope="module")
def no_loading_bars():
    """What the command does by environment variables before transformers is imported, which the tests come after."""
    transformers.logging.disable_progress_bar()
    yield
    transformers.logging.enable_progress_bar()


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch, checkpoint):
    """Every test in an empty folder, with the small checkpoint as the model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MATEX_MODEL", checkpoint)
    monkeypatch.delenv("MATEX_DEBUG", raising=False)
    return tmp_path


@pytest.fixture
def command(capsys):
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def call(*arguments):
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def refused(outcome, *parts):
    """True when the command ended with 2 and one line that holds the parts."""
    code, out, err = outcome
    assert (code, out) == (2, ""), err
    assert err.startswith("matex: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    for part in parts:
        assert re.search(part, err), err
    return True


def fresh(*arguments, **settings):
    """Run in a process of its own."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **settings)


# --------------------------------------------------------------------------------------------------- lists


@pytest.mark.parametrize("arguments", [["--help"], [], ["methods"], ["models", "--json"], ["explain", "--help"]])
def test_help_and_lists_answer_without_importing_torch(arguments):
    code = (
        "import sys; from matex.cli import run; code = run(sys.argv[1:]); "
        "sys.exit(code or 10 * any(name in sys.modules for name in ('torch', 'transformers', 'matplotlib')))"
    )
    start = time.perf_counter()
    done = fresh("-c", code, *arguments)
    seconds = time.perf_counter() - start
    assert (done.returncode, done.stderr) == (0, "")
    assert "matex" in done.stdout or "tiny" in done.stdout
    assert seconds < 5  # half a second on an idle machine; this one may be busy


def test_importing_matex_imports_no_torch():
    assert fresh("-c", "import matex, sys; sys.exit('torch' in sys.modules)").returncode == 0


def test_the_lists_agree_with_the_registries():
    import dataclasses

    from matex.adapters import MODELS
    from matex.attribution import METHODS

    assert [entry.name for entry in matex.methods()] == list(METHODS)
    for entry in matex.methods():
        kind = METHODS[entry.name]
        assert dict(entry.parameters) == dataclasses.asdict(kind())
        assert entry.towers == kind.towers
        assert entry.source == kind.source
        assert entry.summary.endswith(".")
    assert [entry.name for entry in matex.models()] == list(MODELS)


def test_the_lists_as_json(command):
    code, out, err = command("methods", "--json")
    assert (code, err) == (0, "")
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert entries["matex"]["parameters"]["alpha"] == 0.5
    assert entries["rollout"]["parameters"] == {}
    assert [entry["name"] for entry in json.loads(command("models", "--json")[1])] == ["hf:", "openai:", "tiny"]


# ------------------------------------------------------------------------------------------------- explain


def test_explain_writes_the_files_and_says_what_came_out(command):
    code, out, err = command("explain", FILM, PHRASE)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(NAMES)
    record = json.loads(Path("out/explanation.json").read_text())
    assert f"score    {record['score']:.3f}" in out
    assert out.endswith("Not for diagnosis.\n")
    assert "patient's left" in out
    assert np.load("out/image_map.npy").shape == (512, 512)
    assert record["parameters"]["alpha"] == 0.5
    assert [word["word"] for word in record["words"]] == PHRASE.split()


def test_json_is_all_that_stdout_gets_and_is_what_the_file_holds(command):
    code, out, err = command("explain", FILM, PHRASE, "--json", "-o", "deep/er")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(Path("deep/er/explanation.json").read_text())


def test_parameters_reach_the_method(command):
    arguments = ["-p", "alpha=0.25", "-p", "prior-strength=1", "-p", "gradient=similarity", "--laterality", "paper"]
    assert command("explain", FILM, PHRASE, *arguments)[0] == 0
    parameters = json.loads(Path("out/explanation.json").read_text())["parameters"]
    assert (parameters["alpha"], parameters["prior_strength"]) == (0.25, 1.0)
    assert (parameters["gradient"], parameters["laterality"]) == ("similarity", "paper")


def test_the_default_model_is_named_on_stderr_and_nowhere_else(command, monkeypatch, checkpoint):
    monkeypatch.delenv("MATEX_MODEL")
    real = matex.load
    asked = []

    def load(name, **settings):
        asked.append(name)
        return real(checkpoint, **settings)

    monkeypatch.setattr(matex, "load", load)
    code, out, err = command("explain", FILM, PHRASE, "--json")
    assert (code, asked) == (0, ["tiny"])
    json.loads(out)
    assert err == "matex: used the bundled model `tiny`, not for diagnosis; name another with --model.\n"
    assert refused(command("explain", FILM, ""))


def test_explain_reads_16_bit_grey_and_crops(command):
    values = np.linspace(0, 60000, 200 * 330).reshape(200, 330).astype(np.uint16)
    Image.fromarray(values).save("film.png")
    assert command("explain", "film.png", PHRASE, "--resize", "crop", "-m", "rollout")[0] == 0
    assert 0.3 < np.isnan(np.load("out/image_map.npy")).mean() < 0.5


def test_a_lung_mask_moves_the_prior(command):
    mask = np.zeros((512, 512), dtype=np.uint8)
    mask[100:300, 300:400] = 2
    Image.fromarray(mask).save("mask.png")
    np.save("mask.npy", mask)
    assert command("explain", FILM, PHRASE, "-o", "plain")[0] == 0
    assert command("explain", FILM, PHRASE, "--lung-mask", "mask.png", "-o", "png")[0] == 0
    assert command("explain", FILM, PHRASE, "--lung-mask", "mask.npy", "-o", "npy")[0] == 0
    maps = {name: np.load(f"{name}/image_map.npy") for name in ("plain", "png", "npy")}
    np.testing.assert_array_equal(maps["png"], maps["npy"])
    assert np.abs(maps["png"] - maps["plain"]).max() > 1e-3


def write_bad_files():
    Path("text.png").write_text("hello")
    Path("empty.png").touch()
    Path("cut.jpg").write_bytes(FILM.read_bytes()[:2000])
    Path("latin.txt").write_bytes("Lungs cl\xe9ar".encode("latin1"))
    Path("blank.txt").write_text(" \n ")
    Path("file").write_text("mine")
    np.save("nan.npy", np.full((64, 64), np.nan))
    Image.fromarray(np.ones((12, 12), dtype=np.uint8)).save("mask.png")
    Image.fromarray(np.full((512, 512), 7, dtype=np.uint8)).save("sevens.png")
    with Path("zip.npy").open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    np.save("pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    head = bytearray(Path("nan.npy").read_bytes())
    Path("huge.npy").write_bytes(head.replace(b"(64, 64), }" + b" " * 20, b"(99999999999, 99999999), }     "))
    # A PNG of 2^30 pixels: header, no data.
    size = b"IHDR" + (1 << 15).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    png = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + size + zlib.crc32(size).to_bytes(4, "big")
    Path("bomb.png").write_bytes(png + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big"))


BAD = [
    (["nowhere.png", "x"], "nowhere.png"),
    (["text.png", "x"], "got text"),
    (["empty.png", "x"], "empty"),
    (["cut.jpg", "x"], "damaged"),
    ([".", "x"], "folder"),
    (["nan.npy", "x"], "NumPy array"),
    ([FILM, ""], "empty text"),
    ([FILM, "  \t "], "empty text"),
    ([FILM, "opacity " * 200], "tokens"),
    ([FILM], "--report"),
    ([FILM, "x", "--report", "blank.txt"], "one of them"),
    ([FILM, "--report", "none.txt"], "none.txt"),
    ([FILM, "--report", "latin.txt"], "UTF-8"),
    ([FILM, "--report", "blank.txt"], "none"),
    ([FILM, "x", "-m", "matx"], "Did you mean 'matex'"),
    ([FILM, "x", "-p", "alpha"], "KEY=VALUE"),
    ([FILM, "x", "-p", "alpha=high"], "number"),
    ([FILM, "x", "-p", "alpha=-1"], "alpha"),
    ([FILM, "x", "-p", "alpha=1", "-p", "alpha=2"], "twice"),
    ([FILM, "x", "-p", "alfa=1"], "Known: alpha"),
    ([FILM, "x", "-p", "gradient=red"], "attention, similarity"),
    ([FILM, "x", "-p", "gradient_layers=1.5"], "whole number"),
    ([FILM, "x", "-m", "rollout", "--laterality", "paper"], "has none"),
    ([FILM, "x", "--laterality", "up"], "patient, paper"),
    ([FILM, "x", "--resize", "stretch"], "squash"),
    ([FILM, "x", "--domain", "cat"], "natural"),
    ([FILM, "x", "--device", "gpu"], "device"),
    ([FILM, "x", "--model", "nonsense"], "hf:"),
    ([FILM, "x", "--model", "hf:./missing"], "missing"),
    ([FILM, "x", "--model", "openai:file"], "preset"),
    ([FILM, "x", "-o", "file"], "is a file"),
    ([FILM, "x", "-o", "file/deeper"], "is a file"),
    ([FILM, "x", "-o", "n" * 300], "got File name too long"),
    ([FILM, "x", "--lung-mask", "mask.png"], r"\(12, 12\)"),
    ([FILM, "x", "--lung-mask", "sevens.png"], "7"),
    ([FILM, "x", "--lung-mask", "text.png"], "could not read .text.png.: unknown content"),
    ([FILM, "x", "--lung-mask", "zip.npy"], "could not read .zip.npy."),
    ([FILM, "x", "--lung-mask", "bomb.png"], "megapixels|could not read .bomb.png."),
    ([FILM, "x", "--lung-mask", "pickle.npy"], "in a lung mask, got other content: values of type object"),
    ([FILM, "x", "--lung-mask", "huge.npy"], "another number of bytes than its header says"),
    ([FILM, "x", "--lung-mask", "."], "got a folder"),
    ([FILM, "opacity \udcff"], "udcff|characters|Unicode"),
    ([FILM, "x", "y"], "unexpected extra argument"),
    ([FILM, "x", "--nope"], "No such option"),
    (["-film.png", "x"], "as ./-name, or try matex explain --help"),
    ([FILM, "x", "-p"], "requires an argument"),
    ([], "Missing argument"),
]


@pytest.mark.parametrize(("arguments", "told"), BAD, ids=[told for _, told in BAD])
def test_a_bad_request_ends_with_2_one_line_and_no_file(command, arguments, told):
    write_bad_files()
    before = sorted(Path().rglob("*"))
    assert refused(command("explain", *arguments), told)
    assert sorted(Path().rglob("*")) == before
    assert Path("file").read_text() == "mine"


def test_masks_of_both_lungs_in_one_value_are_parted(command):
    both = np.zeros((512, 512), dtype=np.uint8)
    both[100:400, 60:220] = both[100:400, 300:460] = 1
    labelled = both.copy()
    labelled[:, 256:] *= 2
    Image.fromarray(labelled).save("labelled.png")
    Image.fromarray(both * 255).save("bytes.png")
    Image.fromarray(both > 0).save("bits.png")
    Image.fromarray(np.repeat(both[:, :, None] * 255, 3, axis=2)).save("colour.png")
    np.save("booleans.npy", both > 0)
    maps = []
    for name in ("labelled.png", "bytes.png", "bits.png", "colour.png", "booleans.npy"):
        assert command("explain", FILM, PHRASE, "--lung-mask", name, "-o", name.split(".")[0])[0] == 0, name
        maps.append(np.load(f"{name.split('.')[0]}/image_map.npy"))
    for other in maps[1:]:
        np.testing.assert_array_equal(other, maps[0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_no_lung_mask(command):
    os.mkfifo("pipe")
    assert refused(command("explain", FILM, PHRASE, "--lung-mask", "pipe"), "regular file")


def test_view_and_mirrored_reach_the_film(command):
    assert command("explain", FILM, PHRASE, "--view", "LATERAL", "-m", "matex")[0] == 0
    record = json.loads(Path("out/explanation.json").read_text())
    assert record["provenance"]["image"]["view"] == "LATERAL"
    assert any("not frontal" in note for note in record["notes"])
    assert command("explain", FILM, PHRASE, "--mirrored")[0] == 0
    assert json.loads(Path("out/explanation.json").read_text())["provenance"]["image"]["mirrored"]
    assert command("verify", "out")[0] == 0
    out = command("compare", FILM, PHRASE, "-m", "matex,rollout", "--mirrored", "--view", "AP", "--json")[1]
    images = [entry["provenance"]["image"] for entry in json.loads(out)]
    assert [(image["view"], image["mirrored"]) for image in images] == [("AP", True)] * 2


def test_an_undefined_word_is_said_to_be(command):
    out = command("explain", FILM, "opacity")[1]
    record = json.loads(Path("out/explanation.json").read_text())
    undefined = [word["word"] for word in record["words"] if word["score"] is None]
    assert all(f"{word} undefined" in out for word in undefined)
    assert command("compare", FILM, "opacity", "-m", "rollout,matex")[0] == 0


def test_results_of_two_films_never_mix(command):
    other = samples()[2].path
    Path("three.txt").write_text("Opacity on the left. Opacity on the right. No effusion.")
    Path("one.txt").write_text("Opacity on the left.")
    first, second = (json.loads(command("explain", film, "x", "--json")[1]) for film in (FILM, other))
    sums = [record["provenance"]["image"]["sha256"] for record in (first, second)]
    assert sums[0] != sums[1]
    runs = (
        ["explain", FILM, "--report", "three.txt"],
        ["explain", other, "--report", "one.txt"],
        ["compare", FILM, PHRASE, "-m", "rollout,raw-attention"],
        ["explain", other, PHRASE],
        ["compare", FILM, PHRASE, "-m", "rollout"],
    )
    for arguments in runs:
        assert command(*arguments, "-o", "rep")[0] == 0
        wanted = sums[0] if arguments[1] == FILM else sums[1]
        records = [json.loads(path.read_text()) for path in Path("rep").rglob("explanation.json")]
        assert {record["provenance"]["image"]["sha256"] for record in records} == {wanted}, arguments
    assert sorted(path.name for path in Path("rep").iterdir()) == [RUN, "report.html", "rollout"]


def test_a_hostile_phrase_is_explained_as_text(command):
    hostile = '<script>alert(1)</script> & "quotes"'
    assert command("explain", FILM, hostile)[0] == 0
    page = Path("out/report.html").read_text()
    assert "<script>alert" not in page
    assert json.loads(Path("out/explanation.json").read_text())["text"] == hostile


# -------------------------------------------------------------------------------------------------- report


def test_a_report_is_explained_sentence_by_sentence(command):
    sentences = ["No pleural effusion.", "Possible opacity at the left base.", "Lungs are clear. "]
    Path("report.txt").write_text(
        f"FINDINGS: {sentences[0]} {'Word ' * 99}.\n{sentences[1]}\nIMPRESSION: {sentences[2]}"
    )
    code, out, err = command("explain", FILM, "--report", "report.txt", "-o", "all")
    assert (code, err) == (0, "")
    assert sorted(path.name for path in Path("all").iterdir()) == [
        RUN,
        "report.html",
        *(f"sentence-0{i}" for i in (1, 2, 3)),
    ]
    kinds = [line.split()[1] for line in out.splitlines()[:4]]
    assert kinds == ["negated", "positive", "uncertain", "normal"]
    assert out.splitlines()[1].lstrip().startswith("- ")
    page = Path("all/report.html").read_text()
    places = [page.index(sentence.strip()) for sentence in sentences]
    assert places == sorted(places)
    assert "not explained: Expected a phrase of at most" in page
    second = json.loads(Path("all/sentence-02/explanation.json").read_text())
    assert second["text"] == sentences[1]
    assert second["regions"][0]["uncertain"]
    code, out, err = command("explain", FILM, "--report", "report.txt", "-o", "all", "--json")
    assert [entry["text"] for entry in json.loads(out)] == [sentence.strip() for sentence in sentences]


def test_sentences_without_a_finding_get_no_map(command):
    Path("report.txt").write_text(
        "TECHNIQUE: PA and lateral views of the chest.\nFINDINGS: ET tube in situ. The lungs are clear."
    )
    code, out, _ = command("explain", FILM, "--report", "report.txt", "-o", "all")
    assert code == 0
    kinds = [line[:20].split(maxsplit=1)[:2] for line in out.splitlines()[:3]]
    assert [kind[0] for kind in kinds[:2]] == ["-", "-"]
    assert ["no finding" in line for line in out.splitlines()[:3]] == [True, True, False]
    assert "2 of 3 sentences describe no finding" in out
    assert sorted(path.name for path in Path("all").iterdir()) == [RUN, "report.html", "sentence-01"]
    page = Path("all/report.html").read_text()
    assert page.count('<li class="line no-finding"><span class="kind">no finding</span>') == 2
    assert '<u class="normal" title="lung, no side, normal">lungs</u>' in page
    assert '<u class="off"' not in page


def test_a_report_without_any_finding_is_written_without_a_map(command):
    Path("report.txt").write_text("Portable AP film. Right PICC with its tip in the SVC.")
    code, out, _ = command("explain", FILM, "--report", "report.txt", "-o", "all")
    assert (code, sorted(path.name for path in Path("all").iterdir())) == (0, [RUN, "report.html"])
    assert "2 of 2 sentences describe no finding" in out
    assert "<img" not in Path("all/report.html").read_text()
    assert json.loads(command("explain", FILM, "--report", "report.txt", "-o", "all", "--json")[1]) == []


# ------------------------------------------------------------------------------------------ compare and demo


def test_compare_puts_methods_side_by_side(command):
    code, out, err = command("compare", FILM, PHRASE, "-m", "rollout, matex,rollout")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["rollout", "matex"]
    assert sorted(path.name for path in Path("compare").iterdir()) == ["matex", RUN, "report.html", "rollout"]
    assert Path("compare/report.html").read_text().count('class="thumb"') == 2
    page = Path("compare/report.html").read_text()
    assert re.findall(r'<a class="thumb".*?<b>(.*?)</b>', page) == ["rollout", "matex"]
    assert "own formula 0 ms" not in page
    assert "Passes of the model that all of them share" in page
    assert "\npasses shared " in out
    assert refused(command("compare", FILM, PHRASE, "-m", "rollout,nope"), "'nope'")
    assert refused(command("compare", FILM, PHRASE, "-m", ","), "names of methods")
    for odd in ("matex.alpha", "alpha=1", "rollout.alpha=1", "matex.alpha=x"):
        assert refused(command("compare", FILM, PHRASE, "-m", "matex", "-p", odd), "alpha")
    arguments = ["-m", "matex,grad-eclip", "-p", "matex.alpha=0.25", "--json"]
    entries = {entry["method"]: entry for entry in json.loads(command("compare", FILM, PHRASE, *arguments)[1])}
    assert entries["matex"]["parameters"]["alpha"] == 0.25


def test_notes_are_printed_once_by_every_command(command):
    unknown = "view and orientation unknown: taken as a frontal film in standard display"
    out = command("compare", FILM, PHRASE, "-m", "rollout,raw-attention", "-o", "a")[1]
    assert out.splitlines().count(f"note     {unknown}") == 1
    out = command("compare", FILM, "nodule", "-m", "rollout,matex", "-o", "b")[1]
    assert any(line.startswith("note     matex: spatial prior neutral") for line in out.splitlines())
    Path("report.txt").write_text("Opacity at the left base. Nodule in the right apex.")
    out = command("explain", FILM, "--report", "report.txt", "-m", "rollout", "-o", "c")[1]
    assert out.splitlines().count(f"note     {unknown}") == 1
    assert unknown in Path("c/report.html").read_text()
    Path("report.txt").write_text("Opacity at the left base. No effusion. Lungs are clear.")
    out = command("explain", FILM, "--report", "report.txt", "-o", "e")[1]
    assert "note     “No effusion.”: spatial prior neutral" in out
    out = command("explain", FILM, PHRASE, "-m", "rollout", "-o", "d")[1]
    assert out.splitlines().count(f"note     {unknown}") == 1


def test_compare_all_leaves_out_what_the_model_cannot_serve(command, monkeypatch):
    entries = [entry for entry in matex.methods() if entry.name in ("gradient", "guided-backprop", "rollout")]
    monkeypatch.setattr(
        matex, "methods", lambda: (*entries, dataclasses.replace(entries[0], name="x", towers=("text",)))
    )
    code, out, _ = command("compare", FILM, PHRASE, "-m", "all", "--json", "-o", "all")
    assert (code, [entry["method"] for entry in json.loads(out)]) == (0, ["gradient", "rollout"])
    assert refused(command("compare", FILM, PHRASE, "-m", "rollout,guided-backprop"), "quick_gelu")


FEWER = {
    "rise": ["masks=8"],
    "kernel-shap": ["samples=8"],
    "integrated-gradients": ["steps=2"],
    "gradient-shap": ["samples=2"],
    "occlusion": ["window=28"],
    "m2ib": ["steps=2", "samples=2"],
    "ca-m2ib": ["steps=2", "samples=2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_runs_on_both_towers_of_the_bundled_model(command, name):
    parameters = [part for item in FEWER.get(name, ()) for part in ("-p", item)]
    outcome = command("explain", FILM, PHRASE, "-m", name, "--model", "tiny", *parameters, "--json")
    if name == "guided-backprop":
        assert refused(outcome, "quick_gelu", "gradient, ")
        return
    code, out, err = outcome
    assert code == 0, err
    record = json.loads(out)
    values = np.load("out/image_map.npy")
    assert values.shape == (512, 512)
    assert (np.nanmin(values), np.nanmax(values)) == (0, 1)
    words = {word["word"]: word["score"] for word in record["words"]}
    if "text" in METHODS[name].towers:
        assert list(words) == PHRASE.split()
        assert len(set(words.values())) > 1
    else:
        assert words == {}


@pytest.mark.slow
def test_compare_all_finishes_and_says_what_it_left_out(command):
    arguments = [part for name, items in FEWER.items() for item in items for part in ("-p", f"{name}.{item}")]
    code, out, err = command("compare", FILM, PHRASE, "-m", "all", "--model", "tiny", *arguments)
    assert code == 0, err
    assert "Left out, as the model or this installation cannot serve them: guided-backprop." in out
    assert "<li><b>guided-backprop</b>: " in Path("compare/report.html").read_text()
    assert {path.name for path in Path("compare").iterdir() if path.is_dir()} == set(METHODS) - {"guided-backprop"}


def test_demo_explains_the_bundled_films(command, monkeypatch):
    films = (samples()[0], samples()[-1])
    monkeypatch.setattr("matex.samples.samples", lambda: films)
    code, out, err = command("demo", "-m", "raw-attention")
    assert (code, err) == (0, "")
    assert {path.name for path in Path("demo").iterdir()} == {RUN, "report.html", *(film.name for film in films)}
    page = Path("demo/report.html").read_text()
    assert all(film.demo_phrase in page for film in films)
    assert "demo/report.html" in out
    assert "Not for diagnosis" in out
    record = json.loads(Path("demo/right-lower-opacity/explanation.json").read_text())
    assert record["provenance"]["image"]["view"] == "PA"
    assert "2 radiographs, explained" in page
    assert "the model hf:clip" in page
    assert "bundled model" not in page


# -------------------------------------------------------------------------------------------------- verify


@pytest.fixture
def saved(command):
    assert command("explain", FILM, PHRASE)[0] == 0
    return Path("out")


def test_verify_runs_the_record_again(command, saved):
    code, out, err = command("verify", saved)
    assert (code, err) == (0, "")
    assert out.startswith("same: map within")
    verdict = json.loads(command("verify", saved, "--json")[1])
    assert verdict["same"]
    assert verdict["map_difference"] <= TOLERANCE


def test_verify_finds_the_image_by_its_checksum_under_another_name(command):
    values = np.random.default_rng(2).integers(0, 255, (64, 70), dtype=np.uint8)
    Image.fromarray(values).save("film.png")
    assert command("explain", "film.png", PHRASE, "-o", "deep/out")[0] == 0
    assert refused(command("verify", "deep/out", "--image", FILM), "image checksum")
    shutil.move("film.png", "deep/renamed.png")
    assert find_image(load_saved(Path("deep/out"))).name == "renamed.png"
    assert command("verify", "deep/out")[0] == 0
    os.remove("deep/renamed.png")
    assert refused(command("verify", "deep/out"), "--image")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda record: record.update(score=record["score"] + 0.01), "score: recorded"),
        (lambda record: record.update(text="opacity in the right lower lung"), "map: differs"),
        (lambda record: record["parameters"].update(alpha=3.0), "map: differs"),
        (lambda record: record["provenance"]["model"].update(weights_sha256="0" * 64), "weights checksum"),
        (lambda record: record["parameters"].update(colour=3), "Unknown parameter"),
        (lambda record: record["provenance"].pop("resize"), "provenance.resize"),
        (lambda record: record.update(format="other"), "format"),
        (lambda record: record["provenance"].update(lung_mask="ab" * 32), "--lung-mask"),
        (lambda record: record["provenance"]["token_ids"].reverse(), "token ids: recorded"),
        (lambda record: record["provenance"]["model"].update(dtype="float16"), "weights checksum"),
        (lambda record: record["provenance"]["model"].update(dtype="int8"), "one of float32, float64"),
        (lambda record: record.update(parameters=[]), "parameters in .* to be dict, got list"),
        (lambda record: record.update(score="abc"), "score in .* to be float or null, got str"),
        (lambda record: record.update(text=3), "text in .* to be str"),
        (lambda record: record["parameters"].update(alpha={}), "recorded alpha of matex"),
        (lambda record: record["parameters"].update(alpha=-1.0), "Expected alpha of 0 or more"),
        (lambda record: record.update(method="mine"), "Unknown method 'mine'"),
        (
            lambda record: (record.update(method="mine"), record["provenance"].update(plugin={"name": "mine.py"})),
            r"plug-in .mine\.py.\. Name it with --plugin",
        ),
        (lambda record: record["parameters"].update(gradient=None), "gradient"),
        (lambda record: record["provenance"].update(model=[]), "provenance.model"),
        (lambda record: record["provenance"].update(image="film.png"), "provenance.image"),
        (lambda record: record["provenance"].update(versions=None), "versions"),
        (lambda record: record["provenance"].update(domain=["chest"]), "domain"),
    ],
)
def test_verify_says_what_differs(command, saved, change, told):
    record = json.loads((saved / "explanation.json").read_text())
    change(record)
    (saved / "explanation.json").write_text(json.dumps(record))
    assert refused(command("verify", saved), told)


def test_verify_compares_every_pixel(command, saved):
    values = np.load(saved / "image_map.npy")
    values[17, 400] += 0.002
    np.save(saved / "image_map.npy", values)
    assert refused(command("verify", saved), r"map: differs by up to 0\.002")
    assert command("verify", saved, "--tolerance", "0.01")[0] == 0
    for tolerance, passes_any in ("0.01", False), ("1", True):
        assert ("any map of this size passes" in command("verify", saved, "--tolerance", tolerance)[1]) is passes_any


def test_verify_loads_with_the_recorded_precision(command, saved, monkeypatch):
    asked = []
    real = matex.load

    def load(name, **settings):
        asked.append(settings["dtype"])
        return real(name, **settings)

    monkeypatch.setattr(matex, "load", load)
    record = json.loads((saved / "explanation.json").read_text())
    record["provenance"]["model"]["dtype"] = "float64"
    (saved / "explanation.json").write_text(json.dumps(record))
    assert command("verify", saved)[0] == 0
    assert asked == ["float64"]


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("clip-surgery", ["redundant=517,10,518"]),
        ("clip-surgery", ["redundant=clear lungs, no 3", "layers=2"]),
        ("clip-surgery", ["labels=nodule, small;mass"]),
        ("mmel", ["scales=1,0.5", "theta=1,2,3"]),
        ("mmel", ["theta=2", "contrast=2"]),
        ("saliency", ["reduce=none"]),
    ],
)
def test_verify_reads_every_kind_of_parameter_back(command, method, given):
    parameters = [part for item in given for part in ("-p", item)]
    assert command("explain", FILM, PHRASE, "-m", method, *parameters)[::2] == (0, "")
    values = recorded_parameters(load_saved(Path("out")))
    assert values == {**values, **parse_parameters(method, given)}
    assert command("verify", "out")[::2] == (0, "")


def test_verify_finds_the_tokenizer_that_was_given(command, checkpoint, workplace):
    shutil.copytree(checkpoint.removeprefix("hf:"), "clip")
    Path("words").mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.move(f"clip/{name}", f"words/{name}")
    for name in ("vocab.json", "merges.txt"):
        Path("clip", name).unlink(missing_ok=True)
    given = ["--model", "hf:clip", "--tokenizer", workplace / "words"]
    assert refused(command("explain", FILM, PHRASE, *given[:2]), "no tokenizer")
    assert command("explain", FILM, PHRASE, *given)[0] == 0
    record = Path("out/explanation.json").read_text()
    assert json.loads(record)["provenance"]["model"]["tokenizer"]["source"] == "words"
    assert str(workplace) not in record
    assert command("verify", "out")[0] == 0
    shutil.move("words", "others")
    assert refused(command("verify", "out"), "--tokenizer")
    assert command("verify", "out", "--tokenizer", "others")[0] == 0
    shutil.copytree("others", "words")
    settings = Path("words/tokenizer_config.json")
    settings.write_text(settings.read_text() + "\n")
    assert refused(command("verify", "out"), "checksum")


def test_a_hub_id_is_recorded_as_it_was_given():
    assert describe_tokenizer("somebody/clip") == {"source": "somebody/clip", "sha256": None}


def test_verify_wants_the_same_lung_mask(command):
    mask = np.zeros((512, 512), dtype=np.uint8)
    mask[100:300, 300:400] = 2
    np.save("mask.npy", mask)
    np.save("other.npy", np.roll(mask, 9, axis=0))
    assert command("explain", FILM, PHRASE, "--lung-mask", "mask.npy")[0] == 0
    assert command("verify", "out", "--lung-mask", "mask.npy")[0] == 0
    assert refused(command("verify", "out"), "--lung-mask")
    assert refused(command("verify", "out", "--lung-mask", "other.npy"), "lung mask checksum")


def test_the_search_for_the_image_skips_what_it_should_not_open(command, monkeypatch):
    Image.fromarray(np.random.default_rng(2).integers(0, 255, (64, 70), dtype=np.uint8)).save("film.png")
    assert command("explain", "film.png", PHRASE)[0] == 0
    shutil.move("film.png", "zz.png")
    os.mkfifo("film")
    Path("gone.png").symlink_to("nowhere")
    with Path("aa.png").open("wb") as stream:
        stream.truncate(1 << 40)  # sparse
    Path("bb.png").write_bytes(b"unreadable")
    real = Path.open

    def denied(path, *arguments, **settings):
        if path.name == "bb.png":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **settings)

    monkeypatch.setattr(Path, "open", denied)
    assert find_image(load_saved(Path("out"))).name == "zz.png"


@pytest.mark.parametrize("values", [np.zeros((2, 2, 2)), np.zeros((2, 2), dtype=int), np.array("a")])
def test_verify_refuses_what_is_no_map(command, saved, values):
    np.save(saved / "image_map.npy", values)
    assert refused(command("verify", saved), "Expected (a map of floats|a .npy array of numbers)")
    with (saved / "image_map.npy").open("wb") as stream:
        np.savez(stream, a=values)
    assert refused(command("verify", saved), "array of numbers in image_map.npy")


@pytest.mark.parametrize("name", ["explanation.json", "image_map.npy"])
def test_verify_refuses_missing_and_damaged_files(command, saved, name):
    (saved / name).write_text("{")
    assert refused(command("verify", saved), f"{name}.* got other")
    (saved / name).unlink()
    assert refused(command("verify", saved), name)


def test_versions_are_remarks_and_no_differences(saved, checkpoint):
    record = load_saved(saved)
    model = matex.load(checkpoint)
    again = matex.explain(model, FILM, PHRASE)
    record.record["provenance"]["versions"]["torch"] = "0.1"
    verdict = compare(record, again)
    assert verdict.same
    assert any(remark.startswith("torch was '0.1'") for remark in verdict.remarks)


# ------------------------------------------------------------------------------------- faults and interrupts


def test_our_own_faults_end_with_1_and_ask_for_a_report(command, monkeypatch):
    def broken(*_, **__):
        raise ValueError("operands could not be\nbroadcast")

    monkeypatch.setattr(matex, "explain", broken)
    code, out, err = command("explain", FILM, PHRASE)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "report it" in err
    assert not Path("out").exists()
    monkeypatch.setenv("MATEX_DEBUG", "1")
    with pytest.raises(ValueError, match="broadcast"):
        command("explain", FILM, PHRASE)


def test_a_missing_extra_is_a_request_that_cannot_be_met(command, monkeypatch):
    def missing(*_, **__):
        raise matex.MissingExtra("Reading DICOM needs pydicom: pip install matex[dicom]")

    monkeypatch.setattr(matex, "read", missing)
    assert refused(command("explain", FILM, PHRASE), "pip install matex")


def test_an_interrupt_ends_with_130(command, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(matex, "read", interrupt)
    assert command("explain", FILM, PHRASE)[0] == 130


@pytest.mark.skipif(os.name == "nt", reason="pipes differ")
def test_a_reader_that_goes_away_is_no_error():
    done = fresh(
        "-c", "import os, sys; from matex.cli import run; os.close(int(sys.argv[1])); sys.exit(run(['methods']))", "0"
    )
    assert done.returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-m", "matex", "methods"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


# ---------------------------------------------------------------------------------------------- -p KEY=VALUE


def test_values_are_read_as_the_type_of_the_field(monkeypatch):
    from dataclasses import dataclass
    from typing import ClassVar, Literal

    from matex.attribution import METHODS

    @dataclass(frozen=True)
    class Odd:
        """For this test."""

        number: float = 0.5
        count: int | None = None
        flag: bool = True
        scales: tuple[float, ...] = (1.0,)
        pair: tuple[int, str] = (1, "a")
        kind: Literal["a", 3] = "a"
        name: str = ""
        towers: ClassVar[tuple[str, ...]] = ("image",)

    monkeypatch.setitem(METHODS._entries, "odd", Odd)
    good = {
        "number=1e-3": 0.001,
        "count=7": 7,
        "count=none": None,
        "flag=no": False,
        "flag=True": True,
        "scales=1,.75, 0.5": (1.0, 0.75, 0.5),
        "scales=2": (2.0,),
        "pair=4,b": (4, "b"),
        "kind=3": 3,
        "name=a=b": "a=b",
    }
    for text, value in good.items():
        assert list(parse_parameters("odd", [text]).values()) == [value], text
    for text in ("number=x", "count=1.5", "flag=maybe", "scales=a", "pair=4", "kind=b", "=3", "number"):
        with pytest.raises(InputError):
            parse_parameters("odd", [text])
    with pytest.raises(UnknownName):
        parse_parameters("odd", ["towers=image"])


def test_progress_bars_stay_out_of_pipes(command, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert command("compare", FILM, PHRASE, "-m", "rollout")[2] == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    command("compare", FILM, PHRASE, "-m", "rollout")
    assert "writing" in terminal.getvalue()
