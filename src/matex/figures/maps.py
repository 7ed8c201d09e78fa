"""Explanations of the cases of a figure."""

from __future__ import annotations

from matex.benchmark.choices import MethodChoice
from matex.figures.kind import Case, Material
from matex.pipeline import explain
from matex.results import Explanation


def explain_case(material: Material, case: Case, method: MethodChoice, text: str | None = None) -> Explanation:
    """The explanation of one film by one method.

    Args:
        material: model and resize.
        case: film and phrase.
        method: with its parameters and the score that it explains.
        text: another phrase about the film.
    """
    return explain(
        material.model,
        case.film,
        case.text if text is None else text,
        method=method.name,
        resize=material.resize,
        domain=material.domain,
        **method.score,
        **method.parameters,
    )
