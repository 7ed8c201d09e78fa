"""What a checkpoint can have wrong: refused at load in one line that names it, or noted where the reader looks."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

import matex
from matex.adapters import bundled
from matex.adapters.checkpoint import fit
from matex.adapters.clip import adapt
from matex.adapters.preprocessing import Preprocessing
from matex.errors import InputError
from matex.images import Film
from matex.samples import samples
from tests.conftest import small_clip
from tests.openai_format import state_dict
from tests.test_adapters import openai_module

TINY = Path(matex.__file__).parent / "adapters" / "tiny"
REFUSALS = (InputError, matex.CheckpointError, matex.UnsupportedModel)


@pytest.fixture
def folder(tmp_path):
    """A copy of the bundled model that a test may damage."""
    return Path(shutil.copytree(TINY, tmp_path / "clip"))


def change(folder, **entries):
    """Write entries into config.json; "vision_config__x" is a key of the section."""
    config = json.loads((folder / "config.json").read_text())
    for key, value in entries.items():
        *sections, name = key.split("__")
        table = config
        for section in sections:
            table = table[section]
        table[name] = value
    (folder / "config.json").write_text(json.dumps(config))


def refused(name, kind=matex.CheckpointError, match="", **options):
    with pytest.raises(kind, match=match or None) as caught:
        matex.load(name, **options)
    assert len(str(caught.value)) < 900
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu", "relu", "gelu_new", "gelu_pytorch_tanh", "silu"])
def test_the_network_equals_transformers_model_bit_by_bit(tmp_path, activation):
    theirs = small_clip(activation=activation).float()
    theirs.save_pretrained(tmp_path)
    ours = matex.load(f"hf:{tmp_path}")
    assert [name for name, _ in ours.module.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    seen = adapt(theirs, "theirs", preprocessing=None, tokenizer=None)
    ids = torch.tensor([[97, 3, 14, 98], [97, 5, 98, 98]])
    for side in (35, 49):  # the model's own size, and one with interpolated positions
        pixels = torch.randn(2, 3, side, side)
        assert torch.equal(matex.score(ours, pixels, ids), matex.score(seen, pixels, ids))
    assert ours.weights_sha256 == seen.weights_sha256


def test_loading_and_explaining_import_neither_transformers_nor_the_hub():
    code = (
        "import sys, matex; from matex.samples import samples; model = matex.load('tiny');"
        "matex.explain(model, samples()[0].path, 'opacity');"
        "print([name for name in ('transformers', 'huggingface_hub', 'torch._dynamo', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


# --- values of weights -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "name",
    [
        "text_model.encoder.layers.1.self_attn.q_proj.weight",
        "vision_model.embeddings.position_embedding.weight",
        "vision_model.embeddings.class_embedding",
        "logit_scale",
    ],
)
def test_weights_that_are_not_finite_are_refused_by_name_in_every_format(folder, tmp_path, name, value):
    weights = load_file(folder / "model.safetensors")
    weights[name] = weights[name].clone()
    weights[name].view(-1)[-1] = value
    told = rf"(NaN|inf) in '{name}' \(1 of "
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(f"hf:{folder}", match=told)
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    refused(f"hf:{folder}", match=told)
    module = openai_module()
    with torch.no_grad():
        module.get_parameter(name).view(-1)[-1] = value
    torch.save(state_dict(module), tmp_path / "clip.pt")
    refused(f"openai:{tmp_path / 'clip.pt'}", match="(NaN|inf) in", preset="clip")
    refused(module, match="finite")


def test_values_beyond_the_precision_that_is_asked_for_are_refused(folder):
    weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
    name = "visual_projection.weight"
    weights[name][0, 0] = 7e4  # float16 ends at 65504
    save_file(weights, folder / "model.safetensors")
    assert matex.load(f"hf:{folder}").dtype == torch.float32
    refused(f"hf:{folder}", match=f"inf in '{name}'.*as float16.*wider dtype", dtype="float16")
    assert matex.load(f"hf:{folder}", dtype="bfloat16").dtype == torch.bfloat16
    (folder / "model.safetensors").unlink()
    torch.save({**weights, name: weights[name].double() * 1e300}, folder / "pytorch_model.bin")
    refused(f"hf:{folder}", match=f"inf in '{name}'")


@pytest.mark.parametrize("scale", [1000.0, -1000.0])
def test_a_temperature_outside_every_number_is_refused(folder, scale):
    weights = load_file(folder / "model.safetensors")
    save_file({**weights, "logit_scale": torch.tensor(scale)}, folder / "model.safetensors")
    refused(f"hf:{folder}", match="logit_scale")


def test_a_buffer_of_a_model_in_memory_is_checked_too():
    module = small_clip()
    module.vision_model.embeddings.register_buffer("offset", torch.tensor([0.0, float("nan")]))
    refused(module, match=r"NaN in 'vision_model.embeddings.offset' \(1 of 2")


def odd_tensors(tensor):
    yield "sparse", tensor.to_sparse()
    yield "int8", tensor.round().to(torch.int8)
    yield "float8_e4m3fn", tensor.to(torch.float8_e4m3fn)
    yield "complex64", tensor.to(torch.complex64)
    yield "larger than what the file holds", tensor[:1, :1].expand(10**6, 10**6)


def test_sparse_quantised_and_unfilled_tensors_are_refused(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    name = "visual_projection.weight"
    for kind, tensor in odd_tensors(weights[name]):
        torch.save({**weights, name: tensor}, folder / "pytorch_model.bin")
        refused(f"hf:{folder}", match=kind if tensor.shape == weights[name].shape else "another shape")


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * (1 << 24))
    refused(f"openai:{tmp_path / 'bomb.pt'}", match="compressed archive", preset="clip")


def test_other_bundled_weights_than_the_recorded_ones_are_refused(folder, monkeypatch):
    weights = load_file(folder / "model.safetensors")
    weights["visual_projection.weight"] = -weights["visual_projection.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copy(bundled.ADAPTERS / "tiny" / "training.json", folder)
    monkeypatch.setattr(bundled, "ADAPTERS", folder.rename(folder.with_name("tiny")).parent)
    refused("tiny", match="Expected the bundled weights with the SHA-256 3b7e15ee5a5e")


# --- numbers of the configuration ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("num_attention_heads", value) for value in (-1, 0, 5, 1.5, None, True, "4", 10**6)),
        *(("num_hidden_layers", value) for value in (-1, 0, 7, 10**6, None, [3])),
        *(("hidden_size", value) for value in (0, 10**12, None, "wide")),
        *(("layer_norm_eps", value) for value in (0, -1e-5, None, float("nan"), float("inf"), 1e308)),
        *(("hidden_act", value) for value in (None, 3, "", "softmax", "x" * 5000)),
        ("intermediate_size", 10**15),
    ],
)
@pytest.mark.parametrize("tower", ["vision_config", "text_config"])
def test_a_number_that_no_tower_can_have_is_refused_by_its_key(folder, tower, key, value):
    change(folder, **{f"{tower}__{key}": value})
    told = refused(f"hf:{folder}", REFUSALS)
    assert f"{tower}.{key}" in told or "blocks of" in told


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("vision_config__patch_size", value) for value in (0, -8, 113, None, 8.0, [8, 8])),
        *(("vision_config__image_size", value) for value in (0, -112, None, [112, 112])),
        ("vision_config__num_channels", 1),
        *(("text_config__eos_token_id", value) for value in (None, -1, 3759, 10**9, [], [None])),
        *(("text_config__vocab_size", value) for value in (0, None, 10**12)),
        *(("text_config__max_position_embeddings", value) for value in (0, 2, None)),
        *(("projection_dim", value) for value in (0, None, 10**12, 1.0)),
        ("vision_config", [1]),
        ("text_config", "small"),
        ("text_config_dict", 3),
    ],
)
def test_a_configuration_that_no_model_can_have_is_refused_by_its_key(folder, key, value):
    change(folder, **{key: value})
    assert key.replace("__", ".") in refused(f"hf:{folder}")


def test_an_image_size_that_patches_do_not_divide_leaves_the_rest_unseen(tmp_path):
    config = small_clip().config
    config.vision_config.image_size = 37  # five patches of 7 and two pixels over
    CLIPModel(config).save_pretrained(tmp_path)
    CLIPImageProcessor(size={"shortest_edge": 37}, crop_size={"height": 37, "width": 37}).save_pretrained(tmp_path)
    model = matex.load(f"hf:{tmp_path}")
    _, placement = model.prepare(matex.read(np.zeros((74, 74), np.uint8)))
    drawn = placement.map_to_original(np.ones((5, 5), np.float32))
    assert np.isfinite(drawn[:70, :70]).all()
    assert np.isnan(drawn[70:]).all()
    assert np.isnan(drawn[:, 70:]).all()


def test_old_files_with_position_numbers_and_doubled_sections_load(folder):
    weights = load_file(folder / "model.safetensors")
    old = {name.replace("text_model.", "text_model.text_model."): tensor for name, tensor in weights.items()}
    save_file({**old, "text_model.embeddings.position_ids": torch.arange(48)[None]}, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    change(folder, text_config_dict=config["text_config"], text_config=None)
    assert matex.load(f"hf:{folder}").weights_sha256 == matex.load("tiny").weights_sha256


# --- what else lies in a folder --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin", "LoRA.safetensors",
     "pytorch_lora_weights.safetensors", "my-qlora.pt"],
)  # fmt: skip
@pytest.mark.parametrize("alone", [False, True])
def test_an_adapter_is_refused_beside_base_weights_and_alone(folder, file, alone):
    if alone:
        for path in folder.iterdir():
            path.unlink()
    (folder / file).write_bytes(b"{}")
    assert file in refused(f"hf:{folder}", match=r"adapter \(LoRA\).*[Mm]erge")


def test_an_adapter_inside_the_weights_is_named_as_such(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    extra = {"vision_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(4, 192)}
    save_file({**weights, **extra}, folder / "model.safetensors")
    refused(f"hf:{folder}", match="1 unexpected .*merge them into the base model first")
    wrapped = {f"base_model.model.{name}": tensor for name, tensor in weights.items()}
    save_file(wrapped, folder / "model.safetensors")
    refused(f"hf:{folder}", match="merge|blocks of")


def test_words_that_contain_lora_are_no_adapters(folder):
    (folder / "exploration.json").write_text("{}")
    assert matex.load(f"hf:{folder}").notes == ()


def test_two_sets_of_weights_are_read_when_they_agree_and_refused_when_not(folder):
    weights = load_file(folder / "model.safetensors")
    torch.save({name: tensor.float() for name, tensor in weights.items()}, folder / "pytorch_model.bin")
    assert matex.load(f"hf:{folder}").notes == ()
    weights["visual_projection.weight"] = weights["visual_projection.weight"] + 1
    torch.save(weights, folder / "pytorch_model.bin")
    refused(f"hf:{folder}", match=r"two that differ: model.safetensors and pytorch_model.bin")


def test_shards_are_read_by_their_index_and_missed_by_name(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[:80], "model-00002-of-00002.safetensors": names[80:]}
    for file, held in parts.items():
        save_file({name: weights[name] for name in held}, folder / file)
    refused(f"hf:{folder}", match="model-00001-of-00002.safetensors without the index")
    index = {"weight_map": {name: file for file, held in parts.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert matex.load(f"hf:{folder}").weights_sha256 == matex.load("tiny").weights_sha256
    (folder / "model-00002-of-00002.safetensors").unlink()
    refused(f"hf:{folder}", match=r"model-00002-of-00002.safetensors' \(1 of 2 missing")
    for content in ({}, {"weight_map": {}}, {"weight_map": {"a": "../clip/config.json"}}, {"weight_map": [1]}):
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))
        refused(f"hf:{folder}", match="the files that model.safetensors.index.json names")


@pytest.mark.parametrize("file", ["tf_model.h5", "flax_model.msgpack"])
def test_weights_of_other_frameworks_alone_are_refused_by_name(folder, file):
    (folder / "model.safetensors").rename(folder / file)
    refused(f"hf:{folder}", match=f"{file} .*alone. Save the model again with PyTorch")


def test_weights_that_are_not_read_are_noted_in_every_explanation(folder):
    shutil.copy(folder / "model.safetensors", folder / "finetuned.safetensors")
    (folder / "optimizer.pt").write_bytes(b"x")  # no weights
    (folder / "run").mkdir()
    (folder / "run" / "adapter_model.safetensors").write_bytes(b"x")
    made = matex.explain(matex.load(f"hf:{folder}"), samples()[0].path, "opacity")
    assert any("also holds finetuned.safetensors, run/adapter_model.safetensors, not read" in n for n in made.notes)


def test_quantised_checkpoints_and_code_of_their_own_are_refused(folder):
    change(folder, quantization_config={"quant_method": "bitsandbytes"})
    refused(f"hf:{folder}", matex.UnsupportedModel, "quantised ones .quantization_config")
    change(folder, quantization_config=None, auto_map={"AutoModel": "modeling.Mine"})
    refused(f"hf:{folder}", matex.UnsupportedModel, "auto_map.*not run")


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
             "tokenizer.json", "model.safetensors.index.json"]
)  # fmt: skip
def test_json_that_is_none_or_too_deep_and_what_is_no_file_are_refused(folder, file):
    if file.endswith("index.json"):
        (folder / "model.safetensors").unlink()
    path = folder / file
    for content in ("[" * 50_000 + "]" * 50_000, '{"a":' * 50_000 + "1" + "}" * 50_000, "{", "[]", "\ud800", ""):
        path.write_text(content, encoding="utf-8", errors="surrogatepass")
        assert file.split(".")[0] in refused(f"hf:{folder}", (matex.CheckpointError, InputError))
    path.unlink()
    os.mkfifo(path)
    refused(f"hf:{folder}", match="regular file .*, got a folder, a pipe or a device")


def test_weights_and_files_that_are_pipes_or_devices_are_refused(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    refused(f"hf:{folder}", match="regular file")
    for name in (folder / "model.safetensors", Path("/dev/zero"), tmp_path):
        refused(f"openai:{name}", match="regular file", preset="clip")


@pytest.mark.parametrize("prefix", ["hf:", "openai:", ""])
@pytest.mark.parametrize("name", ["x" * 3000, "\ud800", "a\0b", "~nobody/x", "a/b/c", "..", "x y", "%00", "-" * 300])
def test_names_that_no_model_can_have_are_refused_in_one_line(prefix, name):
    refused(f"{prefix}{name}", REFUSALS, preset="clip" if prefix == "openai:" else None)


# --- processors ------------------------------------------------------------------------------------------------------


def test_a_processor_of_transformers_5_is_read(folder):
    config = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").rename(folder / "kept.json")
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": config}))
    assert matex.load(f"hf:{folder}").preprocessing == matex.load("tiny").preprocessing
    (folder / "kept.json").rename(folder / "preprocessor_config.json")
    assert matex.load(f"hf:{folder}").preprocessing == matex.load("tiny").preprocessing
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": {**config, "image_std": [1, 1, 1]}}))
    refused(f"hf:{folder}", match="two that differ in image_std")


@pytest.mark.parametrize(
    ("size", "crop"),
    [({"shortest_edge": 64}, 48), ({"shortest_edge": 49}, 48), ({"height": 64, "width": 56}, 48),
     ({"height": 48, "width": 60}, 48), ({"shortest_edge": 41}, 48)],
)  # fmt: skip
@pytest.mark.parametrize("shape", [(60, 91), (200, 90), (48, 48), (301, 300)])
def test_resizing_and_then_cropping_equals_the_checkpoints_own_processor(shape, size, crop):
    values = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    processor = CLIPImageProcessor(size=size, crop_size={"height": crop, "width": crop})
    chosen = Preprocessing.from_processor(processor.to_dict(), (crop, crop))
    ours, placement = chosen(Film(values, "x", "", None, False, ()), (8, 8))
    theirs = processor(Image.fromarray(values), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    drawn = placement.map_to_original(np.ones((6, 6), np.float32))
    inside = np.argwhere(np.isfinite(drawn))
    top, left = placement.points_to_original(np.array([0.0, 0.0]))[::-1]
    np.testing.assert_allclose(inside.min(axis=0), np.maximum([top, left], 0), atol=1)


@pytest.mark.parametrize(
    "entries",
    [
        *({"image_std": value} for value in ([0.25, 0, 0.25], [1e-320] * 3, [float("nan")] * 3, [float("inf")] * 3,
                                              [-0.25] * 3, [1e30] * 3)),
        *({"image_mean": [value] * 3} for value in (float("nan"), float("inf"), 1e300)),
        *({"rescale_factor": value} for value in (0, 1e308, float("nan"), -1, 1e-30, None, "x", 10**400)),
        *({key: 1} for key in ("crop_pct", "do_pad", "do_flip_channel_order")),
        {"size": {"shortest_edge": 10**9}, "do_center_crop": True, "crop_size": 112},
        {"size": {"height": 0, "width": 112}, "do_center_crop": True, "crop_size": 112},
        {"do_resize": False},
    ],
)  # fmt: skip
def test_a_processor_that_makes_no_pixels_is_refused(folder, entries):
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    refused(f"hf:{folder}", InputError, "preprocessor|image processor")


@pytest.mark.parametrize(
    ("absent", "noted"),
    [(["image_mean", "image_std"], "image_mean, image_std"), (["size", "do_center_crop", "crop_size"], "size")],
)
def test_settings_that_a_processor_leaves_out_are_noted(folder, absent, noted):
    path = folder / "preprocessor_config.json"
    config = json.loads(path.read_text())
    assert not any("does not state" in note for note in matex.load(f"hf:{folder}").notes)
    path.write_text(json.dumps({name: value for name, value in config.items() if name not in absent}))
    (note,) = matex.load(f"hf:{folder}").notes
    assert f"does not state {noted}: OpenAI CLIP's own taken" in note
    path.write_text(
        json.dumps({name: value for name, value in config.items() if "image_" not in name} | {"do_normalize": False})
    )
    assert not matex.load(f"hf:{folder}").notes


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_halves_of_characters_in_a_folders_json_are_refused(folder, file):
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "unk_token": "\ud800"}))
    refused(f"hf:{folder}", match=f"Unicode in {file}")


# --- OpenAI's format -------------------------------------------------------------------------------------------------


def openai_file(path, width=128, heads=2, activation="quick_gelu", **weights):
    torch.manual_seed(0)
    shared = {"intermediate_size": 64, "num_hidden_layers": 2, "hidden_act": activation}
    module = CLIPModel(CLIPConfig(
        projection_dim=32,
        vision_config={**shared, "hidden_size": width, "num_attention_heads": heads, "image_size": 32, "patch_size": 8},
        text_config={**shared, "hidden_size": 64, "num_attention_heads": 1, "max_position_embeddings": 16,
                     "vocab_size": 60, "bos_token_id": 58, "eos_token_id": 59, "pad_token_id": 59},
    )).eval()  # fmt: skip
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(4)
    torch.save({**state_dict(module), **weights}, path)
    return module


@pytest.mark.parametrize(("width", "heads"), [(1280, 16), (1408, 16), (352, 4)])
def test_heads_that_the_preset_does_not_know_are_given_or_refused(tmp_path, width, heads):
    path = tmp_path / "clip.pt"
    module = openai_file(path, width, heads, "gelu")
    refused(f"openai:{path}", match=r"number of attention heads.*--heads", preset="clip")
    if width > 1024:
        refused(f"openai:{path}", match=r"Expected the activation.*--activation", preset="clip", heads=(heads, 1))
    model = matex.load(f"openai:{path}", preset="clip", heads=(heads, 1), activation="gelu")
    pixels, ids = torch.randn(1, 3, 32, 32), torch.tensor([[58, 3, 9, 59]])
    with torch.no_grad():
        expected = module(pixel_values=pixels, input_ids=ids)
    torch.testing.assert_close(
        matex.score(model, pixels, ids), expected.image_embeds @ expected.text_embeds.T, atol=2e-6, rtol=0
    )
    assert model.record == {"preset": "clip", "activation": "gelu", "heads": [heads, 1]}


@pytest.mark.parametrize("heads", [(0, 1), (-1, 1), (3,), (1, 2, 3), "21", 2, (2, 1.5), (True, 1), (3, 1), (10**9, 1)])
def test_heads_that_no_tower_can_have_are_refused(tmp_path, heads):
    openai_file(tmp_path / "clip.pt")
    refused(f"openai:{tmp_path / 'clip.pt'}", REFUSALS, "heads", preset="clip", heads=heads)


def test_options_of_one_format_are_refused_with_another():
    for options in ({"heads": (4, 4)}, {"activation": "gelu"}, {"preset": "clip"}):
        for name in (f"hf:{TINY}", small_clip(), "tiny"):
            refused(name, InputError, "Expected", **options)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("visual.positional_embedding", torch.ones(13, 128), "13 positions, which is no square and one"),
        ("visual.positional_embedding", torch.ones(1, 128), "1 positions"),
        ("visual.conv1.weight", torch.ones(128, 3, 8, 4), "patches of 8x4"),
        ("visual.conv1.weight", torch.ones(128, 1, 8, 8), "num_channels"),
        ("transformer.resblocks.999999.ln_1.weight", torch.ones(64), "blocks"),
        (f"transformer.resblocks.{'9' * 5000}.ln_1.weight", torch.ones(64), "blocks"),
        ("transformer.resblocks.0.attn.in_proj_weight", torch.ones(7, 64), "missing"),
        ("positional_embedding", torch.ones(2, 64), "max_position_embeddings"),
        ("ln_final.weight", torch.ones(64, dtype=torch.int8), "quantised"),
    ],
)
def test_shapes_that_do_not_say_how_the_model_is_laid_out_are_refused(tmp_path, name, tensor, message):
    openai_file(tmp_path / "clip.pt", **{name: tensor})
    refused(f"openai:{tmp_path / 'clip.pt'}", match=message, preset="clip")


@pytest.mark.parametrize("outer", [(), ("state_dict",), ("model_state_dict",), ("model",), ("model", "state_dict")])
@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "_orig_mod.module.", "module.module.", "model.clip.", "clip_model.", "net."]
)
def test_wrappers_of_training_frameworks_are_taken_off(tmp_path, outer, prefix):
    weights = state_dict(openai_module())
    content = {prefix + name: tensor for name, tensor in weights.items()}
    for key in reversed(outer):
        content = {key: content, "epoch": 3, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "clip.pt")
    assert matex.load(f"openai:{tmp_path / 'clip.pt'}", preset="clip").image.depth == 2


def test_averaged_weights_and_foreign_prefixes_are_named(tmp_path):
    weights = state_dict(openai_module())
    path = tmp_path / "clip.pt"
    torch.save({"state_dict": weights, "model_ema": weights}, path)
    refused(f"openai:{path}", match="averaged ones .'model_ema'. next to 'state_dict'", preset="clip")
    torch.save({**{f"student.{n}": t for n, t in weights.items()}, "head.weight": torch.ones(2)}, path)
    refused(f"openai:{path}", match="names stand behind 'student.'", preset="clip")


# --- tokenizers ------------------------------------------------------------------------------------------------------


def test_a_tokenizer_of_another_model_is_refused(folder, tmp_path):
    model = matex.load(f"hf:{folder}")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"]["special_tokens"]["<|endoftext|>"]["ids"] = [3756]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    refused(f"hf:{folder}", match="ends phrases with id 3758.*ends them with 3756")
    assert model.encode("opacity").ids[-1] == 3758


def test_a_tokenizer_with_more_ids_than_the_model_is_refused(tmp_path):
    small_clip().float().save_pretrained(tmp_path)
    model = matex.load(f"hf:{tmp_path}", tokenizer=str(TINY))
    with pytest.raises(InputError, match=r"Expected token ids below 99.*another model's"):
        model.encode("opacity")


# --- torch.compile ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
def test_a_compiled_model_is_explained_and_compiled_parts_of_blocks_are_refused(pixels, token_ids):
    expected = matex.attribute(matex.load(small_clip()), pixels[:1], token_ids[:1])
    in_place = small_clip()
    in_place.compile()
    block = small_clip()
    block.vision_model.encoder.layers[1] = torch.compile(block.vision_model.encoder.layers[1])
    for module in (torch.compile(small_clip()), in_place, block):
        assert torch.equal(matex.attribute(matex.load(module), pixels[:1], token_ids[:1]), expected)
    for path in ("vision_model.encoder.layers.1.mlp", "text_model.embeddings", "visual_projection"):
        part = small_clip()
        part.get_submodule(path).compile()
        refused(part, matex.UnsupportedModel, f"torch.compile on '{path}'")
    wrapped = small_clip()
    wrapped.text_model.encoder.layers[0].layer_norm1 = torch.compile(wrapped.text_model.encoder.layers[0].layer_norm1)
    refused(wrapped, matex.UnsupportedModel, "torch.compile on 'text_model.encoder.layers.0.layer_norm1'")


# --- the hub ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Every connection fails; the hub's cache is empty. Returns the attempts."""
    attempts = []

    def refuse(*address, **_):
        attempts.append(address)
        raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return attempts


def test_an_unreachable_hub_is_one_line_after_one_attempt(no_network, capfd, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waited"))
    for options in ({}, {"tokenizer": "somebody/words"}):
        name = f"hf:{TINY}" if options else "hf:somebody/clip"
        told = refused(name, match="reachable hub id, found neither", **options)
        assert "ConnectError" in told
    assert 1 <= len(no_network) <= 4
    assert capfd.readouterr() == ("", "")


def test_only_the_cache_is_read_where_the_hub_is_not_to_be_contacted(no_network):
    refused("hf:somebody/clip", match="the hub was not queried; nothing is cached", cached_only=True)
    assert not no_network


def test_the_offline_variable_is_named(no_network, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = refused(
        "hf:somebody/clip", match="HF_HUB_OFFLINE is set, so the hub was not contacted; nothing is cached"
    )
    assert "Offline" not in message
    assert not no_network


# --- precision -------------------------------------------------------------------------------------------------------


def test_half_precision_on_the_cpu_gives_the_map_of_float32():
    phrase, film = "opacity in the left lower lung", samples()[0].path
    whole, half = (matex.explain(matex.load("tiny", dtype=name), film, phrase) for name in ("float32", "bfloat16"))
    assert np.corrcoef(whole.image.grid.ravel(), half.image.grid.ravel())[0, 1] > 0.995
    assert abs(whole.score - half.score) < 5e-3
    assert half.provenance["model"]["dtype"] == "bfloat16"
    light = matex.load("tiny", dtype="bfloat16")
    assert matex.score(light, torch.randn(1, 3, 112, 112), torch.tensor([light.encode(phrase).ids])).isfinite().all()


def test_weights_are_not_held_twice_while_a_network_is_filled():
    with torch.device("meta"):
        network = torch.nn.Linear(3, 2)
    tensors = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    fit(network, tensors, "small")
    assert tensors == {}
    assert float(network.weight.sum()) == 6
