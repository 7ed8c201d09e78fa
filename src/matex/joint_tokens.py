"""Single tokens of an encoder, projected to the joint space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from matex.adapters.encoder import JointTokens, Staged
from matex.errors import UnsupportedModel
from matex.forward_pass import ForwardPass, at_least_float32

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


def joint_tokens(tower: Staged) -> JointTokens:
    """The encoder as one whose tokens can be read in the joint space.

    Raises:
        UnsupportedModel: an encoder without a projection for single tokens.
    """
    if not isinstance(tower, JointTokens):
        raise UnsupportedModel(
            f"Expected tokens of the {tower.modality} encoder that can be read in the joint space, got an encoder "
            f"without: {tower.missing.get('joint tokens', 'it has no projection for single tokens')}."
        )
    return tower


def last_tokens(
    forward: ForwardPass, readout: bool
) -> tuple[Float[Tensor, "item token joint"], Bool[Tensor, "item token"]]:
    """Tokens after the last block, projected to the joint space.

    Args:
        forward: pass over the inputs, whose last block may have been run for one token alone.
        readout: count the readout token (CLS, EOS) among them.

    Returns:
        Embeddings, unit norm, no graph; and a mask of those that count.

    Raises:
        UnsupportedModel: see `joint_tokens`.
    """
    tower, head = joint_tokens(forward.tower), forward.readers is not None and forward.readers.own_query
    with torch.no_grad():
        # The last block was recorded for one token alone, and a pooling head keeps none.
        state = forward.states[-1]
        state = state if head or len(forward.states) > tower.depth else tower.stage(tower.depth - 1, state)
        embeddings = F.normalize(at_least_float32(tower.project(state.read)), dim=-1)
    mask = state.axis.content
    if readout and forward.readers is not None and forward.readers.position is not None:
        mask = mask | F.one_hot(forward.readers.position, mask.shape[1]).bool()
    return embeddings, mask
