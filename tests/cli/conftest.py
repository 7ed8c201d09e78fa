"""A small checkpoint, an empty folder and the command, for every test of the command line."""

import pytest
import torch
import transformers
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from matex.adapters.openai import tokenizer_from_merges
from matex.cli import run


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
