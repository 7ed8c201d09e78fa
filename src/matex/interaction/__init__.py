"""Which word goes with which place: interactions of the two sides of a score."""

from matex.interaction.compute import interactions
from matex.interaction.result import Interactions, Support

__all__ = ["Interactions", "Support", "interactions"]
