"""Associations of words with regions over a data set, and their differences by sex, age, view, device or markers."""

from matex.bias.compare import Associations, associations

__all__ = ["Associations", "associations"]
