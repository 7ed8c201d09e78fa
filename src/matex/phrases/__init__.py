"""Reading phrases and reports: regions, sides and assertion status of a phrase; sentences and what they claim."""

from matex.phrases.claims import Claim, Polarity, claim, polarity
from matex.phrases.mention import Mention, Side
from matex.phrases.parser import parse
from matex.phrases.sentence import Sentence, sentences

__all__ = ["Claim", "Mention", "Polarity", "Sentence", "Side", "claim", "parse", "polarity", "sentences"]
