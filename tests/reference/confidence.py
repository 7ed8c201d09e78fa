"""Confidence drop and increase for one image or one phrase, from METHODS 17.1 and 17.2, through the slow towers."""

import math

import torch

from tests.reference import clip
from tests.reference.maps import enlarge, scaled


def measures(before, after):
    """(drop x100, drop in percent of the score, increase in percent)."""
    lost = max(0.0, before - after)
    return 100 * lost, (100 * lost / before if before > 0 else float("nan")), (100.0 if after > before else 0.0)


def image(module, pixels, ids, grid, remove):
    """pixels [channel, height, width]; the three measures and the mass of the mask."""
    target = clip.text(module, ids).embedding.detach()
    mask = scaled(enlarge(grid, pixels.shape[1], pixels.shape[2]))
    changed = pixels.clone()
    for y in range(pixels.shape[1]):
        for x in range(pixels.shape[2]):
            changed[:, y, x] *= 1 - mask[y, x] if remove else mask[y, x]
    before, after = (
        float(clip.cosine(clip.image(module, some).embedding.detach(), target)) for some in (pixels, changed)
    )
    return (*measures(before, after), mask.mean())


def kept_words(scores, fraction):
    """Positions of the ceil(fraction n) highest scores; of equal ones the earlier."""
    count = math.ceil(fraction * len(scores) - 1e-9)
    return sorted(sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count])


def text(module, pixels, ids, scores, fraction, filler):
    """filler: id put in place of a removed token, None to take it out; the three measures."""
    kept = kept_words(scores, fraction)
    left = [ids[0]]
    for position, token in enumerate(ids[1:-1]):
        if position in kept:
            left.append(token)
        elif filler is not None:
            left.append(filler)
    left.append(ids[-1])
    target = clip.image(module, pixels).embedding.detach()
    before, after = (float(clip.cosine(clip.text(module, some).embedding.detach(), target)) for some in (ids, left))
    return measures(before, after)


def text_by_the_script(module, pixels, ids, scores):
    """What M2IB's eval.py computes, with transformers' own model: no begin, no end, zeros for removed ids."""
    ordered = sorted(scores)
    middle = (len(ordered) - 1) / 2
    below = math.floor(middle)
    median = ordered[below] + (middle - below) * (ordered[math.ceil(middle)] - ordered[below])
    inner = torch.tensor([ids[1:-1]])
    stays = torch.tensor([[int(score > median) for score in scores]])
    target = clip.image(module, pixels).embedding.detach()
    before, after = (
        float(clip.cosine(module.text_projection(module.text_model(some).pooler_output)[0].detach(), target))
        for some in (inner, inner * stays)
    )
    return measures(before, after)
