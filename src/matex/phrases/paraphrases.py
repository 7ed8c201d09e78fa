"""Other wordings of a phrase that say the same: the phrase inside a longer sentence."""

from __future__ import annotations

FRAMES = ("there is {}", "{} is seen", "the film shows {}", "findings: {}", "on this film, {}")
"""Sentences around a phrase; they hold for a finding and for its denial alike."""


def paraphrases(text: str) -> tuple[str, ...]:
    """The phrase in every frame; its words stay as they are.

    Examples:
        >>> from matex.phrases.paraphrases import paraphrases
        >>> paraphrases("Nodule in the left lung.")[1]
        'nodule in the left lung is seen'
    """
    stripped = text.strip().rstrip(".")
    lowered = stripped[:1].lower() + stripped[1:]
    return tuple(frame.replace("{}", lowered) for frame in FRAMES)
