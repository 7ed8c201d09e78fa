"""Execution of a benchmark: its plan, chunks, executors and run folder."""
