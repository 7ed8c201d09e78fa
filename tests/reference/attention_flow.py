"""METHODS 13 by augmenting paths over float capacities, on a graph of plain dictionaries."""

from collections import deque

import torch


def maximum_flow(capacity, source, sink):
    """Edmonds-Karp; capacity: node -> {node: float}, changed on the way."""
    total = 0.0
    while True:
        came, queue = {source: None}, deque([source])
        while queue and sink not in came:
            node = queue.popleft()
            for other, left in capacity[node].items():
                if left > 1e-13 and other not in came:
                    came[other] = node
                    queue.append(other)
        if sink not in came:
            return total
        path, node = [], sink
        while came[node] is not None:
            path.append((came[node], node))
            node = came[node]
        room = min(capacity[a][b] for a, b in path)
        for a, b in path:
            capacity[a][b] -= room
            capacity[b][a] = capacity[b].get(a, 0.0) + room
        total += room


def attention_flow(tower, tokens):
    depth, count = len(tower.probabilities), len(tower.inputs[0])
    found = []
    for token in tokens:
        capacity = {(level, i): {} for level in range(depth + 1) for i in range(count)}
        for level, heads in enumerate(tower.probabilities):
            mean = sum(a.detach() for a in heads) / len(heads)
            mixed = mean + torch.eye(count, dtype=torch.float64)
            mixed = mixed / mixed.sum(-1, keepdim=True)
            for i in range(count):
                for j in range(count):
                    if mixed[i, j] > 0:
                        capacity[level + 1, i][level, j] = float(mixed[i, j])
        found.append(maximum_flow(capacity, (depth, tower.readout), (0, token)))
    return found
