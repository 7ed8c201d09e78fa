"""Words against places: interactions of the two sides of a score."""

from matex.interaction.compute import interactions
from matex.interaction.pair_curves import PairCurves, pair_curves
from matex.interaction.result import Interactions, Support

__all__ = ["Interactions", "PairCurves", "Support", "interactions", "pair_curves"]
