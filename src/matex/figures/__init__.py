"""Figures of the papers with one's own films and models; importing this registers every kind."""

from matex.figures import attention, classes, layers, methods, words
from matex.figures.config import load_figure
from matex.figures.kind import FIGURES
from matex.figures.write import draw, write

__all__ = ["FIGURES", "attention", "classes", "draw", "layers", "load_figure", "methods", "words", "write"]
