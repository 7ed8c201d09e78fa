"""MATEX eq. 3-5 and the Gaussian of its section 3.1, written again with loops and scalars."""

import math


def clamp(value, low, high):
    return low if value < low else high if value > high else value


def ramp_product(z, low, high):
    """Eq. 3 (x) and eq. 4 (y) for one coordinate."""
    return clamp((z - low) / (high - low), 0.0, 1.0) * clamp((high - z) / (high - low), 0.0, 1.0)


def bell(z, low, high):
    centre, half = (low + high) / 2, (high - low) / 2
    return math.exp(-((z - centre) ** 2) / (2 * (half / 2) ** 2))


def mirror(box):
    return [1 - box[2], box[1], 1 - box[0], box[3]]


def normalized(xs, ys, layers, weights, joined=sum):
    """Eq. 5 before lambda_s: min-max of the sum over regions, times the largest weight.

    Args:
        xs, ys: sample points, fractions of the image.
        layers: of each region, weight(x, y).
        weights: of each region's mention.
        joined: how regions are joined.

    Returns:
        A list of rows, or None where the printed formula is 0/0.
    """
    raw = []
    for y in ys:
        row = []
        for x in xs:
            terms = [weight * layer(x, y) for layer, weight in zip(layers, weights, strict=True)]
            inside = 0 <= x <= 1 and 0 <= y <= 1
            row.append(joined(terms) if inside else 0.0)
        raw.append(row)
    low = min(min(row) for row in raw)
    high = max(max(row) for row in raw)
    if high == low:
        return None
    return [[(value - low) / (high - low) * max(weights) for value in row] for row in raw]


def on_box(box, profile):
    """The weight of a box whose axes have this profile, as a function of the point."""
    return lambda x, y: profile(x, box[0], box[2]) * profile(y, box[1], box[3])


def normalized_sum(xs, ys, boxes, weights, profile=ramp_product, joined=sum):
    """`normalized` over boxes."""
    return normalized(xs, ys, [on_box(box, profile) for box in boxes], weights, joined)


def window_share(mask, x, y, half):
    """Share of lung among the pixels that a window around a point touches; 0 where it touches none."""
    height, width = len(mask), len(mask[0])
    values = []
    for row in range(height):
        for column in range(width):
            across = (column + 1) / width > x - half + 1e-9 and column / width < x + half - 1e-9
            down = (row + 1) / height > y - half + 1e-9 and row / height < y + half - 1e-9
            if across and down:
                values.append(mask[row][column])
    return sum(values) / len(values) if values else 0.0
