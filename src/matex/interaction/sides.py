"""The two sides of a pair as units: words of the phrase and places of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from matex.adapters.encoder import Staged, State
from matex.adapters.model import WORD
from matex.checks import check
from matex.forward_pass import ForwardPass


def word_groups(text: str, spans: Sequence[tuple[int, int]], tokens: int) -> tuple[tuple[str, ...], Tensor]:
    """The words of a phrase and which tokens each consists of.

    Args:
        text: the phrase.
        spans: characters of each token, equal ends for special tokens.
        tokens: length of the token axis, padding included.

    Returns:
        Words in reading order; bool [word, token]. Punctuation alone is no word.
    """
    found = list(WORD.finditer(text))
    groups = torch.zeros(len(found), tokens, dtype=torch.bool)
    for number, match in enumerate(found):
        for token, (a, b) in enumerate(spans):
            groups[number, token] = a < match.end() and b > match.start()
    return tuple(match.group() for match in found), groups


@dataclass(frozen=True, eq=False)
class Path:
    """The straight path from a blank input to the input, as hidden states that enter one block.

    Args:
        encoder: that is run from there.
        layer: number of the block.
        state: of the input, one item.
        blank: hidden states of the blank input, [1, token, dim].
    """

    encoder: Staged
    layer: int
    state: State
    blank: Tensor

    @classmethod
    def of(cls, forward: ForwardPass, layer: int | None = None) -> Path:
        """The path of one input, from its recorded pass.

        On the image the blank input has the mean colour. On the phrase content tokens lose their words and keep their
        places, and special tokens stay.

        Args:
            forward: of one input.
            layer: None for the first block of the last quarter, or for the lowest one whose output the pooling reads.

        Raises:
            ValueError: no such block, or one above a block whose output the pooling reads, which would not move.
        """
        encoder, inputs = forward.tower, forward.inputs
        highest = min(encoder.taps, default=encoder.depth - 1)
        layer = min(encoder.depth - max(1, encoder.depth // 4), highest) if layer is None else layer
        check(0 <= layer <= highest, "layer", f"from 0 to {highest}", layer)
        with torch.inference_mode(False), torch.no_grad():
            state = forward.states[layer]
            entry, blank = encoder.entry(inputs), encoder.blank(inputs)
            if not encoder.differentiable_input:
                blank = torch.where(encoder.axis(inputs).content[..., None], blank, entry)
            below = encoder.start(blank, inputs)
            for number in range(layer):
                below = encoder.stage(number, below)
        return cls(encoder, layer, replace(state, hidden=state.hidden.detach()), below.hidden.detach())

    @property
    def displacement(self) -> Tensor:
        """Input minus blank, [token, dim]."""
        return (self.state.hidden - self.blank)[0]

    def points(self, position: Tensor) -> State:
        """States at these positions between blank (0) and input (1), [step]."""
        steps = torch.zeros(len(position), dtype=torch.long, device=position.device)
        state = self.state.select(steps)
        return replace(state, hidden=self.blank + position.to(self.blank)[:, None, None] * self.displacement)
