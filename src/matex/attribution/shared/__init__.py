"""What several attribution methods use: no file of this folder registers a method."""
