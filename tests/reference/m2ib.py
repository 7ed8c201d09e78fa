"""M2IB and CA-M2IB once more, from METHODS 4.2 and 5: one noisy copy after the other, every step to its end.

Reads the slow towers of tests/reference/clip.py; float64 throughout. Randomness is the reference's: one draw of
[samples, token, dim] per step after torch.manual_seed.
"""

import copy

import torch

from tests.reference import clip


def rest_of(module, kind, layer):
    """hidden state after block `layer` [token, dim] -> embedding, the readout token given."""
    weights = {name: value.double() for name, value in module.state_dict().items()}
    name, norm, project = {
        "image": ("vision_model", "post_layernorm", "visual_projection.weight"),
        "text": ("text_model", "final_layer_norm", "text_projection.weight"),
    }[kind]
    prefix = clip.prefix_of(weights, name)
    config = copy.deepcopy(module.config.vision_config if kind == "image" else module.config.text_config)
    behind = {}
    for number in range(layer + 1, config.num_hidden_layers):
        old, new = f"{prefix}encoder.layers.{number}.", f"{prefix}encoder.layers.{number - layer - 1}."
        behind |= {new + key.removeprefix(old): value for key, value in weights.items() if key.startswith(old)}
    config.num_hidden_layers -= layer + 1

    def project_tokens(x):
        normed = clip.layer_norm(x, weights[prefix + norm + ".weight"], weights[prefix + norm + ".bias"], 1e-5)
        return normed @ weights[project].T

    def run(z):
        _, x = clip.blocks(behind, prefix, z, config, causal=kind == "text")
        return project_tokens(x)

    return run


def unit(x):
    return x / torch.sqrt((x * x).sum(-1, keepdim=True))


def cosine(a, b):
    return float(clip.cosine(a.detach(), b.detach()))


def attend(query, tokens, maps, scale):
    """tokens: list of vectors of length one; query likewise."""
    query, keys, values = query @ maps[0].T, [t @ maps[1].T for t in tokens], [t @ maps[2].T for t in tokens]
    if scale is None:
        logits = [(query * key).sum() / len(query) ** 0.5 for key in keys]
    else:
        logits = [scale * (unit(query) * unit(key)).sum() for key in keys]
    powers = [torch.exp(logit - max(logits).detach()) for logit in logits]
    return sum(power / sum(powers) * value for power, value in zip(powers, values, strict=True))


class Adam:
    def __init__(self, parameter, rate):
        self.parameter, self.rate, self.steps = parameter, rate, 0
        self.m, self.v = torch.zeros_like(parameter), torch.zeros_like(parameter)

    def step(self, gradient):
        self.steps += 1
        self.m = 0.9 * self.m + (1 - 0.9) * gradient
        self.v = 0.999 * self.v + (1 - 0.999) * gradient**2
        m, v = self.m / (1 - 0.9**self.steps), self.v / (1 - 0.999**self.steps)
        self.parameter.data = self.parameter.data - self.rate * m / (torch.sqrt(v) + 1e-8)


def m2ib(module, kind, tower, other, *, layer, beta=0.1, steps=10, samples=10, rate=1.0, seed=0, ca=None, sigma=1.0):
    """KL of every token in the last forward, and the cosine of attended and given target in it.

    Args:
        tower, other: as tests/reference/clip.py ran them, without padding.
        ca: for CA-M2IB: tokens (list of unit vectors), maps, scale, gamma, learned (rate or None); of its printed
            forms lift [joint, dim], the numbers of content tokens that ask (query), whether they are replaced (latent).
    """
    run, given = rest_of(module, kind, layer), other.embedding.detach()
    h = tower.inputs[layer + 1].detach()
    return squeeze(lambda z: run(z)[tower.readout], h, given, beta, steps, samples, rate, seed, ca, sigma)


def squeeze(embed, h, given, beta=0.1, steps=10, samples=10, rate=1.0, seed=0, ca=None, sigma=1.0):
    """The bottleneck at `h` [token, dim] of any encoder whose rest is `embed`; see `m2ib`."""
    if ca and ca.get("latent"):
        h = torch.stack([attended(row, ca) for row in h])
    alpha = torch.full_like(h, 5.0).requires_grad_()
    optimisers = [Adam(alpha, rate)]
    if ca and ca["learned"]:
        ca["maps"].requires_grad_()
        optimisers.append(Adam(ca["maps"], ca["learned"]))
    torch.manual_seed(seed)
    for _ in range(steps):
        keep = 1 / (1 + torch.exp(-alpha))
        mean, variance = keep * h, (sigma * (1 - keep)) ** 2
        noise = torch.empty(samples, *h.shape, dtype=h.dtype).normal_()
        kl = -0.5 * (1 + torch.log(variance) - mean**2 - variance)
        fit, moved = 0.0, 0.0
        for copy_number in range(samples):
            z = mean + torch.sqrt(variance) * noise[copy_number]
            embedding = embed(z)
            target = asked(embedding, z, ca) if ca else given
            fit = fit + clip.cosine(embedding, target) / samples
            moved += cosine(target, given) / samples
        loss = beta * kl.mean() - (ca["gamma"] if ca else 1.0) * fit
        gradients = torch.autograd.grad(loss, [optimiser.parameter for optimiser in optimisers])
        for optimiser, gradient in zip(optimisers, gradients, strict=True):
            optimiser.step(gradient)
    return [float(sum(row)) for row in kl.detach()], moved


def asked(embedding, z, ca):
    """What the noisy embedding, or every content token of the noisy latent, is answered."""
    if not ca.get("query"):
        return attend(unit(embedding), ca["tokens"], ca["maps"], ca["scale"])
    answers = [attend(unit(ca["lift"] @ z[i]), ca["tokens"], ca["maps"], ca["scale"]) for i in ca["query"]]
    return sum(answers) / len(answers)


def attended(row, ca):
    """One token replaced by what it attends to, at its own length."""
    answer = attend(unit(ca["lift"] @ row), ca["tokens"], ca["maps"], ca["scale"]) @ ca["lift"]
    return unit(answer) * torch.sqrt((row * row).sum())


def tokens_of(module, kind, tower, positions):
    """Single tokens of a tower after all its blocks, in the joint space."""
    depth = len(tower.inputs)
    every = rest_of(module, kind, depth - 2)(tower.inputs[depth - 1].detach())
    return [unit(every[i]).detach() for i in positions]
