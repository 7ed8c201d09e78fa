"""Evidence about word scores: roles of the words, paraphrases, and random weights of the text tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from matex.adapters.encoder import staged
from matex.adapters.model import WORD
from matex.adapters.randomise import Scheme, randomised
from matex.checks import check, check_seed
from matex.domains import anatomy_of
from matex.metrics.embedding import model_of
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need
from matex.metrics.reexplain import WordScores, explain_words, rank_correlation
from matex.phrases.anatomy import CHEST
from matex.phrases.paraphrases import paraphrases
from matex.phrases.specialised import vocabulary_of
from matex.phrases.word_roles import Role, word_roles
from matex.yardstick import is_readable


def word_scores(case: Case) -> tuple[float, ...] | None:
    """Scores of the words of a case's phrase; None where the text map is undefined."""
    return None if case.token_scores is None else tuple(score for _, score in case.explanation.words)


@METRICS("word-roles")
@dataclass(frozen=True)
class WordRoles:
    """Word scores by role: words that name the finding, words that name the place, filler.

    `finding_share`, `place_share` and `filler_share` are shares of the positive scores; `named_auc` is the chance that
    a word that names a finding or a place scores higher than a filler word, ties counted half. NaN where the phrase has
    no words of that role, or no positive score.

    Source:
        Rationales with a ground truth from the grammar: the parser's lexicon says what each word names. ours.
    """

    needs: ClassVar[tuple[Need, ...]] = ("text",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {
        "named_auc": "higher",
        "finding_share": "higher",
        "place_share": "higher",
        "filler_share": "lower",
    }
    source: ClassVar[str] = "matex"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        columns = {name: np.full(len(cases), np.nan) for name in self.better}
        for number, case in enumerate(cases):
            scores, roles = word_scores(case), roles_of(case.explanation.text, case.explanation.query.domain)
            if scores is None or len(scores) != len(roles):
                continue
            total = sum(max(score, 0.0) for score in scores)
            for role in ("finding", "place", "filler"):
                own = [score for score, its in zip(scores, roles, strict=True) if its == role]
                if own and total > 0:
                    columns[f"{role}_share"][number] = sum(max(score, 0.0) for score in own) / total
            named = [score for score, role in zip(scores, roles, strict=True) if role != "filler"]
            filler = [score for score, role in zip(scores, roles, strict=True) if role == "filler"]
            columns["named_auc"][number] = above(named, filler)
        return columns


@METRICS("vocabulary")
@dataclass(frozen=True)
class VocabularyScores:
    """Whether words of specialists are scored otherwise than common ones.

    `specialised_share` is the share of the positive scores that words of specialists get, `specialised_words` their
    share of the words, which an even explanation gives them; `specialised_auc` the chance that one scores higher than a
    common word, ties counted half. NaN for phrases with words of one kind alone, or without a positive score.

    Source:
        Discussion of CA-M2IB, which names the difference and measures none; the lists of words are ours
        (`phrases.specialised`).
    """

    needs: ClassVar[tuple[Need, ...]] = ("text",)
    dataset_level: ClassVar[bool] = False
    better: ClassVar[Mapping[str, Direction]] = {
        "specialised_share": "neither",
        "specialised_words": "neither",
        "specialised_auc": "neither",
    }
    source: ClassVar[str] = "CA-M2IB section 5"

    def __call__(self, cases: Sequence[Case]) -> Columns:
        columns = {name: np.full(len(cases), np.nan) for name in self.better}
        for number, case in enumerate(cases):
            if case.token_scores is None:
                continue
            groups: dict[str, list[float]] = {"specialised": [], "common": []}
            for word, score in case.explanation.words:
                groups[vocabulary_of(word)].append(score)
            special, common = groups["specialised"], groups["common"]
            if not special or not common:
                continue
            columns["specialised_words"][number] = len(special) / (len(special) + len(common))
            columns["specialised_auc"][number] = above(special, common)
            positive = [sum(max(score, 0.0) for score in some) for some in (special, common)]
            if sum(positive) > 0:
                columns["specialised_share"][number] = positive[0] / sum(positive)
        return columns


def roles_of(text: str, domain: str = "chest") -> tuple[Role, ...]:
    """Roles of the words that `Explanation.words` holds, in the words of a domain."""
    return word_roles(text, [match.span() for match in WORD.finditer(text)], anatomy_of(domain) or CHEST)


def above(first: Sequence[float], second: Sequence[float]) -> float:
    """Chance that an entry of the first exceeds one of the second, ties counted half; NaN where one is empty.

    Examples:
        >>> above([2, 1], [1, 0])
        0.875
    """
    if not first or not second:
        return float("nan")
    return float(np.mean([[1.0 if a > b else 0.5 if a == b else 0.0 for b in second] for a in first]))


@METRICS("word-stability")
@dataclass(frozen=True)
class WordStability:
    """Rank correlation of the words' scores in the phrase and in the phrase within other sentences.

    `word_stability` is the mean over the frames of `phrases.paraphrases`; `frame_share` is the mean share of the
    absolute scores that falls on the frame's own words, which say nothing about the film. NaN for phrases of fewer than
    three words and for constant scores.

    Args:
        batch_size: pairs explained at once.

    Source:
        ours.
    """

    batch_size: int = 16

    needs: ClassVar[tuple[Need, ...]] = ("text",)
    dataset_level: ClassVar[bool] = False
    explains_again: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {"word_stability": "higher", "frame_share": "lower"}
    source: ClassVar[str] = "matex"

    def __post_init__(self) -> None:
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        columns = {name: np.full(len(cases), np.nan) for name in self.better}
        if not cases:
            return columns
        model = model_of(cases)
        jobs = [
            (number, phrase)
            for number, case in enumerate(cases)
            if word_scores(case) is not None
            for phrase in paraphrases(case.explanation.text)
            if is_readable(model, phrase)
        ]
        found = explain_words(model, [cases[n] for n, _ in jobs], [p for _, p in jobs], self.batch_size) if jobs else []
        alike: dict[int, list[tuple[float, float]]] = {}
        for (number, phrase), scores in zip(jobs, found, strict=True):
            alike.setdefault(number, []).append(within_frame(cases[number], phrase, scores))
        for number, pairs in alike.items():
            for name, values in zip(self.better, zip(*pairs, strict=True), strict=True):
                columns[name][number] = float(np.mean(values))
        return columns


def within_frame(case: Case, phrase: str, scores: WordScores) -> tuple[float, float]:
    """Rank correlation of a phrase's words with the same words in a frame, and the frame's share of absolute scores."""
    own = [score for _, score in case.explanation.words]
    total = sum(abs(score) for _, score in scores)
    inner = paraphrase_words(case.explanation.text, phrase, scores)
    if len(inner) != len(own) or not np.isfinite(total):
        return float("nan"), float("nan")
    share = 1 - sum(abs(score) for score in inner) / total if total else float("nan")
    return rank_correlation(own, inner), share


def paraphrase_words(text: str, phrase: str, scores: WordScores) -> list[float]:
    """Scores of the words of a text within a frame, a closing full stop of the text left out of both."""
    inner = text.strip().rstrip(".").lower()
    start = phrase.lower().index(inner)
    spans = [match.span() for match in WORD.finditer(phrase)]
    inside = [start <= a and b <= start + len(inner) for a, b in spans]
    return [score for (_, score), its in zip(scores, inside, strict=True) if its]


@METRICS("text-randomisation")
@dataclass(frozen=True)
class TextRandomisation:
    """Rank correlation of the word scores with those of a text tower with randomised weights, from the output back.

    `cascade/<stage>` randomises a stage together with those nearer to the output; `words` is that of the whole text
    tower. High values mean that the scores do not depend on what the text tower learned. NaN as in `word-stability`.

    Args:
        seed: of the random weights.
        scheme: see `randomisation`.
        batch_size: pairs explained at once.

    Source:
        "Sanity Checks for Saliency Maps", arXiv:1810.03292, on the text tower.
    """

    seed: int = 0
    scheme: Scheme = "normal"
    batch_size: int = 16

    needs: ClassVar[tuple[Need, ...]] = ("text",)
    dataset_level: ClassVar[bool] = False
    explains_again: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = {"words": "lower"}
    source: ClassVar[str] = "arXiv:1810.03292"

    def __post_init__(self) -> None:
        check(self.scheme in ("normal", "permute"), "scheme", "to be one of normal, permute", self.scheme)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        at = [number for number, case in enumerate(cases) if word_scores(case) is not None]
        if not at:
            return {"words": np.full(len(cases), np.nan)}
        model, columns = model_of(cases), dict[str, np.ndarray]()
        some = [cases[number] for number in at]
        texts = [case.explanation.text for case in some]
        names = list(staged(model.text).stages())
        values = np.full(len(cases), np.nan)
        for number, stage in enumerate(names):
            stages = [f"text {name}" for name in names[: number + 1]]
            other = randomised(model, self.seed, stages, self.scheme)
            found = explain_words(other, some, texts, self.batch_size)
            values = np.full(len(cases), np.nan)
            values[at] = [
                rank_correlation([score for _, score in case.explanation.words], [score for _, score in scores])
                if len(scores) == len(case.explanation.words)
                else np.nan
                for case, scores in zip(some, found, strict=True)
            ]
            columns[f"cascade/{stage}"] = values
        return {"words": values.copy(), **columns}
