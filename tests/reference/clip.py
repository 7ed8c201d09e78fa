"""CLIP written out slowly from its weights: every head by itself, attention as an explicit softmax.

Shares no code with the library. Everything is float64 and on the graph, so that gradients of the score with respect to
anything that was kept can be asked for directly.
"""

from dataclasses import dataclass, field

import torch


@dataclass
class Tower:
    probabilities: list = field(default_factory=list)  # per block: list of heads, each [query, key]
    queries: list = field(default_factory=list)  # per block [token, dim]
    keys: list = field(default_factory=list)
    values: list = field(default_factory=list)
    outputs: list = field(default_factory=list)  # before the output projection [token, dim]
    inputs: list = field(default_factory=list)  # hidden state entering the block [token, dim]
    normed: list = field(default_factory=list)  # after the first layer norm of the block [token, dim]
    embedding: torch.Tensor | None = None
    readout: int = 0


def layer_norm(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


def activation(x, name):
    if name == "quick_gelu":
        return x * torch.sigmoid(1.702 * x)
    return 0.5 * x * (1 + torch.erf(x / 2**0.5))


def blocks(weights, prefix, x, config, causal):
    tower = Tower()
    dim, heads = config.hidden_size, config.num_attention_heads
    size = dim // heads
    tokens = len(x)
    for layer in range(config.num_hidden_layers):
        here = f"{prefix}encoder.layers.{layer}."

        def linear(name, value, here=here):
            return value @ weights[here + name + ".weight"].T + weights[here + name + ".bias"]

        def norm(name, value, here=here):
            return layer_norm(
                value, weights[here + name + ".weight"], weights[here + name + ".bias"], config.layer_norm_eps
            )

        tower.inputs.append(x)
        normed = norm("layer_norm1", x)
        tower.normed.append(normed)
        q, k, v = (linear(f"self_attn.{letter}_proj", normed) for letter in "qkv")
        parts, probabilities = [], []
        for head in range(heads):
            columns = slice(head * size, (head + 1) * size)
            logits = q[:, columns] @ k[:, columns].T / size**0.5
            if causal:
                for i in range(tokens):
                    hidden = torch.zeros(tokens, dtype=torch.bool)
                    hidden[i + 1 :] = True
                    logits = torch.where(
                        (torch.arange(tokens) == i)[:, None] & hidden[None, :],
                        torch.full_like(logits, -torch.inf),
                        logits,
                    )
            exponent = torch.exp(logits - logits.max(-1, keepdim=True).values)
            a = exponent / exponent.sum(-1, keepdim=True)
            probabilities.append(a)
            parts.append(a @ v[:, columns])
        o = torch.cat(parts, dim=-1)
        tower.probabilities.append(probabilities)
        tower.queries.append(q)
        tower.keys.append(k)
        tower.values.append(v)
        tower.outputs.append(o)
        x = x + linear("self_attn.out_proj", o)
        x = x + linear("mlp.fc2", activation(linear("mlp.fc1", norm("layer_norm2", x)), config.hidden_act))
    return tower, x


def prefix_of(weights, tower):
    return f"{tower}.{tower}." if any(name.startswith(f"{tower}.{tower}.") for name in weights) else f"{tower}."


def image(module, pixels):
    """pixels [channel, height, width] at the model's own size."""
    weights = {name: value.double() for name, value in module.state_dict().items()}
    config, prefix = module.config.vision_config, prefix_of(weights, "vision_model")
    kernel = weights[prefix + "embeddings.patch_embedding.weight"]
    patch = kernel.shape[-1]
    rows, columns = pixels.shape[1] // patch, pixels.shape[2] // patch
    tokens = [weights[prefix + "embeddings.class_embedding"]]
    for r in range(rows):
        for c in range(columns):
            piece = pixels[:, r * patch : (r + 1) * patch, c * patch : (c + 1) * patch]
            tokens.append((kernel * piece[None]).sum((1, 2, 3)))
    x = torch.stack(tokens) + weights[prefix + "embeddings.position_embedding.weight"]
    x = x.requires_grad_()
    start = layer_norm(
        x,
        weights[prefix + "pre_layrnorm.weight"],
        weights[prefix + "pre_layrnorm.bias"],
        config.layer_norm_eps,
    )
    tower, x = blocks(weights, prefix, start, config, causal=False)
    readout = layer_norm(
        x[0],
        weights[prefix + "post_layernorm.weight"],
        weights[prefix + "post_layernorm.bias"],
        config.layer_norm_eps,
    )
    tower.embedding = weights["visual_projection.weight"] @ readout
    return tower


def text(module, ids):
    """ids: a list of ints without padding, ending with the end token."""
    weights = {name: value.double() for name, value in module.state_dict().items()}
    config, prefix = module.config.text_config, prefix_of(weights, "text_model")
    table = weights[prefix + "embeddings.token_embedding.weight"]
    positions = weights[prefix + "embeddings.position_embedding.weight"]
    x = torch.stack([table[i] + positions[n] for n, i in enumerate(ids)]).requires_grad_()
    tower, x = blocks(weights, prefix, x, config, causal=True)
    tower.readout = ids.index(config.eos_token_id)
    readout = layer_norm(
        x[tower.readout],
        weights[prefix + "final_layer_norm.weight"],
        weights[prefix + "final_layer_norm.bias"],
        config.layer_norm_eps,
    )
    tower.embedding = weights["text_projection.weight"] @ readout
    return tower


def cosine(a, b):
    return (a @ b) / (torch.sqrt(a @ a) * torch.sqrt(b @ b))


class Parts:
    """Pieces of one tower by themselves, for methods that read tokens along another way than the model."""

    def __init__(self, module, tower):
        weights = {name: value.double() for name, value in module.state_dict().items()}
        self.config = getattr(module.config, "vision_config" if tower == "vision_model" else "text_config")
        self.weights, self.prefix, self.tower = weights, prefix_of(weights, tower), tower

    def linear(self, layer, name, x):
        here = f"{self.prefix}encoder.layers.{layer}.{name}"
        return self.weights[here + ".weight"] @ x + self.weights[here + ".bias"]

    def feed_forward(self, layer, x):
        here = f"{self.prefix}encoder.layers.{layer}.layer_norm2"
        normed = layer_norm(x, self.weights[here + ".weight"], self.weights[here + ".bias"], self.config.layer_norm_eps)
        return x + self.linear(
            layer, "mlp.fc2", activation(self.linear(layer, "mlp.fc1", normed), self.config.hidden_act)
        )

    def joint(self, x):
        """One token after the last block in the joint space, unit norm."""
        norm, projection = (
            ("post_layernorm", "visual_projection")
            if self.tower == "vision_model"
            else ("final_layer_norm", "text_projection")
        )
        here = self.prefix + norm
        x = layer_norm(x, self.weights[here + ".weight"], self.weights[here + ".bias"], self.config.layer_norm_eps)
        x = self.weights[projection + ".weight"] @ x
        return x / torch.sqrt(x @ x)
