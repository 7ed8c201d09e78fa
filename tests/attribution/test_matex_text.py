"""MATEX on words: the emphasis of words that name a place, and mentions as eq. 5 prints them."""

import numpy as np

import matex
from matex.samples import samples

FILM = samples()[0]
ALONE = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0, "delta": 1.0, "gradient_layers": 1}


def test_words_that_name_a_place_are_multiplied_by_the_strength(tiny):
    text = "opacity in the left lower lung"
    plain, raised = (
        np.array([score for _, score in matex.explain(tiny, FILM.path, text, **ALONE, text_emphasis=one).words])
        for one in ("none", "lexicon")
    )
    np.testing.assert_allclose(raised, plain * [1, 1, 1, 2.5, 2.5, 2.5], rtol=1e-5)


def test_batches_of_phrases_have_their_own_words(tiny):
    texts = ["opacity in the left lower lung", "effusion", "nodule at the right apex"]
    batch = matex.explain_batch(tiny, [(FILM.path, text) for text in texts], text_emphasis="lexicon")
    for text, one in zip(texts, batch, strict=True):
        alone = matex.explain(tiny, FILM.path, text, text_emphasis="lexicon")
        np.testing.assert_allclose([s for _, s in one.words], [s for _, s in alone.words], atol=1e-5)


def test_printed_mentions_keep_the_prior_of_what_is_denied(tiny):
    denied, stated = "no opacity in the left base", "opacity in the left base"
    read = matex.explain(tiny, FILM.path, denied)
    printed = matex.explain(tiny, FILM.path, denied, mentions="printed")
    assert np.ptp(read.prior) == 0
    np.testing.assert_allclose(printed.prior, matex.explain(tiny, FILM.path, stated).prior, atol=1e-6)
