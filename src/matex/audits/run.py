"""The audit of one explanation: its controls, its checks, and the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from matex.adapters.model import Model
from matex.audit_results import Audit
from matex.audits.checks import (
    check_corners,
    check_map,
    check_prior_share,
    check_random_weights,
    check_score,
    check_seeds,
    check_unrelated,
)
from matex.audits.controls import phrase_controls, random_weight_controls, seed_maps
from matex.audits.deletion import check_deletion
from matex.audits.organ import organ_check
from matex.audits.side import check_side
from matex.checks import count
from matex.errors import InputError, shown
from matex.geometry import Resize
from matex.images import READ_SIDE, read
from matex.pipeline import explain
from matex.progress import stages
from matex.queries import Domain, check_choices
from matex.request_checks import check_phrase, check_request
from matex.sensors.reading import SensorFilm
from matex.yardstick import unrelated_phrase


def audit(
    model: Model,
    image: object,
    text: str,
    method: str = "matex",
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
    view: str | None = None,
    mirrored: bool | None = None,
    unrelated: str | None = None,
    regions: int = 40,
    repeats: int = 5,
    progress: bool = False,
    **parameters: Any,
) -> Audit:
    """Explain, and compare the map with controls: does it reflect the model, or the prior, the film, or nothing?

    Args:
        unrelated: a phrase unrelated to the image; by default a sentence about the weather for medical images.
        regions: how many random regions the highlighted one is compared with.
        repeats: how many seeds, for stochastic methods.
        progress: show a progress bar.
        model, image, text, method, resize, domain, lung_mask, view, mirrored, **parameters: see `matex.explain`.

    Raises:
        InputError: as `matex.explain`, a reading of a sensor, fewer than 10 regions or 2 repeats, or an unrelated
            phrase that is the phrase itself.
        UnknownName: no such method, parameter or view.
        ValueError: a parameter outside its range.

    Examples:
        >>> audit = matex.audit(model, film, phrase, "raw-attention", regions=10)
        >>> audit.checks["unrelated_phrase"].state  # attention alone ignores the phrase
        'fail'
    """
    check_phrase(text)
    check_request(model, text, method)
    count(regions, "regions", 10, 10_000)
    count(repeats, "repeats", 2, 1000)
    if unrelated is not None:
        check_phrase(unrelated)
    if unrelated is not None and unrelated.split() == text.split():
        raise InputError(f"Expected an unrelated phrase other than the phrase itself, got {shown(unrelated)} for both.")
    check_choices(resize, domain, view)
    film = read(image, side=READ_SIDE).known_as(view, mirrored)
    if isinstance(film, SensorFilm):
        raise InputError(f"Expected a film to audit, got {film.modality}. Its checks are of films.")
    explanation = explain(model, film, text, method, resize=resize, domain=domain, lung_mask=lung_mask, **parameters)
    unrelated = unrelated_phrase(domain) if unrelated is None else unrelated
    with tqdm(total=4, desc="controls", disable=not progress) as bar, stages(4) as stage_done:
        controls = phrase_controls(model, explanation, unrelated)
        bar.update()
        stage_done()
        controls |= random_weight_controls(model, explanation)
        bar.update()
        stage_done()
        seeds = check_seeds(seed_maps(model, explanation, repeats))
        bar.update()
        stage_done()
        deletion = check_deletion(model, explanation, regions)
        bar.update()
        stage_done()
    checks = {
        "map": check_map(explanation),
        "prior_share": check_prior_share(explanation, controls),
        "side": check_side(explanation, controls, model.logit_scale),
        "unrelated_phrase": check_unrelated(controls),
        "score": check_score(explanation, controls),
        "random_weights": check_random_weights(controls),
        "seeds": seeds,
        "deletion": deletion,
        **organ_check(explanation),
        "corners": check_corners(explanation),
    }
    return Audit(explanation, checks, controls)
