"""Kinds of image with an anatomy of their own: the frontal chest film, and data packs read from TOML files."""

from matex.domains.pack import Pack, View
from matex.domains.registry import anatomy_of, check_domain, find_pack, is_anatomical, names, read_places

__all__ = ["Pack", "View", "anatomy_of", "check_domain", "find_pack", "is_anatomical", "names", "read_places"]
