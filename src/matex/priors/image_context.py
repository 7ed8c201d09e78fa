"""Places that a phrase names in one image, for methods with a spatial prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from matex.domains import find_pack
from matex.geometry import Placement
from matex.phrases import Mention
from matex.priors.display import Display
from matex.priors.pack_prior import pack_prior
from matex.priors.spatial import SpatialPrior, spatial_prior


@dataclass(frozen=True, eq=False)
class ImageContext:
    """The anatomy a phrase mentions, and how the image it is about lies.

    The prior is drawn in the standard frame, in which the model sees a film however it lies (see Placement).

    Args:
        mentions: what the parser understood.
        placement: original image to patch grid.
        view: the projection as DICOM names it; None when unknown.
        lung_mask: [height, width] of the original image, 1 right lung, 2 left lung; None to use the atlas.
        domain: "chest", a data pack (`matex.domains`) or "natural"; a natural image has no anatomical prior.
        exchanged: draw every place on the patient's other side, for controls.
        spans: characters of the phrase that each token covers, special tokens (0, 0); empty where they are not known.
        display: how the image shows the patient, for a data pack.
    """

    mentions: tuple[Mention, ...]
    placement: Placement
    view: str | None = None
    lung_mask: NDArray[np.generic] | None = None
    domain: str = "chest"
    exchanged: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    display: Display | None = None

    def counted(self, printed: bool) -> tuple[Mention, ...]:
        """The mentions, as read, or all of them with weight 1 as MATEX's eq. 5 has no negation."""
        return tuple(replace(one, weight=1.0) for one in self.mentions) if printed else self.mentions

    def emphasis(self, printed: bool = False) -> NDArray[np.bool_]:
        """Tokens within the words of a place that counts, [token]."""
        inside = [(one.start, one.end) for one in self.counted(printed) if one.weight > 0]
        return np.array([any(a < end and start < b for start, end in inside) for a, b in self.spans], dtype=np.bool_)

    def prior(self, kind: str, laterality: str, printed: bool = False) -> SpatialPrior:
        """The normalised prior on the patch grid, [rows, columns] in [0, 1].

        The paper's parabola is read at patch centres, as printed; the others at every pixel of the model's input and
        then averaged over each patch, so that a thin region is never missed.

        Args:
            kind: see `spatial_prior`.
            laterality: likewise.
            printed: count negated, uncertain and past mentions fully.
        """
        x, y = self.placement.patch_fractions() if kind == "parabola" else self.placement.fractions()
        if self.display is not None and (pack := find_pack(self.domain)) is not None:
            exchanged = self.exchanged != (laterality == "paper")
            found = pack_prior(pack, self.counted(printed), self.display, x, y, kind, exchanged)
        else:
            found = self._chest_prior(x, y, kind, laterality, printed)
        if kind == "parabola":
            return found
        return SpatialPrior(self.placement.pixels_to_grid(found.values), found.neutral, found.reason)

    def _chest_prior(
        self, x: NDArray[np.floating], y: NDArray[np.floating], kind: str, laterality: str, printed: bool
    ) -> SpatialPrior:
        """The prior of a chest film, and the neutral one of images and sounds without anatomy."""
        return spatial_prior(
            self.counted(printed),
            x,
            y,
            kind=kind,
            laterality=laterality,
            mirrored=self.exchanged,
            view=self.view,
            lung_mask=None if self.lung_mask is None else self.placement.to_standard(self.lung_mask),
            domain=self.domain,
        )
