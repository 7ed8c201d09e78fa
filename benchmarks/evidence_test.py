"""Open the films that are kept for the final test of a release: once per version, and the record says when.

    python benchmarks/evidence_test.py            # make evidence-test

Runs examples/evidence-test.toml into runs/evidence-test-VERSION, makes its report, and appends version, date, commit
and the models' weights to docs/evidence-test.jsonl. A version that stands there already is refused: numbers that are
looked at more than once become part of what is chosen.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "examples" / "evidence-test.toml"
RECORD = ROOT / "docs" / "evidence-test.jsonl"


def opened(record: Path) -> dict[str, str]:
    """Versions that opened the test, with their dates."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return {row["version"]: row["date"] for row in map(json.loads, lines)}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the run folder goes")
    given = parser.parse_args(arguments)
    release = version("matex")
    if release in (before := opened(RECORD)):
        raise SystemExit(f"Expected a version whose test is closed, got {release}, opened on {before[release]}.")
    if subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True).stdout:
        raise SystemExit("Expected a clean checkout, so that the record names the code. Commit first.")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    folder = given.runs / f"evidence-test-{release}"
    for verb in (["benchmark", str(CONFIG), "-o", str(folder)], ["report", str(folder)]):
        subprocess.run([sys.executable, "-m", "matex", *verb], cwd=ROOT, check=True)
    weights = json.loads((folder / "run.json").read_text(encoding="utf-8"))["weights"]
    row = {"version": release, "date": datetime.date.today().isoformat(), "commit": commit.strip(), "weights": weights}
    with RECORD.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
