"""A BERT whose embedding is a mean over tokens at several depths, item by item, and methods over its readers.

METHODS 22: every token of the phrase is a reader. Shares no code with the library; float64, on the graph.
"""

import torch

from tests.reference.clip import layer_norm
from tests.reference.methods import minmax


class MeanBert:
    """One phrase without padding through a BERT of transformers' weights; blocks in `taps` are averaged with the last.

    Args:
        weights: state dict of a BertModel.
        head: matrix of the projection, [joint, dim].
    """

    def __init__(self, weights, head, ids, heads, depth, taps):
        self.heads = heads
        self.queries, self.keys, self.values, self.outputs, self.rows = [], [], [], [], []

        def linear(name, x):
            return x @ weights[name + ".weight"].T + weights[name + ".bias"]

        def norm(name, x):
            return layer_norm(x, weights[name + ".weight"], weights[name + ".bias"], 1e-12)

        start = "embeddings."
        x = weights[start + "word_embeddings.weight"][ids]
        x = x + weights[start + "position_embeddings.weight"][: len(ids)]
        x = norm(start + "LayerNorm", x + weights[start + "token_type_embeddings.weight"][0]).requires_grad_()
        pooled = []
        for layer in range(depth):
            here = f"encoder.layer.{layer}."
            q, k, v = (linear(f"{here}attention.self.{name}", x) for name in ("query", "key", "value"))
            size, parts, rows = q.shape[1] // heads, [], []
            for h in range(heads):
                own = slice(h * size, (h + 1) * size)
                weight = torch.softmax(q[:, own] @ k[:, own].T / size**0.5, dim=1)
                rows.append(weight)
                parts.append(weight @ v[:, own])
            output = torch.cat(parts, dim=1)
            for kept, value in zip((self.queries, self.keys, self.values, self.outputs, self.rows),
                                   (q, k, v, output, rows), strict=True):  # fmt: skip
                kept.append(value)
            x = norm(f"{here}attention.output.LayerNorm", linear(f"{here}attention.output.dense", output) + x)
            inner = torch.nn.functional.gelu(linear(f"{here}intermediate.dense", x))
            x = norm(f"{here}output.LayerNorm", linear(f"{here}output.dense", inner) + x)
            if layer in taps or layer == depth - 1:
                pooled.append(sum(x) / len(x))
        self.embedding = head @ (sum(pooled) / len(pooled))

    def score(self, target):
        return self.embedding @ target / self.embedding.norm()


def grad_eclip(bert, score, layers):
    """Sum over readers r of G_r . v_i, times each reader's own similarity weighted with |G_r|; per token."""
    gradients = torch.autograd.grad(score, bert.outputs, retain_graph=True)
    tokens = range(len(bert.outputs[0]))
    total = [0.0 for _ in tokens]
    for layer in range(len(bert.outputs) - layers, len(bert.outputs)):
        lengths = [float(gradients[layer][r].norm()) for r in tokens]
        weight = [0.0 for _ in tokens]
        for r in tokens:
            query = bert.queries[layer][r].detach()
            cosines = [float(torch.cosine_similarity(query, bert.keys[layer][i].detach(), dim=0)) for i in tokens]
            for i, scaled in enumerate(minmax(cosines)):
                weight[i] += lengths[r] / sum(lengths) * scaled
        for i in tokens:
            value = bert.values[layer][i].detach()
            total[i] += weight[i] * sum(float(gradients[layer][r] @ value) for r in tokens)
    return [max(value, 0.0) for value in total]


def mean_attention(bert, layer):
    """The mean over readers and heads of the attention to each token."""
    heads, tokens = [a.detach() for a in bert.rows[layer]], range(len(bert.outputs[0]))
    return [sum(float(a[r, i]) for a in heads for r in tokens) / len(heads) / len(tokens) for i in tokens]


def rollout(bert, residual=0.5):
    """The product of the blocks from below, and the mean over readers of its rows."""
    size = len(bert.outputs[0])
    product = torch.eye(size, dtype=torch.float64)
    for heads in bert.rows:
        mixed = (1 - residual) * sum(a.detach() for a in heads) / len(heads)
        product = (mixed + residual * torch.eye(size, dtype=torch.float64)) @ product
    return [float(sum(product[r, i] for r in range(size)) / size) for i in range(size)]
