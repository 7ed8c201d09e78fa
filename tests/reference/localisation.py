"""Overlap, pointing and energy pixel by pixel, from METHODS 17.4 and 17.8; maps as lists of rows, NaN = not seen."""

import math


def inside(box, x, y):
    x0, y0, x1, y1 = box
    return x0 <= x + 0.5 < x1 and y0 <= y + 0.5 < y1


def truth(boxes, height, width):
    return [[any(inside(box, x, y) for box in boxes) for x in range(width)] for y in range(height)]


def pixels(values):
    """(y, x, value) of what is seen."""
    return [(y, x, float(v)) for y, row in enumerate(values) for x, v in enumerate(row) if not math.isnan(v)]


def percentile(numbers, percent):
    ordered = sorted(numbers)
    place = percent / 100 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def iou(values, mask, threshold, by):
    seen = pixels(values)
    numbers = [v for _, _, v in seen]
    low, high = min(numbers), max(numbers)
    level = percentile(numbers, threshold) if by == "percentile" else None
    both = either = 0
    for y, x, v in seen:
        above = v > level if level is not None else (v - low) / (high - low) > threshold / 100
        both += above and mask[y][x]
        either += above or mask[y][x]
    return 100 * both / either


def pointing(values, mask, within):
    seen = pixels(values)
    visible = {(y, x) for y, x, _ in seen if mask[y][x]}
    best = max(v for _, _, v in seen)
    tops = [(y, x) for y, x, v in seen if v == best]
    hits = [any((y - a) ** 2 + (x - b) ** 2 <= within**2 for a, b in visible) for y, x in tops]
    return sum(hits) / len(hits)


def energy(values, mask, among=None):
    part = whole = 0.0
    for y, x, v in pixels(values):
        if among is not None and not (mask[y][x] or among[y][x]):
            continue
        whole += max(v, 0)
        part += max(v, 0) if mask[y][x] else 0
    return part / whole if whole > 0 else math.nan


def outside(values, mask):
    area = [(y, x) for y, row in enumerate(mask) for x, there in enumerate(row) if there]
    return sum(math.isnan(values[y][x]) for y, x in area) / len(area) if area else math.nan


def mean(values, mask):
    inside_values = [v for y, x, v in pixels(values) if mask[y][x]]
    return sum(inside_values) / len(inside_values)
