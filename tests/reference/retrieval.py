"""Recall of phrases and images for each other, query by query, from METHODS 17.6."""

import itertools

import torch


def left(ids, scores, percent, insertion):
    """Token ids when the highest-scored percent of the words are gone, or are the only ones there."""
    words = len(scores)
    count = (2 * percent * words + 100) // 200  # nearest whole number, halves up
    first = sorted(range(words), key=lambda i: (-scores[i], i))[:count]
    stays = [i for i in range(words) if (i in first) == insertion]
    return [ids[0], *[ids[1 + i] for i in stays], ids[-1]]


def chance(scores, right, k):
    """Share of all orders of equal candidates in which a right one is among the first k; by counting orders."""
    levels = sorted(set(scores), reverse=True)
    groups = [[i for i, score in enumerate(scores) if score == level] for level in levels]
    hits = orders = 0
    for arranged in itertools.product(*[list(itertools.permutations(group)) for group in groups]):
        ranking = [i for group in arranged for i in group]
        hits += any(i in right for i in ranking[:k])
        orders += 1
    return hits / orders


def recalls(images, texts, owner, k):
    """(phrases finding their image, images finding one of their phrases); lists of unit vectors, owner of each text."""
    found = [
        chance([round(float(text @ image), 12) for image in images], {owner[t]}, k) for t, text in enumerate(texts)
    ]
    back = [
        chance([round(float(image @ text), 12) for text in texts], {t for t, o in enumerate(owner) if o == i}, k)
        for i, image in enumerate(images)
    ]
    return float(torch.tensor(found).mean()), float(torch.tensor(back).mean())
