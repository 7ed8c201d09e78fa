"""Reports of benchmark runs: statistics, tables, figures and cases as HTML, LaTeX and CSV."""

from matex.benchmark.report.write import write_report

__all__ = ["write_report"]
