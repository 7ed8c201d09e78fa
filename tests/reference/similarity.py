"""Likeness of two maps, written with loops; rank correlation is SciPy's."""

import math

import numpy as np
from scipy import stats


def snapped(values):
    """Values alike to a millionth of the range are equal."""
    values = np.ravel(values).astype(np.float64)
    return np.round(1e6 * (values - values.min()) / np.ptp(values))


def spearman(a, b):
    return float(stats.spearmanr(snapped(a), snapped(b)).statistic)


def overlap(a, b, share=0.1):
    """Highest tenths; of equal values at the edge each belongs in proportion."""
    a, b = list(snapped(a)), list(snapped(b))
    count = math.ceil(share * len(a))

    def belongs(values):
        edge = sorted(values, reverse=True)[count - 1]
        above = sum(v > edge for v in values)
        return [1.0 if v > edge else (count - above) / values.count(edge) if v == edge else 0.0 for v in values]

    return sum(x * y for x, y in zip(belongs(a), belongs(b), strict=True)) / count


def ssim(a, b):
    """Window by window: weights exp(-d^2 / (2 1.5^2)) on 11 x 11, both maps scaled to [0, 1]."""
    a, b = ((v - v.min()) / (v.max() - v.min()) for v in (np.asarray(m, dtype=np.float64) for m in (a, b)))
    weight = {(i, j): math.exp(-(i * i + j * j) / 4.5) for i in range(-5, 6) for j in range(-5, 6)}
    total = sum(weight.values())
    values = []
    for y in range(5, a.shape[0] - 5):
        for x in range(5, a.shape[1] - 5):
            seen = [(w / total, a[y + i, x + j], b[y + i, x + j]) for (i, j), w in weight.items()]
            ma, mb = sum(w * p for w, p, _ in seen), sum(w * q for w, _, q in seen)
            va = sum(w * (p - ma) ** 2 for w, p, _ in seen)
            vb = sum(w * (q - mb) ** 2 for w, _, q in seen)
            cov = sum(w * (p - ma) * (q - mb) for w, p, q in seen)
            values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return sum(values) / len(values)
