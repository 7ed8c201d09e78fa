"""matex explain TABLE: every row of a table, reported as soon as it is done."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from matex.cli.option_groups import FilmOptions, ModelOptions, ScoreOptions
from matex.errors import InputError
from matex.registry import Parameters

if TYPE_CHECKING:
    from matex.explain_table import RowResult


def explain_table(
    table: Path,
    out: Path,
    method: str,
    parameters: Parameters,
    on_error: Literal["stop", "skip"],
    score: ScoreOptions,
    film: FilmOptions,
    model: ModelOptions,
    json: bool,
) -> None:
    """Explain every row into a folder of its own.

    Raises:
        InputError: rows that could not be explained, after all others were.
    """
    import logging

    from matex.explain_table import RESULTS, check_table
    from matex.explain_table import explain_table as rows_of
    from matex.files import check_folder
    from matex.serialise import strict_json

    explained = score.read()
    check_table(table, score.labels is not None)
    check_folder(out)
    loaded = model.load()
    logging.getLogger("matex").addHandler(logging.NullHandler())  # rows that are skipped are printed here
    rows = rows_of(
        loaded,
        table,
        out,
        method,
        on_error=on_error,
        resize=film.resize,
        domain=film.domain,
        view=film.view,
        mirrored=film.mirrored,
        **explained,
        **parameters,
    )
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.status] += 1
        line = " ".join(strict_json(dataclasses.asdict(row)).split("\n")) if json else _line(row)
        print(line, flush=True)
    if not json:
        print(
            f"\n{counts['done']} explained, {counts['kept']} kept from an earlier run, {counts['failed']} failed. "
            f"{out / RESULTS} lists all rows. Not for diagnosis."
        )
    if counts["failed"]:
        raise InputError(
            f"Expected that every row of {table.name} can be explained, got {counts['failed']} of "
            f"{counts.total()} that cannot: {out / RESULTS} says why. The others are written."
        )


def _line(row: RowResult) -> str:
    """Score, folder and phrase of a row, or why it failed."""
    from matex.render.panel import format_score

    if row.status == "failed":
        return f"failed  line {row.line}: {row.error}"
    score = format_score(math.nan if row.score is None else row.score)
    text = row.text if row.text or not row.label else f"predicted: {row.label}"
    return f"{score:>6}  {row.folder}  {text}{' (kept)' if row.status == 'kept' else ''}"
