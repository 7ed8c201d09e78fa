"""Cases made by hand: a small exact model, films of random pixels, maps and token scores as given."""

import hashlib

import numpy as np

from matex.adapters.clip import adapt
from matex.adapters.preprocessing import Preprocessing
from matex.datasets.sample import Sample
from matex.images import Film
from matex.metrics import Case
from matex.results import SaliencyMap, Token
from tests.attribution.pairs import Numbers
from tests.conftest import EOS, small_clip
from tests.fake_explanation import fake

SIDE, PATCH = 35, 7


def small_model(resize="squash", eos=EOS):
    """The model of conftest with preprocessing and a tokenizer that reads numbers; a grid of 5 x 5."""
    preprocessing = Preprocessing((SIDE, SIDE), resize, "bicubic", 1 / 255, (0.4, 0.5, 0.6), (0.3, 0.2, 0.25))
    return adapt(small_clip(eos=eos), "small", preprocessing=preprocessing, tokenizer=Numbers())


def film(seed, height=44, width=52, colour=True):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3) if colour else (height, width))
    return Film(pixels.astype(np.uint8), f"film-{seed}", hashlib.sha256(str(seed).encode()).hexdigest())


def make_case(model, seed=0, grid=None, scores=None, text="3 14 15 9", picture=None, labels=None, **sample):
    """A case of random pixels, a random map and random token scores, unless they are given."""
    random = np.random.default_rng(1000 + seed)
    picture = picture or film(seed)
    grid = random.standard_normal((5, 5)) if grid is None else grid
    scores = random.standard_normal(len(text.split())) if scores is None else scores
    _, placement = model.prepare(picture)
    ids = list(model.encode(text).ids)
    explanation = fake(
        picture,
        text,
        image=SaliencyMap(np.asarray(grid, dtype=np.float32), placement),
        tokens=tuple(Token("word", i, i + 1, float(score)) for i, score in enumerate(scores)),
        provenance={"resize": "model", "token_ids": ids},
    )
    return Case(
        model, Sample(**{"id": f"sample-{seed}", "image": picture, "text": text, **sample}), explanation, labels or {}
    )


def same(first, second, tolerance=1e-9):
    """Two mappings of columns are equal, NaN for NaN."""
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=0, atol=tolerance, err_msg=name)


def loop(metric, cases):
    """The metric on one case at a time."""
    parts = [metric([case]) for case in cases]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
