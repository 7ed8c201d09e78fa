"""A report on one film, explained sentence by sentence over one pass of the image encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matex.adapters.model import Model, check_model
from matex.corpus import explain_batch
from matex.domains import anatomy_of, check_domain
from matex.errors import InputError, shown
from matex.geometry import Resize
from matex.pair_stream import Pair
from matex.phrases import Sentence, claim, polarity, sentences
from matex.phrases.claims import Claim
from matex.queries import Domain
from matex.results import Explanation


@dataclass(frozen=True)
class ReportSentence:
    """One sentence of a report.

    Args:
        text: the sentence.
        claim: what it claims: "positive", "negated", "normal", "uncertain" or "no finding".
        explanation: None for a sentence that is not explained.
        reason: why it is not explained; empty otherwise.
    """

    text: str
    claim: Claim
    explanation: Explanation | None = None
    reason: str = ""


def explain_report(
    model: Model,
    image: object,
    report: str,
    method: str = "matex",
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
    view: str | None = None,
    mirrored: bool | None = None,
    progress: bool = False,
    **parameters: object,
) -> tuple[ReportSentence, ...]:
    """Explain every sentence of a report that describes a finding and that the model can read.

    Args:
        report: plain text, with or without section headings.
        model, image, method, resize, domain, lung_mask, view, mirrored, progress, **parameters: see `matex.explain`.

    Returns:
        All sentences in their order. Those about technique, comparison or devices are not explained, and neither are
        those that are too long for the model.

    Raises:
        InputError: as `matex.explain`; a report without sentences, or none of whose findings the model can read.
        UnknownName: no such method, parameter or view.
        ValueError: a parameter outside its range.
        UnsupportedModel: a model without what the method needs; the message names methods that do work.

    Examples:
        >>> report = "TECHNIQUE: PA film. FINDINGS: Opacity at the left base. No effusion."
        >>> for sentence in matex.explain_report(model, film, report, "grad-eclip"):
        ...     print(sentence.claim, sentence.explanation is not None)
        no finding False
        positive True
        negated True
    """
    check_model(model)
    check_domain(domain)
    listed = tuple(_listed(model, read_sentences(report), domain))
    _check_readable(listed)
    pairs = [Pair(image, sentence.text) for sentence in listed if not sentence.reason]
    explanations = iter(
        explain_batch(
            model,
            pairs,
            method,
            on_error="stop",
            resize=resize,
            domain=domain,
            lung_mask=lung_mask,
            view=view,
            mirrored=mirrored,
            progress=progress,
            **parameters,
        )
    )
    return tuple(
        sentence if sentence.reason else ReportSentence(sentence.text, sentence.claim, next(explanations))
        for sentence in listed
    )


def read_sentences(report: str) -> tuple[Sentence, ...]:
    """The sentences of a report.

    Raises:
        InputError: anything but text, or no sentence.
    """
    if not isinstance(report, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"Expected a report as text, got {shown(report)}. Read the file first.")
    found = sentences(report)
    if not found:
        raise InputError(f"Expected sentences in the report, found none in {shown(report)}. Write it as plain text.")
    return found


def _listed(model: Model, found: tuple[Sentence, ...], domain: Domain) -> Iterator[ReportSentence]:
    """Each sentence with its claim, and the reason where it is not to be explained."""
    anatomy = anatomy_of(domain)
    for sentence in found:
        kind = polarity(sentence.text) if anatomy is None else claim(sentence, anatomy)
        if kind == "no finding":
            yield ReportSentence(sentence.text, kind, reason="it describes no finding")
            continue
        try:
            model.encode(sentence.text)
        except InputError as error:
            yield ReportSentence(sentence.text, kind, reason=str(error))
        else:
            yield ReportSentence(sentence.text, kind)


def _check_readable(listed: tuple[ReportSentence, ...]) -> None:
    """Raises InputError where sentences describe findings and the model can read none of them."""
    findings = [sentence for sentence in listed if sentence.claim != "no finding"]
    if findings and all(sentence.reason for sentence in findings):
        raise InputError(f"Expected a sentence that the model can read, got none. The first: {findings[0].reason}")
