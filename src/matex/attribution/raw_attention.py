"""Raw attention: the readout token's attention in one block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from matex.protocols import METHODS
from matex.trace import Trace


@METHODS("raw-attention")
@dataclass(frozen=True)
class RawAttention:
    """Attention of the readout token in the last block; independent of the other modality.

    Source:
        METHODS 13: attention of CLS to patches (EOS to tokens) in the last block, mean over heads.
    """

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("attention",)
    passes: ClassVar[str] = "1 forward"
    phrase_blind: ClassVar[bool] = True
    source: ClassVar[str] = "the attention of the last block"
    equation: ClassVar[str] = "A_i = mean_h a_h[readout, i] in the last block"
    errors: ClassVar[tuple[str, ...]] = (
        "Grad-ECLIP's baseline recomputes it with a single head. Here it is the model's own attention.",
    )

    def gradient_blocks(self, kind: str) -> int:
        return 0

    def __call__(self, trace: Trace) -> Tensor:
        return trace.to_grid(trace.attention_row(-1).mean(dim=1))
