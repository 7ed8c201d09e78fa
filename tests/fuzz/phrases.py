"""Phrases and reports: random words of the field, unicode, punctuation, great length."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from matex.phrases import claim, parse, polarity, sentences
from matex.phrases.sections import sections
from tests.fuzz.hostile import text
from tests.fuzz.runner import Case, Wrong, generator

NAME = "phrases"
MUTATED = (
    "words of the field in random order, unicode, punctuation, headings, up to 200,000 characters; sides exchanged"
)
WORDS = [
    "left",
    "right",
    "bilateral",
    "both",
    "upper",
    "lower",
    "mid",
    "basal",
    "apical",
    "lung",
    "lungs",
    "lobe",
    "zone",
    "base",
    "apex",
    "hilum",
    "costophrenic",
    "angle",
    "effusion",
    "opacity",
    "nodule",
    "pneumothorax",
    "atelectasis",
    "consolidation",
    "cardiomegaly",
    "heart",
    "mediastinum",
    "diaphragm",
    "rib",
    "no",
    "without",
    "not",
    "resolved",
    "increased",
    "possible",
    "likely",
    "small",
    "large",
    "new",
    "stable",
    "and",
    "or",
    "but",
    "with",
    "in",
    "the",
    "of",
    "is",
    "are",
    "than",
    "normal",
    "clear",
    "enlarged",
    "perihilar",
    "pleural",
    ",",
    ".",
    ";",
    ":",
    "-",
    "(",
    ")",
    "/",
    "2",
    "cm",
    "FINDINGS:",
    "IMPRESSION:",
    "COMPARISON:",
    "tube",
]
ONE_SIDED = "middle lobe"  # without a side it is the right one, also in a phrase whose sides are exchanged
CHARACTERS = ("\n", "\t", "\r\n", "­", "​", "‏", "ﬁ", "İ", "ß", "́", "①", "½", "—", "’", "\x00")


def phrase(rng: random.Random, length: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(length))


def exchanged(phrase: str) -> str:
    return " ".join({"left": "right", "right": "left"}.get(word, word) for word in phrase.split(" "))


def cases(seed: int, count: int) -> Iterator[Case]:
    for index in range(count):
        rng = generator(NAME, seed, index)
        kind = rng.choice(("words", "words", "words", "report", "characters", "long"))
        content = phrase(rng, rng.randrange(1, 14))
        if kind == "report":
            content = "\n".join(phrase(rng, rng.randrange(12)) for _ in range(rng.randrange(20)))
        elif kind == "characters":
            parts = [rng.choice((rng.choice(WORDS), rng.choice(CHARACTERS), text(rng)[:200])) for _ in range(12)]
            content = "".join(parts)
        elif kind == "long" and index % 10 == 0:
            content = phrase(rng, 50) * rng.choice((20, 200)) if rng.random() < 0.5 else rng.choice(WORDS) * 20_000

        def run(_: Path, kind=kind, content=content) -> str:
            start = time.process_time()
            mentions = parse(content)
            claim(content), polarity(content)
            for part in sections(content):
                part.name
            for sentence in sentences(content):
                claim(sentence)
                if sentence.text not in content and " ".join(sentence.text.split()) not in " ".join(content.split()):
                    raise Wrong(f"a sentence that is not in the report: {sentence.text!r}"[:300])
            for mention in mentions:
                if mention.side not in (None, "left", "right") and not isinstance(mention.side, str):
                    raise Wrong(f"side {mention.side!r}")
                if not 0 <= mention.start < mention.end <= len(content):
                    raise Wrong(f"span {mention.start} to {mention.end} of {len(content)} characters")
            if (seconds := time.process_time() - start) > 1e-3 * max(len(content), 1000):
                raise Wrong(f"{seconds:.1f} s for {len(content)} characters")
            if kind != "words":
                return "read"
            flip = {"left": "right", "right": "left"}
            sided = [mention for mention in mentions if mention.region != ONE_SIDED]
            here = [(m.region, flip.get(m.side or "", m.side), m.weight, m.negated) for m in sided]
            other = [mention for mention in parse(exchanged(content)) if mention.region != ONE_SIDED]
            there = [(m.region, m.side, m.weight, m.negated) for m in other]
            if sorted(map(repr, here)) != sorted(map(repr, there)):  # "both" names them in a fixed order
                raise Wrong(f"sides are not mirrored: {content!r}: {here} against {there}")
            return "read, sides mirrored"

        yield Case(f"{NAME} --seed {seed} {index}: {kind} {content[:80]!r}", run)
