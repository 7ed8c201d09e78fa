"""Training and evaluation of the bundled model; `python -m matex.simulation.training --help`."""
