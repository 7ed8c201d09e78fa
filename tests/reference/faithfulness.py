"""ROAD's fill, infidelity, sensitivity and ROAR+ once more: dense, with loops, and through transformers itself."""

import copy

import numpy as np
import torch


def fill(image, missing):
    """ROAD: one equation per missing pixel, x_i sum(w) = sum(w x_j) over its neighbours, solved as a dense system."""
    channels, height, width = image.shape
    holes = [(y, x) for y in range(height) for x in range(width) if missing[y, x]]
    out = np.array(image, dtype=np.float64)
    for channel in range(channels):
        matrix, right = np.zeros((len(holes), len(holes))), np.zeros(len(holes))
        for row, (y, x) in enumerate(holes):
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if (dy, dx) == (0, 0) or not (0 <= y + dy < height and 0 <= x + dx < width):
                        continue
                    weight = 1 / 12 if dy and dx else 1 / 6
                    matrix[row, row] += weight
                    if missing[y + dy, x + dx]:
                        matrix[row, holes.index((y + dy, x + dx))] -= weight
                    else:
                        right[row] += weight * image[channel, y + dy, x + dx]
        for (y, x), value in zip(holes, np.linalg.solve(matrix, right), strict=True):
            out[channel, y, x] = value
    return out


def infidelity(score, pixels, saliency, masks):
    """Least mean squared error of a multiple of the map's sum under each mask, against the drop of the score."""
    whole = score(pixels)
    drops = [whole - score(pixels * (1 - mask)) for mask in masks]
    sums = [float((saliency * mask).sum()) for mask in masks]
    factor = sum(s * d for s, d in zip(sums, drops, strict=True)) / sum(s * s for s in sums)
    return sum((factor * s - d) ** 2 for s, d in zip(sums, drops, strict=True)) / len(masks)


def contrastive(module, pixels, phrases, chosen, log_scale):
    """CLIP's loss on some pairs through transformers' own forward, one phrase at a time."""
    images = module.get_image_features(pixel_values=pixels[chosen]).pooler_output
    texts = [module.get_text_features(input_ids=torch.tensor([phrases[i]])).pooler_output for i in chosen]
    images, texts = (x / x.norm(dim=-1, keepdim=True) for x in (images, torch.cat(texts)))
    logits = log_scale.exp() * images @ texts.T
    total = 0
    for i in range(len(chosen)):
        total = total - torch.log_softmax(logits[i], 0)[i] - torch.log_softmax(logits[:, i], 0)[i]
    return total / (2 * len(chosen))


def roar_loss(module, train, clean, order, shuffles, share, size, rate):
    """Train on the first part of the order, epoch by epoch in the shuffles' order; loss on the clean rest."""
    module = copy.deepcopy(module).requires_grad_(True)
    log_scale = torch.nn.Parameter(module.logit_scale.detach().clone())
    count = round(share * len(order))
    optimiser = torch.optim.AdamW([*module.parameters(), log_scale], lr=rate)
    for shuffle in shuffles:
        chosen = [order[i] for i in shuffle]
        for batch in np.array_split(chosen, max(1, len(chosen) // size)):
            optimiser.zero_grad()
            contrastive(module, *train, [int(i) for i in batch], log_scale).backward()
            optimiser.step()
    held_out = np.array_split(order[count:], max(1, (len(order) - count) // size))
    with torch.no_grad():
        losses = [len(b) * float(contrastive(module, *clean, [int(i) for i in b], log_scale)) for b in held_out]
    return sum(losses) / (len(order) - count)
