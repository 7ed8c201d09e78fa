"""ImageBind written out slowly from its weights, one input at a time, in float64 and on the graph.

From the paper (arXiv:2305.05665) and the published names of the weights; shares no code with the library.
"""

import math

import torch

from tests.reference.clip import layer_norm


class Twin:
    """One modality of a state dict.

    `inputs`, `keys`, `values`, `probabilities` and `outputs` hold what each block saw, first block first.
    """

    def __init__(self, weights, modality, heads):
        self.weights = {name: value.double() for name, value in weights.items()}
        self.modality, self.heads = modality, heads
        self.inputs, self.keys, self.values, self.probabilities, self.outputs = [], [], [], [], []

    def get(self, part, name):
        return self.weights[f"modality_{part}.{self.modality}.{name}"]

    def has(self, part, name):
        return f"modality_{part}.{self.modality}.{name}" in self.weights

    def norm(self, part, name, x, eps=1e-6):
        return layer_norm(x, self.get(part, name + ".weight"), self.get(part, name + ".bias"), eps)

    # --- stems, [token, dim] ---------------------------------------------------------------------------------------

    def image_tokens(self, pixels):
        """pixels [3, height, width]: every patch in every one of the equal frames, each with its slice of kernel."""
        kernel = self.get("preprocessors", "rgbt_stem.proj.1.weight")  # [dim, channel, frame, height, width]
        dim, _, frames, height, width = kernel.shape
        tokens = []
        for top in range(0, pixels.shape[1] - height + 1, height):
            for left in range(0, pixels.shape[2] - width + 1, width):
                piece = pixels[:, top : top + height, left : left + width]
                token = torch.zeros(dim, dtype=torch.float64)
                for frame in range(frames):
                    token = token + torch.einsum("dchw,chw->d", kernel[:, :, frame], piece)
                tokens.append(token)
        return self.placed(tokens, self.get("preprocessors", "pos_embedding_helper.pos_embed"))

    def patch_tokens(self, values, stride):
        """values [1, height, width] of a spectrogram, a depth or a thermal image; the norm comes before positions."""
        stem = "depth_stem" if self.modality == "depth" else "rgbt_stem"
        kernel = self.get("preprocessors", f"{stem}.proj.weight")[:, 0]
        side = kernel.shape[-1]
        tokens = []
        for top in range(0, values.shape[1] - side + 1, stride):
            for left in range(0, values.shape[2] - side + 1, stride):
                piece = values[0, top : top + side, left : left + side]
                token = torch.stack([(one * piece).sum() for one in kernel])
                tokens.append(self.norm("preprocessors", f"{stem}.norm_layer", token, eps=1e-5))
        return self.placed(tokens, self.get("preprocessors", "pos_embedding_helper.pos_embed"))

    def imu_tokens(self, recording, kernel):
        """recording [channel, sample]: `kernel` samples of the first channel, then of the second, ..."""
        projection = self.get("preprocessors", "imu_stem.proj.weight")
        tokens = []
        for start in range(0, recording.shape[1], kernel):
            piece = torch.cat([channel[start : start + kernel] for channel in recording])
            tokens.append(self.norm("preprocessors", "imu_stem.norm_layer", projection @ piece, eps=1e-5))
        return self.placed(tokens, self.get("preprocessors", "pos_embed"))

    def text_tokens(self, ids):
        table, places = self.get("preprocessors", "token_embedding.weight"), self.get("preprocessors", "pos_embed")[0]
        return torch.stack([table[number] + places[place] for place, number in enumerate(ids)])

    def placed(self, tokens, places):
        return torch.stack([self.get("preprocessors", "cls_token")[0, 0], *tokens]) + places[0]

    # --- blocks ----------------------------------------------------------------------------------------------------

    def block(self, layer, x):
        here = f"blocks.{layer}."
        count, dim = x.shape
        size = dim // self.heads
        normed = self.norm("trunks", here + "norm_1", x)
        weight, bias = self.get("trunks", here + "attn.in_proj_weight"), self.get("trunks", here + "attn.in_proj_bias")
        q, k, v = (
            torch.stack(
                [weight[part * dim : (part + 1) * dim] @ row + bias[part * dim : (part + 1) * dim] for row in normed]
            )
            for part in range(3)
        )
        if self.has("trunks", here + "attn.bias_k"):
            k = torch.cat([k, self.get("trunks", here + "attn.bias_k")[0]])
            v = torch.cat([v, self.get("trunks", here + "attn.bias_v")[0]])
        rows, probabilities = [], torch.zeros(self.heads, count, len(k), dtype=torch.float64)
        for token in range(count):
            pieces = []
            for head in range(self.heads):
                part = slice(head * size, (head + 1) * size)
                seen = range(token + 1) if self.modality == "text" else range(len(k))
                exponents = [torch.exp(q[token, part] @ k[other, part] / math.sqrt(size)) for other in seen]
                total = sum(exponents)
                piece = torch.zeros(size, dtype=torch.float64)
                for other, exponent in zip(seen, exponents, strict=True):
                    piece = piece + exponent / total * v[other, part]
                    probabilities[head, token, other] = (exponent / total).detach()
                pieces.append(piece)
            rows.append(torch.cat(pieces))
        output = torch.stack(rows)
        for kept, value in zip(
            (self.inputs, self.keys, self.values, self.probabilities, self.outputs),
            (x, k, v, probabilities, output),
            strict=True,
        ):
            kept.append(value)
        x = x + self.linear(here + "attn.out_proj", output)
        hidden = self.linear(here + "mlp.fc1", self.norm("trunks", here + "norm_2", x))
        return x + self.linear(here + "mlp.fc2", 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))

    def linear(self, name, x):
        return x @ self.get("trunks", name + ".weight").T + self.get("trunks", name + ".bias")

    # --- the whole path ----------------------------------------------------------------------------------------------

    def published(self, tokens, readout=0):
        """Tokens [token, dim] to what the published forward returns, [joint]."""
        x = tokens
        if self.has("trunks", "pre_transformer_layer.0.weight"):
            x = self.norm("trunks", "pre_transformer_layer.0", x)
        layer = 0
        while self.has("trunks", f"blocks.{layer}.norm_1.weight"):
            x = self.block(layer, x)
            layer += 1
        norm, projection = {"text": ("proj.0", "proj.1"), "imu": ("0", "3")}.get(self.modality, ("0", "2"))
        joint = self.get("heads", projection + ".weight") @ self.norm("heads", norm, x[readout])
        unit = joint / torch.sqrt(joint @ joint)
        if not self.has("postprocessors", "1.log_logit_scale"):
            return unit
        return unit * min(100.0, math.exp(float(self.get("postprocessors", "1.log_logit_scale"))))
