"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from matex.simulation.training.families import Name

Supervision = Literal["place", "film"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run."""

    seed: int = 0
    minutes: float = 172.0
    """Length of the schedule in minutes of training, resumed ones included."""
    steps: int | None = None
    """Length of the schedule in steps, instead of minutes."""
    batch: int = 32
    simulated: int = 22
    """Films of a batch with simulated findings; with `real` and plain normal films they fill the batch."""
    real: int = 7
    rate: float = 1e-3
    decay: float = 0.05
    warmup: float = 0.03
    average: float = 0.998
    """Decay of the moving average of the weights, which is what ships."""
    local: float = 1.0
    auxiliary: float = 1.0
    """Weight of the auxiliary heads at the start; it falls to nothing at the end."""
    guide: float = 0.4
    """Weight of the readout's attention on the findings at the start; it falls to nothing at 90 %."""
    small: float = 0.25
    """Share of the schedule at 64 px instead of 112."""
    first: int = 4000
    """Simulated films to begin with."""
    films: int = 12000
    """Simulated films kept to draw from; new ones replace the oldest."""
    fresh: int = 12
    """Most new ones per step, so that the simulator leaves the processor to the training."""
    keep: float = 0.0
    """Share that a model which the run started from keeps in what ships (WiSE-FT, arXiv:2109.01903)."""
    family: Name = "clip"
    """Kind of model, see `families`."""
    supervision: Supervision = "place"
    """"place": the losses also say where in the film a finding lies; "film": only whether it is in the film."""
    frozen_text: float = 0.0
    """Share of the schedule during which a text tower taken from another model stays as it is."""

    def with_batch(self, batch: int) -> Recipe:
        """The same recipe with this many films per step, in the same proportions."""
        scale = batch / self.batch
        return replace(self, batch=batch, simulated=round(scale * self.simulated), real=round(scale * self.real))
