"""CA-M2IB's cross-attention of words to places as an interaction."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional as F

from matex.attribution.ca_m2ib import CaM2IB, attention_weights
from matex.attribution.shared.bottleneck import noise_steps
from matex.trace import Trace


def word_attention(trace: Trace, method: CaM2IB) -> Tensor:
    """Attention of each token of the phrase to the places, by noisy copies behind the optimised bottleneck.

    Args:
        trace: of one phrase, that knows the image's tokens.
        method: with the bottleneck's parameters; its attention has no matrices of its own ("identity").

    Returns:
        [token, image token], mean over the copies of the last forward; rows sum to 1 over the places.

    Source:
        CA-M2IB, eq. 4 with the tokens of Z_m as queries, as it is printed. Elsewhere here its query is the embedding of
        Z_m, which would give one row for all words.
    """
    layer = method.squeezed_layer(trace) + 1
    state = trace.state(layer)
    length = int(state.axis.valid.sum())
    state, gate = state.select(slice(None), length), method.squeeze(trace).gate[0, 0, :length]
    stream = noise_steps([method.seed], [length], method.samples, gate.shape[-1], gate.dtype)
    *_, noise = itertools.islice(stream, method.steps)  # of the last forward
    noise = noise[0].to(gate)
    copies = (gate * state.hidden.to(gate) + (1 - gate) * noise).to(state.hidden.dtype)
    with torch.inference_mode(False), torch.no_grad():
        state = state.select(torch.zeros(method.samples, dtype=torch.long)).with_hidden(copies)
        for number in range(layer, trace.depth):
            state = trace.tower.stage(number, state)
        query = F.normalize(trace.project(state.read), dim=-1)
    tokens, counts = trace.target_tokens(readout=False)
    scale = trace.logit_scale if method.logits == "clip" else None
    weights = attention_weights(query.flatten(0, 1)[None], tokens, counts, scale)[0]
    return weights.reshape(*query.shape[:2], -1).mean(dim=0)
