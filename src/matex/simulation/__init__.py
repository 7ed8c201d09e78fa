"""Simulation of findings at known places in real normal films."""

from matex.simulation.chest import Lungs, find_lungs
from matex.simulation.film import PlacedFinding, SimulatedFilm, simulate
from matex.simulation.phrases import FINDINGS, all_canonical, canonical, phrase

__all__ = [
    "FINDINGS",
    "Lungs",
    "PlacedFinding",
    "SimulatedFilm",
    "all_canonical",
    "canonical",
    "find_lungs",
    "phrase",
    "simulate",
]
