"""Keys of a method in a configuration that choose another explained score than that of the sample's phrase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from matex.attribution import make
from matex.benchmark.config_key import ConfigKey
from matex.errors import InputError, UnsupportedModel
from matex.explained_score import ScoreArguments, check_score
from matex.metrics import METRICS
from matex.protocols import require_objective

SCORE = ("against", "labels", "of", "pool")
"""Arguments of `matex.explain` that choose the explained score."""


def read_score(
    at: ConfigKey, method: str, parameters: Mapping[str, object], entry: Mapping[str, object]
) -> ScoreArguments:
    """The arguments of `matex.explain` that an entry gives for its score; none for the phrase's own score.

    Args:
        at: key of the entry, for messages.
        method: its name.
        parameters: of the method.
        entry: of the TOML file.

    Raises:
        InputError: a value that `matex.explain` refuses, or a method that cannot explain such a score.
    """
    given = {name: entry[name] for name in SCORE if entry.get(name) is not None}
    if not given:
        return {}
    score = cast(ScoreArguments, given)  # of these types once `check_score` has let them pass
    try:
        _, classes = check_score(**score)
        require_objective(method, make(method, parameters))
    except (ValueError, UnsupportedModel) as error:
        raise InputError(f"{at.source}: {at.key}: {error}") from None
    if classes is not None and not isinstance(given["labels"], str):
        score["labels"] = {name: list(prompts) for name, prompts in classes.items()}
    return score


def check_metrics(source: str, scores: Mapping[str, Mapping[str, object]], metrics: Mapping[str, str]) -> None:
    """Refuse metrics that measure the score of the sample's phrase where a method explains another score.

    Args:
        source: name of the file, for messages.
        scores: arguments of `matex.explain` for the score by the label of the method.
        metrics: names by label.

    Raises:
        InputError: such a metric; or no method that explains the phrase's own score, on which controls rest.
    """
    others = [label for label, score in scores.items() if score]
    if not others:
        return
    if len(others) == len(scores):
        raise InputError(
            f"{source}: expected methods to include one that explains the phrase's own score, which the controls are "
            f"about, got {', '.join(SCORE)} with all of them. Add one without."
        )
    fit = [name for name, kind in METRICS.items() if getattr(kind, "finished_maps", False)]
    unfit = [label for label, name in metrics.items() if name not in fit]
    if unfit:
        raise InputError(
            f"{source}: expected metrics of places alone ({', '.join(fit)}), since {others[0]!r} explains another "
            f"score, got {unfit[0]!r}, which measures that of the sample's phrase. Leave it out."
        )
