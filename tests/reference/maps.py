"""Maps pixel by pixel: bilinear enlargement of a grid, scaling by its extremes."""

import math

import numpy as np


def enlarge(grid, height, width):
    """[height, width]; cell values at cell centres, constant from the outermost centres to the border."""
    rows, columns = len(grid), len(grid[0])
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * rows / height - 0.5, 0), rows - 1)
            x = min(max((j + 0.5) * columns / width - 0.5, 0), columns - 1)
            y0, x0 = math.floor(y), math.floor(x)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            dy, dx = y - y0, x - x0
            upper = (1 - dx) * float(grid[y0][x0]) + dx * float(grid[y0][x1])
            lower = (1 - dx) * float(grid[y1][x0]) + dx * float(grid[y1][x1])
            out[i, j] = (1 - dy) * upper + dy * lower
    return out


def scaled(values):
    low = min(v for row in values for v in row)
    high = max(v for row in values for v in row)
    return np.array([[(v - low) / (high - low) for v in row] for row in values])
