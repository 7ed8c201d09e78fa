"""ImageBind: trunks against a slow twin and against recorded outputs of the authors' modules; its checkpoint file."""

import hashlib
import math

import pytest
import torch

import matex
from matex.adapters.encoder import single_row as take
from matex.adapters.imagebind import MASK, adapt, load_state
from matex.adapters.imagebind_network import MODALITIES, SMALL, Attention, ImageBind, config_of
from matex.adapters.openai import tokenizer_from_merges
from matex.errors import InputError
from tests.reference.imagebind import Twin
from tests.test_adapters import write_merges

START, END = SMALL.text.vocabulary - 2, SMALL.text.vocabulary - 1


def planted(shapes):
    """Weights by a formula, so that the same ones can be given to the authors' modules."""
    weights = {}
    for number, (name, shape) in enumerate(sorted(shapes.items())):
        place = torch.arange(math.prod(shape), dtype=torch.float64)
        values = 0.3 * torch.sin(1.7 * place + 0.01 * place**1.5 + number)
        if "norm" in name and name.endswith("weight"):
            values += 1
        weights[name] = (values + 1.2 if name.endswith("logit_scale") else values).reshape(shape)
    return weights


def inputs_of(modality, items=2):
    """Inputs by a formula, [item, ...]."""
    size = config_of(SMALL, modality)
    if modality == "text":
        return torch.tensor([[START, 3, 14, 15, 9, END, 0, 0, 0, 0, 0], [START, 5, 35, END, 0, 0, 0, 0, 0, 0, 0]])
    place = torch.arange(items * math.prod(size.shape), dtype=torch.float64)
    return torch.cos(0.37 * place + 0.003 * place**1.3).reshape(items, *size.shape)


@pytest.fixture(scope="module")
def network():
    network = ImageBind(SMALL).double().eval().requires_grad_(False)
    network.load_state_dict(planted({name: tuple(value.shape) for name, value in network.state_dict().items()}))
    return network


def twin_of(network, modality):
    return Twin(network.state_dict(), modality, config_of(SMALL, modality).trunk.heads)


def tokens_of(twin, value):
    if twin.modality == "vision":
        return twin.image_tokens(value)
    if twin.modality == "imu":
        return twin.imu_tokens(value, SMALL.imu.kernel)
    if twin.modality == "text":
        ids = value.tolist()
        return twin.text_tokens(ids[: ids.index(END) + 1])
    return twin.patch_tokens(value, config_of(SMALL, twin.modality).stride)


# What the authors' modules (imagebind-packaged 0.1.2, float64) return for the same weights and inputs: the first two
# numbers of the first item and the last of the second.
RECORDED = {
    "vision": (-0.19455560807257893, 0.4161785373187577, -0.039097792139094874),
    "text": (-0.7348074830628318, 0.5949457771453988, -0.5086020954415542),
    "audio": (-0.9436916256805639, 0.845772370662434, -0.8161722749047374),
    "depth": (-0.46723478199126306, -0.7590581706673977, -0.031207131198027555),
    "thermal": (-0.8091174486464887, 0.30051112488944376, 0.7977001952097524),
    "imu": (-1.0720925303262967, -2.005741042040949, 0.05600817299935411),
}


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", MODALITIES)
def test_embeddings_are_those_of_the_authors_modules(network, modality):
    out = network({modality: inputs_of(modality)})[modality]
    found = torch.stack((out[0, 0], out[0, 1], out[1, -1]))
    torch.testing.assert_close(found, torch.tensor(RECORDED[modality], dtype=torch.float64), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("modality", MODALITIES)
def test_stem_blocks_and_head_equal_the_slow_twin(network, modality):
    inputs = inputs_of(modality)
    hidden = network.tokens(modality, inputs)
    readout = network.readout(modality, inputs)
    out = network({modality: inputs})[modality]
    for item, value in enumerate(inputs):
        twin = twin_of(network, modality)
        tokens = tokens_of(twin, value)
        torch.testing.assert_close(out[item], twin.published(tokens, int(readout[item])), rtol=0, atol=1e-10)
        x = hidden[item : item + 1]
        for layer, block in enumerate(network.blocks(modality)):
            count = len(twin.inputs[layer])  # the twin reads no padding
            torch.testing.assert_close(x[0, :count], twin.inputs[layer], rtol=0, atol=1e-10)
            seen = block.attend(block.norm(x))
            torch.testing.assert_close(seen.output[0, :count], twin.outputs[layer], rtol=0, atol=1e-10)
            if modality != "text":
                key, value = seen.key.transpose(1, 2).flatten(2), seen.value.transpose(1, 2).flatten(2)
                torch.testing.assert_close(key[0], twin.keys[layer], rtol=0, atol=1e-10)
                torch.testing.assert_close(value[0], twin.values[layer], rtol=0, atol=1e-10)
            x = block.after_attention(x, seen.output)


@pytest.mark.parametrize("modality", MODALITIES)
def test_gradients_at_the_attention_output_equal_the_twins(network, modality):
    inputs = inputs_of(modality)[:1]
    row = int(network.readout(modality, inputs)[0])
    direction = torch.sin(torch.arange(SMALL.joint, dtype=torch.float64))
    hidden, outputs = network.tokens(modality, inputs), []
    for block in network.blocks(modality):
        outputs.append(block.attend(block.norm(hidden)).output.requires_grad_())
        hidden = block.after_attention(hidden, outputs[-1])
    unit = torch.nn.functional.normalize(network.project(modality, hidden[:, row]), dim=-1)[0]
    ours = torch.autograd.grad(unit @ direction * network.scale(modality), outputs)
    twin = twin_of(network, modality)
    tokens = tokens_of(twin, inputs[0]).requires_grad_()
    theirs = torch.autograd.grad(twin.published(tokens, row) @ direction, twin.outputs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a[0, : len(b)], b, rtol=0, atol=1e-9)
    assert float(theirs[0].abs().max()) > 1e-4


@pytest.mark.parametrize("modality", MODALITIES)
def test_one_row_of_a_block_equals_that_row_of_the_whole(network, modality):
    inputs = inputs_of(modality)
    hidden, block = network.tokens(modality, inputs), network.blocks(modality)[1]
    rows = torch.tensor([2, 4])
    whole, one = block.attend(block.norm(hidden)), block.attend(block.norm(hidden), rows)
    torch.testing.assert_close(one.output, take(whole.output, rows))
    after = block.after_attention(take(hidden, rows), one.output)
    torch.testing.assert_close(after, take(block(hidden), rows))


@pytest.mark.parametrize("modality", ["audio", "depth", "thermal", "imu"])
def test_the_learned_key_comes_last_and_takes_its_part_of_the_softmax(network, modality):
    block = network.blocks(modality)[0]
    hidden = network.tokens(modality, inputs_of(modality))
    seen = block.attend(block.norm(hidden))
    assert seen.key.shape[2] == seen.value.shape[2] == hidden.shape[1] + 1
    last = seen.key[0, :, -1].flatten()
    torch.testing.assert_close(last, block.attn.bias_k[0, 0])
    without = Attention.output(seen.query, seen.key[:, :, :-1], seen.value[:, :, :-1])
    assert float((without - seen.output).abs().max()) > 1e-3
    logits = seen.query @ seen.key.transpose(-1, -2) / seen.query.shape[-1] ** 0.5
    assert float(logits.softmax(-1)[..., :-1].sum(-1).max()) < 1


def test_clips_of_a_recording_are_averaged_after_scaling(network):
    clips = inputs_of("audio", 6).unflatten(0, (2, 3))
    each = torch.stack([network.embed("audio", clips[:, number]) for number in range(3)])
    expected = each.mean(dim=0) * network.scale("audio")
    torch.testing.assert_close(network({"audio": clips})["audio"], expected)


def test_a_text_reads_nothing_behind_its_end(network):
    ids = inputs_of("text")
    other = ids.clone()
    other[0, 7:] = 40
    torch.testing.assert_close(network.embed("text", other), network.embed("text", ids))
    torch.testing.assert_close(network.embed("text", ids[1:, :4]), network.embed("text", ids)[1:])


def test_a_scale_ends_at_one_hundred(network):
    loud = ImageBind(SMALL, ["text"]).double()
    loud.load_state_dict({name: value for name, value in network.state_dict().items() if ".text." in name})
    with torch.no_grad():
        loud.get_parameter("modality_postprocessors.text.1.log_logit_scale").fill_(9.0)
    assert loud.scale("text") == 100
    torch.testing.assert_close(loud({"text": inputs_of("text")})["text"].norm(dim=-1), torch.full((2,), 100.0).double())


@pytest.mark.parametrize(
    ("modality", "inputs", "match"),
    [
        ("sound", torch.zeros(1, 1, 18, 33), "Expected a modality that this model has .*'sound'"),
        ("audio", torch.zeros(1, 1, 33, 18), r"shape \(batch, 1, 18, 33\), got \(1, 1, 33, 18\)"),
        ("vision", torch.zeros(1, 1, 35, 35), r"shape \(batch, 3, 35, 35\)"),
        ("text", torch.zeros(1, 12, dtype=torch.long), "at most 11 tokens"),
        ("text", torch.zeros(1, 5), "token ids"),
        ("text", torch.ones(1, 5, dtype=torch.long), r"end token \(id 98\)"),
    ],
)
def test_inputs_that_the_trunk_was_not_made_for_are_refused(network, modality, inputs, match):
    with pytest.raises(InputError, match=match):
        network.embed(modality, inputs)


@pytest.mark.slow
def test_names_and_sizes_are_those_of_the_published_checkpoint():
    """Against the authors' imagebind_huge(), built on the meta device: a checksum over its names and shapes."""
    with torch.device("meta"):
        network = ImageBind()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()} | {MASK: (77, 77)}
    lines = "\n".join(f"{name} {shape}" for name, shape in sorted(shapes.items()))
    assert len(shapes) == 1311
    assert (
        hashlib.sha256(lines.encode()).hexdigest() == "edd4279c93955bf1a0146a13b395ad7b08cff81b22de0ae820fca22cf8f20177"
    )
    counts = {
        modality: sum(value.numel() for name, value in network.named_parameters() if name.split(".")[1] == modality)
        for modality in MODALITIES
    }
    assert counts == {
        "vision": 632829440,
        "text": 354032641,
        "audio": 86235648,
        "depth": 21871872,
        "thermal": 86211072,
        "imu": 19600384,
    }


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def weights(network):
    """As the published file has them: float32, with the causal mask."""
    side = SMALL.text.context
    mask = torch.full((side, side), -torch.inf).triu(1)
    return {name: value.float() for name, value in network.state_dict().items()} | {MASK: mask}


def saved(tmp_path, content):
    torch.save(content, tmp_path / "imagebind.pth")
    return tmp_path / "imagebind.pth"


def refused(path, match, kind=matex.CheckpointError, **options):
    with pytest.raises(kind, match=match) as caught:
        load_state(path, config=SMALL, **options)
    assert "\n" not in str(caught.value)


def test_a_state_dict_loads_whole(tmp_path, weights, network):
    for content in (weights, {"state_dict": {f"module.{name}": value for name, value in weights.items()}}):
        loaded = load_state(saved(tmp_path, content), config=SMALL)
        assert loaded.network.modalities == MODALITIES
        assert (loaded.absent, loaded.notes) == ((), ())
        assert not any(value.requires_grad for value in loaded.network.parameters())
        for modality in MODALITIES:
            expected = network.embed(modality, inputs_of(modality)).float()
            inputs = inputs_of(modality)
            found = loaded.network.embed(modality, inputs if modality == "text" else inputs.float())
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_file_with_some_modalities_loads_these_and_says_so(tmp_path, weights):
    part = {name: value for name, value in weights.items() if name.split(".")[1] in ("vision", "audio")}
    loaded = load_state(saved(tmp_path, part), config=SMALL)
    assert loaded.network.modalities == ("vision", "audio")
    assert loaded.absent == ("text", "depth", "thermal", "imu")
    assert loaded.notes == ("The checkpoint holds vision, audio; it has no weights for text, depth, thermal, imu.",)
    assert load_state(saved(tmp_path, part), ["audio"], config=SMALL).network.modalities == ("audio",)
    refused(saved(tmp_path, part), "Expected weights of text in .* got a file with vision, audio", modalities=["text"])
    refused(saved(tmp_path, part), "Expected modalities among", InputError, modalities=["sound"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_embeds_as_float32_does(tmp_path, weights, network, dtype):
    loaded = load_state(saved(tmp_path, weights), dtype=dtype, config=SMALL)
    for modality in MODALITIES:
        found = loaded.network.embed(modality, inputs_of(modality))
        assert found.dtype == dtype
        expected = network.embed(modality, inputs_of(modality))
        assert float(torch.nn.functional.cosine_similarity(found.double(), expected).min()) > 0.99
    half = {name: value.to(dtype) for name, value in weights.items()}
    assert load_state(saved(tmp_path, half), config=SMALL).network.dtype("audio") == torch.float32


def without(weights, name):
    del weights[name]


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda w: without(w, "modality_trunks.audio.blocks.1.attn.bias_k"), "1 missing .*audio.blocks.1.attn.bias_k"),
        (lambda w: w.update({"modality_trunks.audio.blocks.9.norm_1.bias": torch.ones(30)}), "1 unexpected"),
        (lambda w: w.update({"modality_trunks.smell.blocks.0.norm_1.bias": torch.ones(30)}), "ImageBind .*unexpected"),
        (lambda w: w.update({"logit_scale": torch.ones(())}), r"1 unexpected \(logit_scale\)"),
        (lambda w: w.update({"modality_heads.imu.3.weight": torch.ones(20, 31)}), r"\(20, 31\) where \(20, 32\)"),
        (lambda w: w["modality_heads.imu.3.weight"].fill_(torch.nan), "NaN in 'modality_heads.imu.3.weight'"),
        (lambda w: w.update({MASK: torch.zeros(11, 11)}), "causal mask"),
    ],
)
def test_damaged_state_dicts_are_refused(tmp_path, weights, damage, match):
    weights = {name: value.clone() for name, value in weights.items()}
    damage(weights)
    refused(saved(tmp_path, weights), match)


def test_other_files_are_refused(tmp_path):
    refused(saved(tmp_path, {"visual.conv1.weight": torch.ones(3)}), "ImageBind state dict .*'visual.conv1.weight'")
    refused(saved(tmp_path, {"epoch": 3}), "dictionary of tensors")
    refused(tmp_path / "absent.pth", "found none")


# --- the model -------------------------------------------------------------------------------------------------------


def test_another_tokenizer_than_clips_is_refused(network, tmp_path):
    tokenizer = tokenizer_from_merges(write_merges(tmp_path / "merges.gz"))
    with pytest.raises(matex.CheckpointError, match="CLIP's tokenizer, which puts a phrase between the ids 97 and 98"):
        adapt(network, "small", tokenizer=tokenizer)


def test_a_file_of_one_modality_is_refused():
    with pytest.raises(matex.CheckpointError, match=r"at least two modalities in 'small', got imu"):
        adapt(ImageBind(SMALL, ["imu"]), "small")
    assert adapt(ImageBind(SMALL, ["audio", "imu"]), "small").sides == ("audio", "imu")


def test_a_file_loads_by_its_prefix_and_options_of_others_are_refused(tmp_path, weights, monkeypatch):
    monkeypatch.setattr("matex.adapters.imagebind.HUGE", SMALL)
    path = saved(tmp_path, weights)
    monkeypatch.setattr("matex.adapters.imagebind.find_clip_tokenizer", lambda options, folder: None)
    model = matex.load(f"imagebind:{path}", dtype="bfloat16")
    assert (model.name, tuple(model.encoders), model.sides) == (
        f"imagebind:{path}",
        ("image", "text", "audio", "depth", "thermal", "imu"),
        ("image", "text"),
    )
    assert model.dtype == torch.bfloat16
    assert model.record["licence"] == "CC BY-NC-SA 4.0"
    with pytest.raises(InputError, match="no preset with imagebind: files"):
        matex.load(f"imagebind:{path}", preset="clip")
