"""A BERT whose embedding is a mean over tokens at several depths, item by item, and methods over its readers.

METHODS 22: every token of the phrase is a reader. Shares no code with the library; float64, on the graph.
"""

import math

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
        self.weights, self.head, self.heads, self.depth, self.taps = weights, head, heads, depth, taps
        self.queries, self.keys, self.values, self.outputs, self.rows = [], [], [], [], []
        start = "embeddings."
        x = weights[start + "word_embeddings.weight"][ids]
        x = x + weights[start + "position_embeddings.weight"][: len(ids)]
        x = x + weights[start + "token_type_embeddings.weight"][0]
        self.states = [self._norm(start + "LayerNorm", x).requires_grad_()]  # input of each block, then the last output
        for layer in range(depth):
            self.states.append(self._block(layer, self.states[-1], record=True))
        self.embedding = self._embed(self.states[1:])

    def score(self, target):
        return self.embedding @ target / self.embedding.norm()

    def behind(self, layer, z):
        """Embedding where `z` stands for the output of block `layer`, in a tap as in the stream."""
        tokens = self.tokens_behind(layer, z)
        return sum(tokens) / len(tokens)

    def tokens_behind(self, layer, z):
        """Tokens in the joint space where `z` stands for the output of block `layer`, [token, joint]."""
        outputs = [state.detach() for state in self.states[1 : layer + 1]] + [z]
        for number in range(layer + 1, self.depth):
            outputs.append(self._block(number, outputs[-1]))
        return self._tokens(outputs)

    def _embed(self, outputs):
        tokens = self._tokens(outputs)
        return sum(tokens) / len(tokens)

    def _tokens(self, outputs):
        read = [x for number, x in enumerate(outputs) if number in self.taps or number == self.depth - 1]
        return (sum(read) / len(read)) @ self.head.T

    def _linear(self, name, x):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, name, x):
        return layer_norm(x, self.weights[name + ".weight"], self.weights[name + ".bias"], 1e-12)

    def _block(self, layer, x, record=False):
        here = f"encoder.layer.{layer}."
        q, k, v = (self._linear(f"{here}attention.self.{name}", x) for name in ("query", "key", "value"))
        size, parts, rows = q.shape[1] // self.heads, [], []
        for h in range(self.heads):
            own = slice(h * size, (h + 1) * size)
            rows.append(torch.softmax(q[:, own] @ k[:, own].T / size**0.5, dim=1))
            parts.append(rows[-1] @ v[:, own])
        output = torch.cat(parts, dim=1)
        if record:
            for some, value in zip((self.queries, self.keys, self.values, self.outputs, self.rows),
                                   (q, k, v, output, rows), strict=True):  # fmt: skip
                some.append(value)
        x = self._norm(f"{here}attention.output.LayerNorm", self._linear(f"{here}attention.output.dense", output) + x)
        inner = torch.nn.functional.gelu(self._linear(f"{here}intermediate.dense", x))
        return self._norm(f"{here}output.LayerNorm", self._linear(f"{here}output.dense", inner) + x)


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


def matex_terms(bert, score, tokens, layers, temperature):
    """Gradient, flow and consistency times gradient of eq. 1, 2 and 6, before their weights, per token in `tokens`."""
    gradients = torch.autograd.grad(score, bert.outputs, retain_graph=True)
    rows, size = range(len(bert.outputs[0])), bert.outputs[0].shape[1] // bert.heads
    gradient = [0.0 for _ in tokens]
    for layer in range(max(0, bert.depth - layers), bert.depth):
        for number, i in enumerate(tokens):
            total = 0.0
            for h in range(bert.heads):
                own = slice(h * size, (h + 1) * size)
                for r in rows:
                    part = float(gradients[layer][r, own] @ bert.values[layer][i, own].detach())
                    total += float(bert.rows[layer][h][r, i].detach()) * part
            gradient[number] += max(total, 0.0)
    gradient = minmax(gradient)
    attended = [[mean_attention(bert, layer)[i] for i in tokens] for layer in range(bert.depth)]
    powers = [math.exp(temperature * layer) for layer in range(bert.depth)]
    flow = minmax([sum(p * row[n] for p, row in zip(powers, attended, strict=True)) for n in range(len(tokens))])
    stable = []
    for n in range(len(tokens)):
        mean = sum(row[n] for row in attended) / bert.depth
        stable.append(1 / (1 + (sum((row[n] - mean) ** 2 for row in attended) / bert.depth) ** 0.5))
    return {"gradient": gradient, "flow": flow, "consistency": [c * g for c, g in zip(stable, gradient, strict=True)]}


def chefer(bert, score, scale, first):
    """R <- R + Abar R from block `first` on, with gradients at the attention itself; the mean over the readers."""
    size = len(bert.outputs[0])
    relevance = torch.eye(size, dtype=torch.float64)
    for layer in range(first, bert.depth):
        slopes = torch.autograd.grad(scale * score, bert.rows[layer], retain_graph=True)
        mean = sum(torch.clamp(g * a.detach(), min=0) for g, a in zip(slopes, bert.rows[layer], strict=True))
        relevance = relevance + (mean / len(slopes)) @ relevance
    return [float(sum(relevance[r, i] for r in range(size)) / size) for i in range(size)]
