"""One pair as the twins want it, shared by the tests of this folder."""

import torch

from tests.conftest import EOS
from tests.reference import clip


class Subject:
    """Pixels [channel, height, width], token ids up to the end token, and the slow towers' embeddings."""

    def __init__(self, module, pixels, token_ids):
        self.module = module
        self.ids = token_ids.tolist()[: token_ids.tolist().index(EOS) + 1]
        self.pixels = pixels
        self.image = clip.image(module, pixels).embedding.detach()
        self.text = clip.text(module, self.ids).embedding.detach()
        self.inputs = (pixels[None], torch.tensor([self.ids]))
        self.words = list(range(1, len(self.ids) - 1))


def exact(actual, expected, atol=1e-8):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=0, atol=atol)
