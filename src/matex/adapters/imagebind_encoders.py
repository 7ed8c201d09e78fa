"""ImageBind's trunks as encoders: transformer blocks that are read at CLS or at the end token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.encoder import Attended, Encoder, Modality, Readers, State, TokenAxis
from matex.adapters.imagebind_network import Block, ImageBind, ImuConfig, PatchConfig, TextConfig, config_of
from matex.adapters.inputs import Pixels, Words
from matex.adapters.sound import Spectrograms
from matex.audio.imagebind import ImageBindSpectrogram


@dataclass(frozen=True, eq=False)
class Trunk:
    """The blocks of one modality; a subclass adds which tokens there are and how inputs become the first of them.

    Args:
        network: holds the weights.
        trunk: the modality as the checkpoint names it.
        modality: as matex names it.
    """

    network: ImageBind
    trunk: str
    modality: Modality
    taps: tuple[int, ...] = ()

    @property
    def missing(self) -> dict[str, str]:
        return {"relu": "this trunk's activation is gelu"}

    @property
    def depth(self) -> int:
        return len(self.network.blocks(self.trunk))

    def readers(self, axis: TokenAxis) -> Readers:
        return Readers(torch.zeros(len(axis.valid), dtype=torch.long, device=axis.valid.device))

    def norm(self, layer: int, hidden: Tensor) -> Tensor:
        return self._block(layer).norm(hidden)

    def mask(self, layer: int, axis: TokenAxis, rows: Tensor | None = None) -> Tensor | None:
        return None

    def attend(
        self,
        layer: int,
        normed: Tensor,
        axis: TokenAxis,
        rows: Tensor | None = None,
        moving: Tensor | None = None,
    ) -> Attended:
        return self._block(layer).attend(normed, rows)

    def output_projection(self, layer: int, output: Tensor) -> Tensor:
        return self._block(layer).output_projection(output)

    def after_attention(self, layer: int, hidden: Tensor, output: Tensor) -> Tensor:
        return self._block(layer).after_attention(hidden, output)

    def stage(self, layer: int, state: State) -> State:
        return state.followed_by(self._block(layer)(state.hidden))

    def pool(self, state: State) -> Tensor:
        return self.project(state.hidden[:, 0])

    def project(self, tokens: Tensor) -> Tensor:
        return self.network.project(self.trunk, tokens)

    def stages(self) -> dict[str, list[nn.Parameter]]:
        blocks = self.network.blocks(self.trunk)
        embeddings = [self.network.modality_preprocessors[self.trunk]]
        first = self.network.modality_trunks[self.trunk].get_submodule("pre_transformer_layer")
        parts: dict[str, list[nn.Module]] = {"head": [self.network.modality_heads[self.trunk]]}
        parts |= {f"block {layer}": [blocks[layer]] for layer in reversed(range(len(blocks)))}
        parts["embeddings"] = [*embeddings, first]
        return {name: [weight for module in some for weight in module.parameters()] for name, some in parts.items()}

    def _block(self, layer: int) -> Block:
        return self.network.blocks(self.trunk)[layer]


@dataclass(frozen=True, eq=False)
class PatchTrunk(Pixels, Trunk):
    """Images, depth and thermal images: CLS first, then the patches row by row."""

    def axis(self, inputs: Tensor) -> TokenAxis:
        config = config_of(self.network.config, self.trunk)
        assert isinstance(config, PatchConfig)
        rows, columns = config.grid
        return _behind_cls(len(inputs), rows * columns, inputs.device, (rows, columns))

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        return State(self.network.tokens(self.trunk, entry), self.axis(entry))


@dataclass(frozen=True, eq=False)
class AudioTrunk(Spectrograms, PatchTrunk):
    """Spectrograms, in patches that overlap: rows are frequencies from the lowest on, columns are times.

    Every block has a learned key and value that belong to no token, behind those of the tokens.
    """

    silence: float = ImageBindSpectrogram().silence


@dataclass(frozen=True, eq=False)
class ImuTrunk(Pixels, Trunk):
    """Recordings of accelerometer and gyroscope [item, channel, 1, step]: CLS first, then eight steps to a token."""

    def axis(self, inputs: Tensor) -> TokenAxis:
        config = config_of(self.network.config, self.trunk)
        assert isinstance(config, ImuConfig)
        columns = config.samples // config.kernel
        return _behind_cls(len(inputs), columns, inputs.device, (1, columns))

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        return State(self.network.tokens(self.trunk, entry.squeeze(2)), self.axis(entry))


@dataclass(frozen=True, eq=False)
class TextTrunk(Words, Trunk):
    """A causal text transformer that is read at the end token, the last id of the vocabulary."""

    def axis(self, inputs: Tensor) -> TokenAxis:
        position = torch.arange(inputs.shape[1], device=inputs.device)
        end = self.network.readout(self.trunk, inputs)[:, None]
        return TokenAxis(position <= end, (position > 0) & (position < end))

    def readers(self, axis: TokenAxis) -> Readers:
        return Readers(axis.valid.sum(dim=1) - 1)

    def mask(self, layer: int, axis: TokenAxis, rows: Tensor | None = None) -> Tensor | None:
        position = torch.arange(axis.valid.shape[1], device=axis.valid.device)
        querying = position if rows is None else rows[:, None]
        return (position <= querying[..., None])[..., None, :, :]

    def entry(self, inputs: Tensor) -> Tensor:
        return self.network.tokens(self.trunk, inputs)

    def blank(self, inputs: Tensor) -> Tensor:
        positions = self.network.get_parameter(f"modality_preprocessors.{self.trunk}.pos_embed")
        return positions[:, : inputs.shape[1]].expand(len(inputs), -1, -1)

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        # Zeros behind the end, as the original pads; attention is causal, so that they are never read.
        longest = max(len(ids) for ids in rows)
        return torch.stack([F.pad(torch.tensor(ids), (0, longest - len(ids))) for ids in rows])


def encoder_of(network: ImageBind, trunk: str, modality: Modality) -> Encoder:
    """The encoder of a trunk."""
    config = config_of(network.config, trunk)
    if isinstance(config, TextConfig):
        return TextTrunk(network, trunk, modality)
    if isinstance(config, ImuConfig):
        return ImuTrunk(network, trunk, modality)
    return (AudioTrunk if modality == "audio" else PatchTrunk)(network, trunk, modality)


def _behind_cls(items: int, tokens: int, device: torch.device, grid: tuple[int, int]) -> TokenAxis:
    """CLS first, then the tokens; all are valid."""
    valid = torch.ones(items, 1 + tokens, dtype=torch.bool, device=device)
    content = valid.clone()
    content[:, 0] = False
    return TokenAxis(valid, content, grid)
