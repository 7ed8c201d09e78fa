"""Spatial priors from text: phrase (anatomy.py), regions of the patient (atlas.py), weights (spatial.py)."""
