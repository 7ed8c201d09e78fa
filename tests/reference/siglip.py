"""SigLIP written out slowly from its weights, and the methods over several readers (METHODS 22), item by item.

Shares no code with the library. Everything is float64 and on the graph.
"""

import torch

from tests.reference.clip import layer_norm


def gelu(x):
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


class Attention:
    """One attention, head by head: query, key, value, attention and output, all on the graph."""

    def __init__(self, query, key, value, heads):
        size = query.shape[1] // heads
        self.heads, self.size = heads, size
        self.query, self.key, self.value = query, key, value
        self.rows = []
        parts = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            logits = query[:, own] @ key[:, own].T / size**0.5
            row = torch.exp(logits - logits.max(-1, keepdim=True).values)
            row = row / row.sum(-1, keepdim=True)
            self.rows.append(row)
            parts.append(row @ value[:, own])
        self.output = torch.cat(parts, dim=1)


def linear(weights, name, x):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def norm(weights, name, x, config):
    return layer_norm(x, weights[name + ".weight"], weights[name + ".bias"], config.layer_norm_eps)


def block(weights, here, x, config):
    normed = norm(weights, here + "layer_norm1", x, config)
    q, k, v = (linear(weights, f"{here}self_attn.{letter}_proj", normed) for letter in "qkv")
    attention = Attention(q, k, v, config.num_attention_heads)
    x = x + linear(weights, here + "self_attn.out_proj", attention.output)
    normed = norm(weights, here + "layer_norm2", x, config)
    return x + linear(weights, here + "mlp.fc2", gelu(linear(weights, here + "mlp.fc1", normed))), attention


def head_attention(weights, x, config):
    """The pooling head's attention over hidden states [token, dim]."""
    name = "vision_model.head."
    normed = norm(weights, "vision_model.post_layernorm", x, config)
    w, b = weights[name + "attention.in_proj_weight"], weights[name + "attention.in_proj_bias"]
    dim = x.shape[1]
    parts = (weights[name + "probe"][0], normed, normed)
    q, k, v = (part @ w[i * dim : (i + 1) * dim].T + b[i * dim : (i + 1) * dim] for i, part in enumerate(parts))
    return Attention(q, k, v, config.num_attention_heads)


def head_rest(weights, output, config):
    """Pooled output [row, dim] to the embedding, not normalised."""
    name = "vision_model.head."
    x = linear(weights, name + "attention.out_proj", output)
    normed = norm(weights, name + "layernorm", x, config)
    return x + linear(weights, name + "mlp.fc2", gelu(linear(weights, name + "mlp.fc1", normed)))


class Image:
    """The image tower on one image [3, height, width]."""

    def __init__(self, module, pixels):
        weights, config = module.state_dict(), module.config.vision_config
        patch = config.patch_size
        kernel = weights["vision_model.embeddings.patch_embedding.weight"].flatten(1)
        rows, columns = pixels.shape[1] // patch, pixels.shape[2] // patch
        tokens = []
        for r in range(rows):
            for c in range(columns):
                piece = pixels[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch].flatten()
                tokens.append(kernel @ piece + weights["vision_model.embeddings.patch_embedding.bias"])
        x = torch.stack(tokens) + weights["vision_model.embeddings.position_embedding.weight"]
        x.requires_grad_()
        self.weights, self.config = weights, config
        self.hidden, self.attentions = [x], []
        for layer in range(config.num_hidden_layers):
            x, attention = block(weights, f"vision_model.encoder.layers.{layer}.", x, config)
            self.hidden.append(x)
            self.attentions.append(attention)
        self.head = head_attention(weights, x, config)
        self.embedding = head_rest(weights, self.head.output, config)[0]

    def layers(self):
        """Attentions of the blocks and of the head, which is the last layer."""
        return [*self.attentions, self.head]

    def score(self, target):
        return self.embedding / self.embedding.norm() @ target

    def gradients(self, target):
        """dS/d(attention output) of every layer, each [row, dim]."""
        return torch.autograd.grad(self.score(target), [a.output for a in self.layers()], retain_graph=True)

    def reading_row(self, layer):
        """Mean over heads of the head's query on the tokens that enter a layer."""
        return torch.stack(head_attention(self.weights, self.hidden[layer], self.config).rows).mean(0)[0]


def minmax(x):
    return (x - x.min()) / (x.max() - x.min())


def attended_value_gradient(attention, gradient):
    """sum over rows r and heads of a[r, i] G_r . v_i, [token]."""
    total = torch.zeros(len(attention.value), dtype=torch.float64)
    for head in range(attention.heads):
        own = slice(head * attention.size, (head + 1) * attention.size)
        for r in range(len(gradient)):
            for i in range(len(total)):
                total[i] += attention.rows[head][r, i] * (gradient[r, own] @ attention.value[i, own])
    return total.detach()


def grad_eclip(attention, gradient):
    """sum_r G_r . v_i, weighted by the key similarity of the rows, averaged by |G_r|, [token]."""
    total = torch.stack([sum(g @ v for g in gradient) for v in attention.value])
    similarity, length = 0, sum(g.norm() for g in gradient)
    for r, g in enumerate(gradient):
        cosine = torch.stack([torch.cosine_similarity(attention.query[r], k, dim=0) for k in attention.key])
        similarity = similarity + g.norm() / length * minmax(cosine)
    return (total * similarity).relu().detach()


def matex_terms(image, target, layers, temperature):
    """Gradient, flow and consistent gradient of eq. 1, 2 and 6, before their weights, each [token]."""
    gradients = image.gradients(target)
    everything = list(zip(image.layers(), gradients, strict=True))[-layers:]
    gradient = minmax(sum(attended_value_gradient(a, g).relu() for a, g in everything))
    rows = torch.stack([image.reading_row(layer) for layer in range(len(image.layers()))]).detach()
    weight = torch.exp(temperature * torch.arange(len(rows), dtype=torch.float64))
    flow = minmax((weight / weight.sum()) @ rows)
    spread = ((rows - rows.mean(0)) ** 2).mean(0).sqrt()
    return {"gradient": gradient, "flow": flow, "consistency": gradient / (1 + spread)}


def rollout(image):
    row = torch.stack(image.head.rows).mean(0)[0]
    for attention in reversed(image.attentions):
        full = torch.stack(attention.rows).mean(0)
        row = row @ ((full + torch.eye(len(full), dtype=torch.float64)) / 2)
    return row.detach()


def chefer(image, target, scale, everywhere):
    row = torch.zeros(len(image.hidden[0]), dtype=torch.float64)
    layers, gradients = image.layers(), image.gradients(target)
    for number in reversed(range(len(layers))):
        attention, gradient = layers[number], gradients[number]
        relevance = torch.zeros(len(gradient), len(row), dtype=torch.float64)
        for head in range(attention.heads):
            own = slice(head * attention.size, (head + 1) * attention.size)
            per_weight = scale * gradient[:, own] @ attention.value[:, own].T
            relevance += (per_weight * attention.rows[head]).relu().detach() / attention.heads
        if number == len(layers) - 1:
            row = relevance[0]
        elif everywhere:
            row = row + row @ relevance
    return row


def legrad(image, target, layers):
    total = 0
    for state in image.hidden[1:][-layers:]:
        attention = head_attention(image.weights, state.detach(), image.config)
        output = attention.output.detach().requires_grad_()
        pooled = head_rest(image.weights, output, image.config)[0]
        (gradient,) = torch.autograd.grad(pooled / pooled.norm() @ target, output)
        for head in range(attention.heads):
            own = slice(head * attention.size, (head + 1) * attention.size)
            total = total + (attention.value[:, own] @ gradient[0, own]).relu().detach() / attention.heads
    return total


def maskclip(image, target):
    values = []
    for value in image.head.value:
        pooled = head_rest(image.weights, value[None], image.config)[0]
        values.append(pooled / pooled.norm() @ target)
    return torch.stack(values).detach()
