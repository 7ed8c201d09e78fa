"""Readings of other sensors than cameras and microphones: depth, thermal images, motion. No torch."""
