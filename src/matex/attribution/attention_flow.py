"""Attention flow: the maximum flow from each token to the readout token, with attention as capacity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

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
    attention: NDArray[np.float64], readout: int | NDArray[np.float64], tokens: list[int], progress: bool = False
) -> NDArray[np.float64]:
    """Maximum flow from what reads the last block to each token before the first.

    Args:
        attention: head-mean attention with the residual counted in, rows summing to 1, [block, query, key].
        readout: position of the one token that is read; or how much of each token is read, [token], where several are
            pooled or a head attends to them.
        tokens: sinks, one maximum flow each.
        progress: show a bar.

    Returns:
        [token], in [0, 1], exact to about 1e-8: capacities are integers of 1e-9.

    Raises:
        ImportError: scipy is not installed.
    """
    try:
        from scipy.sparse import csgraph, csr_array
    except ImportError as error:
        raise MissingExtra("Attention flow needs scipy: pip install matex[train]") from error
    depth, count, _ = attention.shape
    block, query, key = np.nonzero(attention)
    # Token i after block l has number (l + 1) * count + i; the last number is a source of its own.
    capacity, begin, end = attention[block, query, key], (block + 1) * count + query, block * count + key
    source = (depth + 1) * count
    if isinstance(readout, int):
        source = depth * count + readout
    else:
        read = np.flatnonzero(readout)
        capacity = np.concatenate([capacity, readout[read]])
        begin, end = np.concatenate([begin, np.full(len(read), source)]), np.concatenate([end, depth * count + read])
    nodes = (depth + 1) * count + 1
    capacity = np.rint(capacity * _UNIT).astype(np.int32)
    graph = csr_array((capacity, (begin, end)), shape=(nodes, nodes))
    maximum_flow = cast(Any, csgraph).maximum_flow  # an extension without types
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
    needs: ClassVar[tuple[str, ...]] = ("attention",)
    passes: ClassVar[str] = "1 forward, then 1 maximum flow per token on the CPU"
    phrase_blind: ClassVar[bool] = True
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
        blocks = range(trace.depth - trace.pooling_head)
        maps = torch.stack([trace.attention(layer).mean(dim=1) for layer in blocks], dim=1)
        maps = (maps + torch.eye(maps.shape[-1], device=maps.device, dtype=maps.dtype)) / 2
        for pair in range(len(flows)):
            read = trace.content[pair] if trace.grid else trace.valid[pair]
            tokens = cast(list[int], read.nonzero()[:, 0].tolist())
            flow = attention_flow(maps[pair].double().cpu().numpy(), self._read(trace, pair), tokens, self.progress)
            flows[pair, tokens] = torch.from_numpy(flow).to(flows)
        return trace.to_grid(flows.to(trace.target.device))

    def _read(self, trace: Trace, pair: int) -> int | NDArray[np.float64]:
        """Flow read above the blocks: see `attention_flow`."""
        if trace.pooling_head:
            return trace.attention_row(-1)[pair].mean(dim=0).double().cpu().numpy()
        return int(trace.readout[pair]) if trace.one_reader(-1) else trace.reading[pair].double().cpu().numpy()
