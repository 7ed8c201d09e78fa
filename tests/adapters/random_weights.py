"""Small networks with random weights for the adapters of medical models, and where transformers keeps the same ones."""

import torch
import transformers

from matex.adapters.bert import BertConfig
from matex.adapters.swin import SwinConfig
from matex.images import Film

BERT = BertConfig(
    vocab_size=37,
    hidden_size=24,
    num_hidden_layers=5,
    num_attention_heads=3,
    intermediate_size=28,
    max_position_embeddings=13,
)
SWIN = SwinConfig(image_size=56, patch_size=4, embed_dim=8, depths=(2, 3), num_heads=(2, 4), window_size=3)
# What transformers 5 renamed in SwinModel; published files hold the names on the right.
RENAMED = (
    ("attention.q_proj", "attention.self.query"),
    ("attention.k_proj", "attention.self.key"),
    ("attention.v_proj", "attention.self.value"),
    ("attention.relative_position_bias.relative_position_bias_table", "attention.self.relative_position_bias_table"),
    ("attention.o_proj", "attention.output.dense"),
    ("mlp.fc1", "intermediate.dense"),
    ("mlp.fc2", "output.dense"),
)
WORDS = (
    *("opacity", "in", "the", "left", "right", "lower", "upper", "lung", "no", "nodule", "effusion", "small"),
    *("pleural", "of", ".", ",", "##s", "##al"),
)
IDS = torch.tensor([[2, 11, 7, 30, 9, 3], [2, 8, 21, 3, 0, 0]])
VALID = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]).bool()


def randomise(module, seed=0):
    """Weights far enough from zero that attention, norms and biases all matter; in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value)
            around = 1.0 if value.dim() == 1 and name.endswith("weight") else 0.0
            value.copy_(noise.abs() + 0.5 if name.endswith("running_var") else around + 0.3 * noise)
    return module.eval().double()


def transformers_bert(seed=0, **options):
    config = transformers.BertConfig(**vars(BERT), attn_implementation="eager", **options)
    return randomise(transformers.BertModel(config), seed)


def transformers_swin(seed=0, config=SWIN):
    sizes = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(config).items()}
    return randomise(transformers.SwinModel(transformers.SwinConfig(**sizes)), seed)


def published_swin(module):
    """The state dict of transformers' SwinModel under the names of published files."""
    names = {}
    for name, value in module.state_dict().items():
        for new, old in RENAMED if ".blocks." in name else ():
            name = name.replace(new, old)
        names[name] = value
    return names


def prefixed(prefix, tensors):
    return {prefix + name: value for name, value in tensors.items()}


def pixels(height, width, items=2, seed=5):
    return torch.randn(items, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def film(values):
    return Film(values, "film.png", "0" * 64)


def write_vocabulary(folder, size=BERT.vocab_size):
    """A vocab.txt of a small BERT, filled up to `size` word pieces."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    pieces += [f"[unused{number}]" for number in range(size - len(pieces))]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return folder
