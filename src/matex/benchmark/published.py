"""The papers' numbers under the name that 0.1 documented; they live in `matex.benchmark.report.papers`."""

from matex.benchmark.report.papers import DEFECTS, TABLES

__all__ = ["DEFECTS", "TABLES"]
