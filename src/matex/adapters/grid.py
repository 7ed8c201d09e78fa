"""Image encoders whose stages return a grid: ResNet, Swin. They have no attention over the whole image.

A network has the stages; `GridEncoder` flattens its grids to tokens, row by row, so that methods read them as those of
any other encoder. The grid becomes coarser from stage to stage, and each stage's axis says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from matex.adapters.encoder import State, TokenAxis
from matex.adapters.inputs import Pixels
from matex.errors import InputError
from matex.geometry import Size


class Network(Protocol):
    """Stages of an image encoder over grids [item, rows, columns, dim]."""

    @property
    def depth(self) -> int:
        """Number of stages."""
        ...

    def grid(self, size: Size) -> Size:
        """(rows, columns) behind the last stage for images of (height, width) pixels."""
        ...

    def start(self, pixels: Tensor) -> Tensor:
        """Pixels [item, 3, height, width] to the first stage's input."""
        ...

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        """Run one stage."""
        ...

    def pool(self, hidden: Tensor) -> Tensor:
        """Embedding from the last stage's output, not normalised, [item, joint]."""
        ...

    def parts(self) -> Mapping[str, list[nn.Module]]:
        """Modules by stage, from the output back: projection, norm, "block L-1", ..., "block 0", embeddings."""
        ...


class JointNetwork(Network, Protocol):
    """A network whose embedding is the mean over the places of the last grid, each read in the joint space."""

    def project(self, patches: Tensor) -> Tensor:
        """Places of the last stage's output to the joint space, not normalised, [..., dim] to [..., joint]."""
        ...


class LocalNetwork(JointNetwork, Protocol):
    """A network that was trained with single places of a stage in the joint space (GLoRIA)."""

    @property
    def local_stage(self) -> int:
        """The stage whose output `project_local` reads."""
        ...

    def project_local(self, patches: Tensor) -> Tensor:
        """Places of that stage's output to the joint space, not normalised, [..., dim] to [..., joint]."""
        ...


@dataclass(frozen=True, eq=False)
class GridEncoder(Pixels):
    """An image encoder as a chain of stages, whose tokens are the places of a grid.

    Args:
        network: has the stages.
        size: (height, width) of the images that the model was trained on, pixels.
        patch: (height, width) of one place of the last grid, pixels.
        missing: see `Encoder.missing`.
    """

    network: Network
    size: Size
    patch: Size
    missing: Mapping[str, str]
    modality: Literal["image"] = "image"
    taps: ClassVar[tuple[int, ...]] = ()

    @property
    def depth(self) -> int:
        return self.network.depth

    def axis(self, inputs: Tensor) -> TokenAxis:
        return _axis(inputs, self._grid(inputs))

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        self._grid(entry)
        return _state(self.network.start(entry))

    def stage(self, layer: int, state: State) -> State:
        return _state(self.network.stage(layer, _places(state)))

    def pool(self, state: State) -> Tensor:
        return self.network.pool(_places(state))

    def stages(self) -> dict[str, list[nn.Parameter]]:
        weights = {
            name: [w for part in parts for w in part.parameters()] for name, parts in self.network.parts().items()
        }
        return {name: some for name, some in weights.items() if some}

    def _grid(self, pixels: Tensor) -> Size:
        """(rows, columns) of the last grid.

        Raises:
            InputError: images whose grid would not consist of whole patches.
        """
        size = (pixels.shape[-2], pixels.shape[-1])
        grid = self.network.grid(size)
        if size != self.size and (grid[0] * self.patch[0], grid[1] * self.patch[1]) != size:
            raise InputError(
                f"Expected images of {self.size[0]}x{self.size[1]} pixels, or with sides that are multiples of "
                f"{self.patch[0]} and {self.patch[1]}, got {size[0]}x{size[1]} (height x width). Resize them."
            )
        return grid


@dataclass(frozen=True, eq=False)
class JointGridEncoder(GridEncoder):
    """A grid encoder whose places can be read in the joint space; their mean is the embedding before normalisation."""

    network: JointNetwork

    def project(self, tokens: Tensor) -> Tensor:
        return self.network.project(tokens)


@dataclass(frozen=True, eq=False)
class LocalGridEncoder(JointGridEncoder):
    """A grid encoder with local features of their own."""

    network: LocalNetwork

    @property
    def local_stage(self) -> int:
        return self.network.local_stage

    def project_local(self, tokens: Tensor) -> Tensor:
        return self.network.project_local(tokens)


def patch_of(network: Network, size: Size) -> Size:
    """(height, width) of one place of a network's last grid for images of this size, pixels, rounded down."""
    rows, columns = network.grid(size)
    return (size[0] // rows, size[1] // columns)


def no_attention(network: str, input_name: str = "image") -> dict[str, str]:
    """Requirements of methods that a network without attention over its whole input does not meet, with the reason."""
    reason = f"{network} has no attention over the whole {input_name}"
    return {"readout": f"{network} pools a grid", "attention": reason}


def _axis(inputs: Tensor, grid: Size) -> TokenAxis:
    """All places of a grid, row by row."""
    every = torch.ones(len(inputs), grid[0] * grid[1], dtype=torch.bool, device=inputs.device)
    return TokenAxis(every, every, grid)


def _state(hidden: Tensor) -> State:
    """A grid [item, rows, columns, dim] as the state of its places."""
    return State(hidden.flatten(1, 2), _axis(hidden, (hidden.shape[1], hidden.shape[2])))


def _places(state: State) -> Tensor:
    """The tokens of a state as their grid [item, rows, columns, dim]."""
    assert state.axis.grid is not None
    return torch.unflatten(state.hidden, 1, state.axis.grid)
