"""Code shared by several attribution methods; no file of this folder registers a method."""
