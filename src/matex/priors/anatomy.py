"""The parser's names where scripts import them from; it lives in matex.phrases."""

from matex.phrases import Claim, Mention, Polarity, Sentence, Side, claim, parse, polarity, sentences

__all__ = ["Claim", "Mention", "Polarity", "Sentence", "Side", "claim", "parse", "polarity", "sentences"]
