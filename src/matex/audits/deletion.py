"""The check of deletion: does the score depend more on the highlighted region than on others of the same shape?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from matex.adapters.model import Model
from matex.attribution.shared.batching import batches
from matex.audit_results import Check
from matex.audits.limits import below_limit, rule
from matex.audits.regions import displaced, highlighted
from matex.geometry import Placement
from matex.results import Explanation, SaliencyMap
from matex.scores import phrase_scorer

PLATEAU = 0.25  # largest share of the film that is still compared with regions elsewhere
QUESTION = "Does the score depend on the highlighted region?"
RULE = (
    rule("deletion", "share of random regions whose loss lowers the score less", "below")
    + " It also fails when the score does not fall."
)


def check_deletion(model: Model, explanation: Explanation, regions: int) -> Check:
    """Whether the score falls more without the highlighted region than without regions elsewhere.

    Args:
        model: the one that was explained.
        explanation: that is audited.
        regions: how many displaced regions the highlighted one is compared with.
    """
    if explanation.image.degenerate:
        return Check(QUESTION, "skipped", "A constant map highlights nothing.", {}, RULE)
    region = region_to_delete(explanation.image)
    if float(region.double().mean()) > PLATEAU:
        why = "The map is at its maximum over so much of the film that there is no comparable region elsewhere."
        return Check(QUESTION, "skipped", why, {}, RULE)
    pixels, placement = model.prepare(explanation.film, explanation.query.resize)
    painted = paint_over(pixels, placement, [region, *displaced(region, regions)])
    scores = _scores(model, explanation.token_ids, torch.cat([pixels, painted]))
    return judge_drops(scores[0] - scores[1:])


def judge_drops(drops: Tensor) -> Check:
    """The check from how far the score falls.

    Args:
        drops: [1 + regions], float64; the first without the highlighted region, the others without one elsewhere.
    """
    drop, others = float(drops[0]), drops[1:]
    quantile = float((others < drop).double().mean() + (others == drop).double().mean() / 2)
    values: dict[str, float | str | None] = {
        "drop": drop,
        "random_drop_median": float(others.median()),
        "random_drop_largest": float(others.max()),
        "quantile": quantile,
        "regions": float(len(others)),
    }
    if drop <= 0:
        answer = f"Painting over the highlighted region does not lower the score (drop {drop:.3f})."
        return Check(QUESTION, "fail", answer, values, RULE)
    answer = (
        f"Painting over the highlighted region lowers the score by {drop:.3f}, more than painting over "
        f"{100 * quantile:.0f} % of {len(others)} regions of the same shape elsewhere."
    )
    return Check(QUESTION, below_limit(quantile, "deletion"), answer, values, RULE)


def region_to_delete(image: SaliencyMap) -> Tensor:
    """The highlighted region as bool [height, width], without the padding around the film."""
    share = highlighted(image)[_film_window(image.placement)]
    clear = share > 0.5
    return clear if bool(clear.any()) else share > 0  # one plateau is the highest value of all


def paint_over(pixels: Tensor, placement: Placement, regions: list[Tensor]) -> Tensor:
    """The film once for each region, the region in the film's mean colour; padding stays as it is.

    Args:
        pixels: [1, channel, height, width].
        placement: of the film in them.
        regions: bool [film height, film width] in model pixels.

    Returns:
        [region, channel, height, width].
    """
    window = (..., *_film_window(placement))
    masks = torch.stack(regions)[:, None].to(pixels.device)
    painted = pixels.repeat(len(masks), 1, 1, 1)
    painted[window] = torch.where(masks, pixels[window].mean(dim=(2, 3), keepdim=True), pixels[window])
    return painted


def _film_window(placement: Placement) -> tuple[slice, slice]:
    """Rows and columns of the model's pixels that show the film, without padding."""
    x, y = placement.fractions()
    rows, columns = (np.flatnonzero((z >= 0) & (z <= 1)) for z in (y, x))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _scores(model: Model, token_ids: tuple[int, ...], pixels: Tensor) -> Tensor:
    """Score of each image with the phrase, float64 [image]."""
    with torch.inference_mode(False), torch.no_grad():
        score = phrase_scorer(model, token_ids)
        parts = batches(lambda a, b: score(pixels[a:b]), len(pixels), 32)
        return torch.cat(list(parts)).double()
