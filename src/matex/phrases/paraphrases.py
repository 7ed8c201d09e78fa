"""Other wordings of a phrase that say the same: the phrase inside a longer sentence."""

from __future__ import annotations

FRAMES = ("there is {}", "{} is seen", "the film shows {}", "findings: {}", "on this film, {}")
"""Sentences around a phrase; they hold for a finding and for its denial alike."""


def paraphrases(text: str) -> tuple[str, ...]:
    """The phrase in every frame; its words stay as they are, but for a capital that begins a sentence.

    Examples:
        >>> from matex.phrases.paraphrases import paraphrases
        >>> paraphrases("Nodule in the left lung.")[1]
        'nodule in the left lung is seen'
    """
    inner = within_sentence(text.strip().removesuffix("."))
    return tuple(frame.replace("{}", inner) for frame in FRAMES)


def within_sentence(text: str) -> str:
    """The phrase as it stands inside a sentence: without its first capital, unless an abbreviation begins it.

    A tokenizer that knows upper and lower case would read "rUL" as another word than "RUL".

    Examples:
        >>> from matex.phrases.paraphrases import within_sentence
        >>> within_sentence("Opacity in the RUL"), within_sentence("RUL opacity")
        ('opacity in the RUL', 'RUL opacity')
    """
    word = text.partition(" ")[0]
    return text if any(letter.isupper() for letter in word[1:]) else text[:1].lower() + text[1:]
