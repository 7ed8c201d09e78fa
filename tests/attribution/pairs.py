"""One image and phrase as the slow twin sees them, and the comparison of a method with its twin on them."""

from dataclasses import dataclass

import torch

import matex
from tests.conftest import BOS, EOS
from tests.reference import clip


class Numbers:
    """A tokenizer that reads numbers."""

    all_special_ids = (BOS, EOS)

    def __call__(self, text, return_offsets_mapping=True):
        ids = [BOS, *map(int, text.split()), EOS]
        return {"input_ids": ids, "offset_mapping": [(0, 0)] * len(ids)}


@dataclass
class Pair:
    module: torch.nn.Module
    model: matex.Model
    inputs: tuple  # pixels [1, ...], token ids [1, token]
    image: clip.Tower
    text: clip.Tower
    score: torch.Tensor
    patches: range
    words: range
    tokens: range  # words and special tokens

    def check(self, name, image=None, text=None, tolerance=1e-8, **parameters):
        """Raw output of the library against lists of numbers from the twins, `text` for the words or for all tokens."""
        if image is not None:
            grid = matex.attribute(self.model, *self.inputs, method=name, **parameters)
            assert grid.shape == (5, 5)
            exact(grid.flatten(), image, tolerance)
        if text is not None:
            tokens = matex.attribute(self.model, *self.inputs, method=name, tower="text", **parameters)
            assert tokens.shape == self.inputs[1].shape[1:]
            exact(tokens if len(text) == len(tokens) else tokens[1:-1], text, tolerance)


def exact(actual, expected, tolerance=1e-8):
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=tolerance)
    largest = actual.abs().max()  # all zero is what a ReLU may leave
    assert largest == 0 or largest > 100 * tolerance, "too small to compare"


def make_pair(module, model, pixels, token_ids, which):
    ids = token_ids[which].tolist()
    ids = ids[: ids.index(EOS) + 1]
    image, text = clip.image(module, pixels[which]), clip.text(module, ids)
    score = clip.cosine(image.embedding, text.embedding)
    inputs = (pixels[which : which + 1], torch.tensor([ids]))
    return Pair(module, model, inputs, image, text, score, range(1, 26), range(1, len(ids) - 1), range(len(ids)))
