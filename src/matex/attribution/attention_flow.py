"""Attention flow: how much could run from each token to the readout token, attention as capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from matex.errors import MissingExtra
from matex.progress import report
from matex.protocols import METHODS
from matex.trace import Trace

_UNIT = 10**9  # capacity 1 as an integer; flows add up to at most 1, so 32 bits suffice


def attention_flow(
    attention: NDArray[np.float64], readout: int, tokens: list[int], progress: bool = False
) -> NDArray[np.float64]:
    """Maximum flow from the readout token after the last block to each token before the first.

    Args:
        attention: head-mean attention with the residual counted in, rows summing to 1, [block, query, key].
        readout: position of the readout token.
        tokens: sinks, one maximum flow each.
        progress: show a bar.

    Returns:
        [token], in [0, 1], exact to about 1e-8: capacities are integers of 1e-9.

    Raises:
        ImportError: scipy is not installed.
    """
    try:
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import maximum_flow
    except ImportError as error:
        raise MissingExtra("Attention flow needs scipy: pip install matex[train]") from error
    depth, count, _ = attention.shape
    source = depth * count + readout  # token i after block l has number (l + 1) * count + i
    block, query, key = np.nonzero(attention)
    capacity = np.rint(attention[block, query, key] * _UNIT).astype(np.int32)
    graph: Any = csr_array(
        (capacity, ((block + 1) * count + query, block * count + key)),
        shape=((depth + 1) * count, (depth + 1) * count),
    )
    flows: list[float] = []
    for token in tqdm(tokens, disable=not progress, unit="flow", leave=None):
        flows.append(maximum_flow(graph, source, token).flow_value / _UNIT)
        report(len(flows), len(tokens))
    return np.array(flows)


@METHODS("attention-flow")
@dataclass(frozen=True)
class AttentionFlow:
    """Maximum flow from the readout token to each token, attention as capacity; slow, blind to the other modality.

    Each token is a maximum flow of its own, so the values are no distribution. Every token costs one flow over
    blocks x tokens x tokens edges; needs scipy.

    Args:
        progress: show a progress bar.

    Source:
        "Quantifying Attention Flow in Transformers", arXiv:2005.00928, section 3; METHODS 13. Heads are averaged, the
        residual is counted in as for rollout. METHODS divides by the sum; here the flows themselves are given.
    """

    progress: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("readout", "attention")
    passes: ClassVar[str] = "1 forward, then 1 maximum flow per token on the CPU"
    source: ClassVar[str] = "Abnar and Zuidema, arXiv:2005.00928, section 3"
    equation: ClassVar[str] = (
        "A_i = maximum flow from the readout token above the last block to token i below the first, capacities "
        "(mean_h a + I) / 2"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "Every token has a maximum flow of its own, so the values are no distribution. They are not divided "
        "by their sum here.",
        "MMEL names it and shows rollout in its tables. Both are here under their own names.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        flows = torch.full(trace.content.shape, torch.nan, dtype=trace.target.dtype)
        maps = torch.stack([trace.attention(layer).mean(dim=1) for layer in range(trace.depth)], dim=1)
        maps = (maps + torch.eye(maps.shape[-1], device=maps.device, dtype=maps.dtype)) / 2
        for pair in range(len(flows)):
            end = int(trace.readout[pair])
            tokens = trace.content[pair].nonzero()[:, 0].tolist() if trace.grid else list(range(end + 1))
            found = attention_flow(maps[pair].double().cpu().numpy(), end, tokens, self.progress)
            flows[pair, tokens] = torch.from_numpy(found).to(flows)
        return trace.to_grid(flows.to(trace.target.device))
