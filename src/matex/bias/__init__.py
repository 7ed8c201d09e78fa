"""Which words go with which regions over a data set, and whether that depends on sex, age, view, device or markers."""

from matex.bias.compare import Associations, associations

__all__ = ["Associations", "associations"]
