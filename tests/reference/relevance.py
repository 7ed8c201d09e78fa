"""Relevance propagated layer by layer from weights and activations, with explicit shares and no automatic gradient.

Reads a tower of tests/reference/clip.py. `AttnLrp` and `CheferLrp` have one method for each kind of layer.
"""

import torch

from tests.reference.clip import Parts


class AttnLrp:
    """arXiv:2402.05602: epsilon rule with epsilon 0, half to each factor, first-order softmax."""

    def start(self, embedding, target):
        return embedding * target / torch.sqrt(embedding @ embedding)

    def linear(self, x, weight, bias, relevance):
        z = x @ weight.T if bias is None else x @ weight.T + bias
        return x * ((relevance / z) @ weight)

    def norm(self, x, weight, bias, eps, relevance):
        dim = x.shape[-1]
        deviation = torch.sqrt(((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True) + eps)
        out = (x - x.mean(-1, keepdim=True)) / deviation * weight + bias
        mixed = torch.eye(dim, dtype=x.dtype) - 1 / dim
        found = torch.zeros_like(x)
        for n in range(len(x)):
            for i in range(dim):  # each output of the norm to the inputs that made it
                found[n] += mixed[i] * x[n] * weight[i] / deviation[n] / out[n, i] * relevance[n, i]
        return found

    def add(self, first, second, relevance):
        return first / (first + second) * relevance, second / (first + second) * relevance

    def softmax(self, logits, probabilities, relevance):
        kept = torch.where(torch.isinf(logits), 0.0, logits)
        return kept * (relevance - probabilities * relevance.sum(-1, keepdim=True))

    def product(self, first, second, relevance):
        each = relevance / (first @ second) / 2
        return first * (each @ second.T), second * (first.T @ each)


class CheferLrp(AttnLrp):
    """arXiv:2012.09838: positive products, normalised sums, norms and softmax unchanged."""

    def start(self, embedding, target):
        positive = torch.clamp(embedding * target, min=0)
        return positive / positive.sum()

    def linear(self, x, weight, bias, relevance):
        found = torch.zeros_like(x)
        for n in range(len(x)):
            for i in range(len(weight)):
                contributions = torch.clamp(x[n] * weight[i], min=0)
                if contributions.sum() > 0:
                    found[n] += contributions / contributions.sum() * relevance[n, i]
        return found

    def norm(self, x, weight, bias, eps, relevance):
        return relevance

    def add(self, first, second, relevance):
        a, b = super().add(first, second, relevance)
        total, size = relevance.sum(), a.sum().abs() + b.sum().abs()
        return a * (a.sum().abs() / size * total / a.sum()), b * (b.sum().abs() / size * total / b.sum())

    def softmax(self, logits, probabilities, relevance):
        return relevance


def propagate(rules, module, kind, tower, target):
    """Relevance of the tokens that enter the first block, and of the attention of every block, [head][query, key].

    Args:
        rules: one of the above.
        module: CLIPModel.
        kind: "vision_model" or "text_model".
        tower: as tests/reference/clip.py ran it.
        target: embedding of the other side, unit norm.
    """
    parts = Parts(module, kind)
    weights, config = parts.weights, parts.config
    outer = "post_layernorm" if kind == "vision_model" else "final_layer_norm"
    projection = weights["visual_projection.weight" if kind == "vision_model" else "text_projection.weight"]

    def of(name):
        return weights[parts.prefix + name + ".weight"], weights[parts.prefix + name + ".bias"]

    def normed(name, x):
        weight, bias = of(name)
        mean = x.mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + config.layer_norm_eps) * weight + bias

    def residual_of(layer):
        here = f"encoder.layers.{layer}."
        x = tower.inputs[layer].detach()
        attended = tower.outputs[layer].detach()
        added = attended @ of(here + "self_attn.out_proj")[0].T + of(here + "self_attn.out_proj")[1]
        middle = x + added
        before = normed(here + "layer_norm2", middle) @ of(here + "mlp.fc1")[0].T + of(here + "mlp.fc1")[1]
        if config.hidden_act == "quick_gelu":
            active = before * torch.sigmoid(1.702 * before)
        else:
            active = 0.5 * before * (1 + torch.erf(before / 2**0.5))
        return x, attended, added, middle, active, active @ of(here + "mlp.fc2")[0].T + of(here + "mlp.fc2")[1]

    *_, middle, _, ahead = residual_of(len(tower.inputs) - 1)
    last = middle + ahead
    readout = last[tower.readout][None]
    relevance = rules.start(tower.embedding.detach(), target)[None]
    relevance = rules.linear(normed(outer, readout), projection, None, relevance)
    at_readout = rules.norm(readout, *of(outer), config.layer_norm_eps, relevance)
    relevance = torch.zeros_like(last)
    relevance[tower.readout] = at_readout[0]

    maps = []
    for layer in reversed(range(len(tower.inputs))):
        here = f"encoder.layers.{layer}."
        x, attended, added, middle, active, ahead = residual_of(layer)
        stream, branch = rules.add(middle, ahead, relevance)
        branch = rules.linear(active, *of(here + "mlp.fc2"), branch)
        branch = rules.linear(normed(here + "layer_norm2", middle), *of(here + "mlp.fc1"), branch)
        stream = stream + rules.norm(middle, *of(here + "layer_norm2"), config.layer_norm_eps, branch)
        stream, branch = rules.add(x, added, stream)
        branch = rules.linear(attended, *of(here + "self_attn.out_proj"), branch)
        heads, size = tower.probabilities[layer], x.shape[1] // len(tower.probabilities[layer])
        queried, keyed, valued = (torch.zeros_like(x) for _ in range(3))
        by_head = []
        for head, a in enumerate(heads):
            columns = slice(head * size, (head + 1) * size)
            q, k, v = (some[layer][:, columns].detach() for some in (tower.queries, tower.keys, tower.values))
            a = a.detach()
            attention, valued[:, columns] = rules.product(a, v, branch[:, columns])
            by_head.append(attention)
            logits = torch.where(a == 0, -torch.inf, q @ k.T / size**0.5)
            share = rules.softmax(logits, a, attention)
            queried[:, columns], keys = rules.product(q, k.T, share)
            keyed[:, columns] = keys.T
        maps.insert(0, by_head)
        entering = normed(here + "layer_norm1", x)
        branch = sum(
            rules.linear(entering, *of(f"{here}self_attn.{letter}_proj"), part)
            for letter, part in (("q", queried), ("k", keyed), ("v", valued))
        )
        relevance = stream + rules.norm(x, *of(here + "layer_norm1"), config.layer_norm_eps, branch)
    return relevance, maps


def attn_lrp(module, kind, tower, target, tokens):
    relevance, _ = propagate(AttnLrp(), module, kind, tower, target)
    return [float(relevance[i].sum()) for i in tokens]


def chefer_lrp(module, kind, tower, target, tokens, score, scale):
    """R <- R + Abar R with whole matrices, Abar of gradient times relevance."""
    _, maps = propagate(CheferLrp(), module, kind, tower, target)
    carried = torch.eye(len(tower.inputs[0]), dtype=torch.float64)
    for layer, heads in enumerate(tower.probabilities):
        mean = torch.zeros_like(carried)
        gradients = torch.autograd.grad(scale * score, heads, retain_graph=True)
        for gradient, relevance in zip(gradients, maps[layer], strict=True):
            mean += torch.clamp(gradient * relevance, min=0) / len(heads)
        carried = carried + mean @ carried
    return [float(carried[tower.readout, i]) for i in tokens]
