"""python -m tests.fuzz --seed 0 --minutes 6: every class for an equal share of the processor time, and a table."""

from __future__ import annotations

import argparse
import faulthandler
import sys
from collections.abc import Sequence

from tests.fuzz import commands, dicom, films, misuse, models, phrases, runner, saved, tables

CLASSES = (films, dicom, models, saved, commands, phrases, misuse, tables)
MANY = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=6.0, help="of processor time, for all classes together")
    parser.add_argument("--only", choices=[kind.NAME for kind in CLASSES], help="one class")
    parser.add_argument("--number", type=int, help="with --only: this case alone, as faults name it")
    given = parser.parse_args(arguments)
    faulthandler.enable()  # a decoder that ends the process says in which case
    chosen = [kind for kind in CLASSES if given.only in (None, kind.NAME)]
    rows: list[tuple[str, str, runner.Tally]] = []
    for kind in chosen:
        cases = kind.cases(given.seed, MANY if given.number is None else given.number + 1)
        if given.number is not None:
            cases = list(cases)[-1:]
        tally = runner.run(cases, given.minutes * 60 / len(chosen))
        print(f"{kind.NAME}: {tally}", file=sys.stderr, flush=True)
        rows.append((kind.NAME, kind.MUTATED, tally))
    print(table(rows))
    return int(any(tally.faults for *_, tally in rows))


def table(rows: Sequence[tuple[str, str, runner.Tally]]) -> str:
    """The table of docs/robustness.md."""
    lines = [
        "| class | what is mutated | tried | handled | of these refused | slowest | memory |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, mutated, tally in rows:
        lines.append(
            f"| {name} | {mutated} | {tally.tried:,} | {tally.handled:,} | {tally.outcomes['refused']:,} "
            f"| {tally.slowest:.1f} s | {tally.memory / (1 << 20):.0f} MiB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
