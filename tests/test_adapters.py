"""Checkpoints in each format load to the same numbers, and what is not a checkpoint is refused in one line."""

import gzip
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

import matex
from matex.adapters.model import words
from matex.adapters.openai import PRESETS, tokenizer_from_merges
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.tokenizer import load_tokenizer
from matex.errors import InputError
from matex.images import Film
from tests.conftest import small_clip
from tests.openai_format import state_dict


def write_merges(path):
    """A merge list in the published file's form: a header, then one pair per line."""
    merges = [
        "o p",
        "op a",
        "c i",
        "ci t",
        "cit y</w>",
        "opa city</w>",
        "l e",
        "f t</w>",
        "le ft</w>",
        "l u",
        "n g</w>",
    ]
    path.write_bytes(gzip.compress(("#version: 0.2\n" + "\n".join(merges) + "\n").encode()))
    return path


@pytest.fixture
def folder(tmp_path):
    """A complete Hugging Face checkpoint, small."""
    small_clip().float().save_pretrained(tmp_path / "clip")
    tokenizer = tokenizer_from_merges(write_merges(tmp_path / "merges.gz"))
    tokenizer.save_pretrained(tmp_path / "clip")
    CLIPImageProcessor(size={"shortest_edge": 35}, crop_size={"height": 35, "width": 35}).save_pretrained(
        tmp_path / "clip"
    )
    return tmp_path / "clip"


def openai_module(activation="quick_gelu"):
    """The narrowest CLIP whose head count OpenAI's rule (width / 64) gives."""
    torch.manual_seed(0)
    config = CLIPConfig(
        projection_dim=20,
        vision_config={"hidden_size": 128, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 8, "hidden_act": activation},
        text_config={"hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 3, "num_attention_heads": 1,
                     "max_position_embeddings": 13, "vocab_size": 50, "bos_token_id": 48, "eos_token_id": 49,
                     "pad_token_id": 49, "hidden_act": activation},
    )  # fmt: skip
    return CLIPModel(config).eval()


INPUTS = {"pixel_values": torch.randn(1, 3, 32, 32), "input_ids": torch.tensor([[48, 7, 8, 9, 49]])}


def same_as(model, module, inputs=INPUTS):
    with torch.no_grad():
        expected = module(**inputs)
    found = matex.score(model, inputs["pixel_values"], inputs["input_ids"])
    torch.testing.assert_close(found, expected.image_embeds @ expected.text_embeds.T, atol=2e-6, rtol=0)


def test_a_hugging_face_folder_loads_and_explains(folder):
    model = matex.load(f"hf:{folder}")
    assert not model.missing
    same_as(model, CLIPModel.from_pretrained(folder), {
        "pixel_values": torch.randn(1, 3, 35, 35), "input_ids": torch.tensor([[97, 3, 4, 98]])})  # fmt: skip
    assert model.weights_sha256 == matex.load(f"hf:{folder}").weights_sha256


def test_a_folder_of_pytorch_bin_files_loads_too(folder):
    module = CLIPModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(module.state_dict(), folder / "pytorch_model.bin")
    same_as(matex.load(f"hf:{folder}"), module, {
        "pixel_values": torch.randn(1, 3, 35, 35), "input_ids": torch.tensor([[97, 3, 4, 98]])})  # fmt: skip


def test_without_tokenizer_and_preprocessing_the_low_level_still_works(tmp_path, pixels, token_ids):
    small_clip().float().save_pretrained(tmp_path / "bare")
    model = matex.load(f"hf:{tmp_path / 'bare'}")
    assert matex.attribute(model, pixels[:1].float(), token_ids[:1]).shape == (5, 5)
    with pytest.raises(InputError, match=r"no tokenizer \(tokenizer.json.*matex.attribute takes prepared inputs"):
        matex.explain(model, np.zeros((40, 40), np.uint8), "opacity")
    with pytest.raises(InputError, match=r"no preprocessing \(preprocessor_config.json\)"):
        model.prepare(Film(np.zeros((40, 40), np.uint8), "array", "", None, False, ()))


def test_a_model_from_memory_works_for_prepared_inputs(pixels, token_ids):
    model = matex.load(small_clip())
    assert matex.attribute(model, pixels[:1], token_ids[:1]).shape == (5, 5)


def test_an_incomplete_or_foreign_checkpoint_is_refused_by_name(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    removed = weights.pop("visual_projection.weight")
    save_file({**weights, "extra.head": removed}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(matex.CheckpointError) as caught:
        matex.load(f"hf:{folder}")
    assert "1 missing (visual_projection.weight) and 1 unexpected (extra.head)" in str(caught.value)


def test_weights_of_another_size_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["projection_dim"] = 32
    (folder / "config.json").write_text(json.dumps(config))
    told = r"2 of another shape \(text_projection.weight: .* where .* belongs"
    with pytest.raises(matex.CheckpointError, match=told):
        matex.load(f"hf:{folder}")


def test_other_architectures_and_broken_folders_are_refused(folder, tmp_path):
    for content, error, message in (
        ('{"model_type": "bert"}', matex.UnsupportedModel, "model_type 'clip'.*, got 'bert'"),
        ("{broken", matex.CheckpointError, "Expected JSON in config.json"),
        ("[1]", matex.CheckpointError, "^Expected JSON in config.json of [^ ]+ to be one object, got a list. Copy"),
        ("", matex.CheckpointError, "^Expected JSON in config.json, got an empty file: "),
    ):
        (folder / "config.json").write_text(content)
        with pytest.raises(error, match=message):
            matex.load(f"hf:{folder}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(matex.CheckpointError, match=r"^Expected config\.json in '[^ ]+empty', found none\."):
        matex.load(f"hf:{tmp_path / 'empty'}")
    with pytest.raises(matex.CheckpointError, match="found neither"):
        matex.load(f"hf:{tmp_path / 'nowhere'}")
    (tmp_path / "file.pt").write_bytes(b"x")
    with pytest.raises(matex.CheckpointError, match="load with openai:"):
        matex.load(f"hf:{tmp_path / 'file.pt'}")
    with pytest.raises(InputError, match="take the prefix hf:"):
        matex.load(str(folder))
    with pytest.raises(InputError, match="a device that this machine has"):
        matex.load(f"hf:{folder}", device="mps")


def test_pickled_code_in_a_checkpoint_is_never_run(folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    (folder / "model.safetensors").unlink()
    for path, name in (
        (folder / "pytorch_model.bin", f"hf:{folder}"),
        (tmp_path / "x.pt", f"openai:{tmp_path / 'x.pt'}"),
    ):
        torch.save({"visual.conv1.weight": Bomb()}, path)
        with pytest.raises(matex.CheckpointError, match=r"not opened since it could run code.* Save"):
            matex.load(name, preset="clip" if name.startswith("openai") else None)
        path.write_bytes(pickle.dumps(Bomb(), protocol=2))
        with pytest.raises(matex.CheckpointError):
            matex.load(name, preset="clip" if name.startswith("openai") else None)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("wrapper", ["", "state_dict", "module."])
def test_an_openai_state_dict_equals_the_model_it_came_from(tmp_path, wrapper):
    module = openai_module()
    weights = state_dict(module)
    weights |= {
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(13),
        "vocab_size": torch.tensor(50),
    }
    if wrapper == "state_dict":
        weights = {"epoch": 3, "state_dict": weights}
    elif wrapper == "module.":
        weights = {f"module.{name}": value for name, value in weights.items()}
    torch.save(weights, tmp_path / "clip.pt")
    model = matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="clip")
    same_as(model, module)
    assert model.context == 13
    assert model.record == {"preset": "clip", "activation": "quick_gelu"}
    with pytest.raises(AssertionError):  # the activation matters: the preset decides it
        same_as(model, _with_gelu(module))


def _with_gelu(module):
    other = openai_module("gelu")
    other.load_state_dict(module.state_dict())
    return other


def test_half_precision_weights_are_read_as_float32(tmp_path):
    torch.save({name: value.half() for name, value in state_dict(openai_module()).items()}, tmp_path / "clip.pt")
    assert matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="chexzero").dtype == torch.float32


def test_wrong_openai_files_are_refused(tmp_path):
    path = tmp_path / "clip.pt"
    name = f"openai:{path}"
    with pytest.raises(matex.CheckpointError, match="found none"):
        matex.load(name, preset="clip")
    weights = state_dict(openai_module())
    torch.save(weights, path)
    with pytest.raises(matex.CheckpointError, match=r"Expected a preset.*chexzero, clip, cxr-repair"):
        matex.load(name)
    with pytest.raises(ValueError, match="Unknown preset 'chexnet'"):
        matex.load(name, preset="chexnet")
    for change, message in (
        (lambda w: w.pop("ln_final.bias"), "1 missing .*final_layer_norm.bias"),
        (lambda w: w.update(head=torch.ones(1)), r"1 unexpected \(head\)"),
        (lambda w: w.pop("visual.conv1.weight"), "one without visual.conv1.weight"),
        (lambda w: w.update({"ln_final.bias": torch.ones(7)}), "weights of one CLIP model"),
    ):
        changed = dict(weights)
        change(changed)
        torch.save(changed, path)
        with pytest.raises(matex.CheckpointError, match=message):
            matex.load(name, preset="clip")
    torch.save({**weights, "visual.layer1.0.conv1.weight": torch.ones(1)}, path)
    with pytest.raises(matex.UnsupportedModel, match="ResNet"):
        matex.load(name, preset="clip")
    torch.save([1, 2], path)
    with pytest.raises(matex.CheckpointError, match="dictionary of tensors"):
        matex.load(name, preset="clip")
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(matex.CheckpointError, match="file of tensors alone"):
        matex.load(name, preset="clip")


def test_clips_tokenizer_is_built_from_its_merge_list(tmp_path):
    tokenizer = tokenizer_from_merges(write_merges(tmp_path / "merges.gz"))
    encoded = tokenizer("Opacity left lung", return_offsets_mapping=True)
    pieces = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    assert pieces == ["<|startoftext|>", "opacity</w>", "left</w>", "lu", "ng</w>", "<|endoftext|>"]
    assert encoded["offset_mapping"][1:-1] == [(0, 7), (8, 12), (13, 15), (15, 17)]
    tokenizer.save_pretrained(tmp_path / "saved")
    again = load_tokenizer(tmp_path / "saved")
    assert again("opacity")["input_ids"] == tokenizer("opacity")["input_ids"]


def test_an_openai_file_finds_the_tokenizer_beside_it_or_where_told(tmp_path):
    module = openai_module()
    tokenizer = tokenizer_from_merges(write_merges(tmp_path / "merges.gz"))
    tokenizer.save_pretrained(tmp_path / "words")
    torch.save(state_dict(module), tmp_path / "clip.pt")
    model = matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="clip", tokenizer=str(tmp_path / "words"))
    assert not model.missing
    with pytest.raises(matex.CheckpointError, match="found none in"):
        matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="clip", tokenizer=str(tmp_path))


def test_empty_and_over_long_phrases_are_refused(folder):
    model = matex.load(f"hf:{folder}")
    with pytest.raises(InputError, match="got an empty text"):
        model.encode(" \n")
    for text in (".....", "?", "\u200b", "- -"):
        with pytest.raises(InputError, match="got a text without words"):
            model.encode(text)
    with pytest.raises(InputError, match=r"at most 11 tokens, got \d+.*--report FILE"):
        model.encode("opacity " * 12)


def test_words_sum_their_tokens_and_leave_punctuation_out():
    text = "left-sided opacity, 2.5 cm"
    spans = [(0, 4), (4, 5), (5, 10), (11, 14), (14, 18), (18, 19), (20, 21), (21, 22), (22, 23), (24, 26)]
    found = words(text, spans, [1, 2, 3, 10, 20, 99, 5, 6, 7, 8])
    assert found == (("left-sided", 6.0), ("opacity", 30.0), ("2.5", 18.0), ("cm", 8.0))


# --- preprocessing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(60, 91), (200, 90), (35, 35), (301, 300)])
@pytest.mark.parametrize("squash", [True, False])
def test_pixels_equal_those_of_the_checkpoints_own_processor(shape, squash):
    values = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    if squash:
        processor = CLIPImageProcessor(size={"height": 32, "width": 48}, do_center_crop=False)
        size = (32, 48)
    else:
        processor = CLIPImageProcessor(size={"shortest_edge": 33}, crop_size={"height": 33, "width": 33})
        size = (33, 33)
    ours, placement = Preprocessing.from_processor(processor.to_dict(), size)(
        Film(values, "x", "", None, False, ()), (8, 8)
    )
    theirs = processor(Image.fromarray(values), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert placement.model == size


@pytest.mark.parametrize("resize", ["squash", "pad", "crop"])
def test_every_way_of_resizing_puts_a_spot_where_its_placement_says(resize):
    film = np.zeros((180, 120), np.uint8)
    film[100:108, 70:78] = 255
    chosen = Preprocessing((64, 80), "crop", "bilinear", 1 / 255, (0, 0, 0), (1, 1, 1))
    pixels, placement = chosen(Film(film, "x", "", None, False, ()), (8, 8), resize)
    y, x = np.unravel_index(int(pixels[0, 0].argmax()), (64, 80))
    expected = placement.points_to_model(np.array([74.0, 104.0]))
    np.testing.assert_allclose([x + 0.5, y + 0.5], expected, atol=3)


def test_chexzero_takes_raw_values_padded_to_a_square():
    film = np.full((320, 160), 200, np.uint8)
    preprocessing = PRESETS["chexzero"].preprocessing
    pixels, placement = preprocessing(Film(film, "x", "", None, False, ()), (32, 32))
    assert placement.offset == (0, -56)
    torch.testing.assert_close(pixels[0, 0, 100, 112].item(), (200 - 101.48761) / 83.43944)
    torch.testing.assert_close(pixels[0, 0, 100, 3].item(), -101.48761 / 83.43944)


def test_a_processor_that_does_not_yield_the_models_size_is_refused():
    with pytest.raises(InputError, match="Expected a preprocessor that yields 32x32"):
        Preprocessing.from_processor({"size": {"shortest_edge": 48}, "do_center_crop": False}, (32, 32))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["hf", "openai"])
def test_the_true_vit_b_32_architecture_loads_in_both_formats(tmp_path, form):
    torch.manual_seed(0)
    module = CLIPModel(CLIPConfig()).eval()
    if form == "hf":
        module.half().save_pretrained(tmp_path)
        module.float()
        model = matex.load(f"hf:{tmp_path}")
    else:
        torch.save(state_dict(module.half()), tmp_path / "clip.pt")
        module.float()
        model = matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="chexzero")
    inputs = {
        "pixel_values": torch.randn(1, 3, 224, 224),
        "input_ids": torch.tensor([[49406, 320, 1125, 49407]]),
    }
    same_as(model, module, inputs)
    assert matex.attribute(model, inputs["pixel_values"], inputs["input_ids"]).shape == (7, 7)


def test_a_module_that_is_no_clip_is_refused():
    with pytest.raises(matex.UnsupportedModel, match=r"Expected a dual encoder of transformers .*, got Linear"):
        matex.load(torch.nn.Linear(2, 2))
    with pytest.raises(matex.UnsupportedModel, match=r"Expected a dual encoder of transformers .*, got Linear"):
        matex.load(torch.nn.Linear(2, 2), image_processor=CLIPImageProcessor())
    with pytest.raises(InputError, match="with a model in memory"):
        matex.load(small_clip(), dtype="float64")


def test_the_weights_hash_follows_changes_in_place(model, module):
    before = model.weights_sha256
    with torch.no_grad():
        module.visual_projection.weight.neg_()
    changed = model.weights_sha256
    assert changed != before
    with torch.no_grad():
        module.visual_projection.weight.neg_()
    assert model.weights_sha256 == before


def test_special_tokens_in_the_phrase_are_refused(folder):
    model = matex.load(f"hf:{folder}")
    with pytest.raises(InputError, match=r"got '<\|endoftext\|>'"):
        model.encode("opacity <|endoftext|> left lung")
    with pytest.raises(InputError, match="valid Unicode"):
        model.encode("opacity \udcff")
    with pytest.raises(InputError, match="as a string, got NoneType"):
        model.encode(None)


@pytest.mark.parametrize(
    "change", [{"resample": 17}, {"size": {"longest_edge": 5}}, {"image_mean": [0.5, 0.5]}, {"size": "large"}]
)
def test_a_foreign_preprocessor_is_refused_in_one_line(change):
    with pytest.raises(InputError, match=r"Expected a (CLIP )?preprocessor") as caught:
        Preprocessing.from_processor({"size": {"shortest_edge": 32}, **change}, (32, 32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda w: [w.pop(name) for name in list(w) if "resblocks" in name],
        lambda w: w.update(text_projection=torch.ones(5)),
        lambda w: w.update({"visual.positional_embedding": torch.tensor(1.0)}),
        lambda w: w.update({"transformer.resblocks.foo.weight": torch.ones(1)}),
    ],
)
def test_odd_state_dicts_are_refused_in_one_line(tmp_path, change):
    weights = state_dict(openai_module())
    change(weights)
    torch.save(weights, tmp_path / "clip.pt")
    with pytest.raises(matex.CheckpointError) as caught:
        matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="clip")
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_refused_whatever_byte_is_wrong(tmp_path):
    path = tmp_path / "clip.pt"
    torch.save({"visual.conv1.weight": torch.ones(2)}, path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with pytest.raises(matex.CheckpointError):
            matex.load(f"openai:{path}", preset="clip")


def test_an_explicit_resize_takes_no_detour():
    """The stop at another size belongs to a checkpoint's own preprocessing alone."""
    grain = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    film = Film(grain, "grain", "0" * 64)
    settings = ((28, 28), "squash", "bicubic", 1 / 255, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    detour, direct = Preprocessing(*settings, by_way_of=40), Preprocessing(*settings)
    assert not torch.equal(detour(film, (7, 7))[0], direct(film, (7, 7))[0])
    assert torch.equal(detour(film, (7, 7), "squash")[0], direct(film, (7, 7), "squash")[0])


def test_loading_in_a_pipe_writes_nothing_to_standard_error():
    code = "import matex; matex.load('tiny')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
