"""A table of images and phrases explained row by row into a folder; an interrupted run is resumed."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from matex.adapters.model import Model
from matex.attribution import make
from matex.audio.recording import is_sound_file
from matex.checks import is_mapping, read_bytes, read_json
from matex.corpus import explain_each
from matex.datasets.sample import Problem
from matex.datasets.tables import Row, Unusable, read_rows
from matex.dicom.view_position import check_view
from matex.errors import InputError, shown
from matex.explained_score import ExplainedScore, Labels
from matex.files import NAMES, replacing
from matex.geometry import Resize
from matex.images import MAX_BYTES
from matex.objectives import ClassScore, ClassScoreKind, Pooling, choose_class
from matex.pair_stream import OnError, Pair, Skipped
from matex.queries import Domain
from matex.results import Explanation
from matex.serialise import method_parameters, strict_json
from matex.spreadsheets import spreadsheet_safe

RESULTS = "results.csv"
COLUMNS = ("line", "image", "text", "status", "score", "folder", "error", "label")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class RowResult:
    """Result of one row.

    Args:
        line: of the table, the header is 1.
        image: as the table names it.
        text: the phrase, or the class; empty for the predicted one.
        status: "done"; "kept" when the folder held this very explanation; "failed".
        score: the explained one, by default cosine similarity; None for a failed row.
        folder: name of the row's folder; empty for a failed row.
        error: why it failed.
        label: explained class; empty without labels and for a failed row.
    """

    line: int
    image: str
    text: str
    status: Literal["done", "kept", "failed"]
    score: float | None = None
    folder: str = ""
    error: str = ""
    label: str = ""


def explain_table(
    model: Model,
    table: Path,
    out: Path,
    method: str = "matex",
    *,
    on_error: OnError = "stop",
    against: str | None = None,
    labels: Labels | None = None,
    of: ClassScoreKind = "logit",
    pool: Pooling = "mean",
    resize: Resize = "model",
    domain: Domain = "chest",
    view: str | None = None,
    mirrored: bool | None = None,
    **parameters: object,
) -> Generator[RowResult]:
    """Explain the rows of a table as a stream; each gets a folder in `out`, `results.csv` lists all of them.

    A row's folder is named after its image and a hash of its cells. A folder that holds the row's explanation, by the
    same method, settings and weights from the same image file, is kept, so that a stopped run goes on.

    Args:
        table: CSV, TSV, JSON or JSON lines with columns image (relative to the table) and text, and optionally view
            and mirrored. With `labels` text names the class of each row, and where it is empty or missing the predicted
            one is explained.
        out: folder; `results.csv` in it is written when all rows were read.
        on_error: "stop" raises at the first row that cannot be explained, "skip" reports it as failed.
        model, method, against, labels, of, pool, resize, domain, view, mirrored, parameters: see `explain_each`.

    Yields:
        One result per row, in their order.

    Raises:
        InputError: no such table or columns; with "stop" a row that cannot be explained, naming its line.
        UnknownName: no such method, parameter or view.
    """
    check_view(view)
    score = ExplainedScore(model, against, labels, of, pool)
    expected = {
        "method": method,
        "parameters": json.loads(strict_json(method_parameters(make(method, parameters)))),
        "provenance.resize": resize,
        "provenance.domain": domain,
        "provenance.model.weights_sha256": model.weights_sha256,
    }
    waiting: deque[tuple[_PairRow, RowResult | None]] = deque()  # rows read ahead; None where the model is at work

    def pairs() -> Iterator[Pair]:
        for row in _rows(table, view, mirrored, score.classes is not None):
            result = row.failed(row.error) if row.error else row.kept(out, {**expected, **_of_score(score, row.text)})
            waiting.append((row, result))
            if result is None:
                yield Pair(row.path, row.text or None, row.view, row.mirrored)

    def finished() -> Iterator[RowResult]:
        while waiting and (result := waiting[0][1]) is not None:
            row, _ = waiting.popleft()
            if result.status == "failed" and on_error == "stop":
                raise InputError(f"Line {row.line} of {table.name}: {result.error}")
            yield result

    def results() -> Iterator[RowResult]:
        # Rows at fault are identified here, by their lines in the table.
        explanations = explain_each(
            model,
            pairs(),
            method,
            on_error="skip",
            against=against,
            labels=labels,
            of=of,
            pool=pool,
            resize=resize,
            domain=domain,
            **parameters,
        )
        for result in explanations:
            yield from finished()
            row, _ = waiting.popleft()
            if isinstance(result, Skipped):
                waiting.appendleft((row, row.failed(str(result.error))))
                yield from finished()
            else:
                yield row.saved(result, out)
        yield from finished()

    with replacing(out / RESULTS) as file, file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for result in results():
            cells = asdict(result)
            writer.writerow([spreadsheet_safe(cells[name]) for name in COLUMNS])
            yield result


def _of_score(score: ExplainedScore, text: str) -> dict[str, object]:
    """Columns of the explained score, by dotted names, from the record of a row's explanation."""
    if score.classes is None:
        return {"text": text, "provenance.objective": None if score.against is None else {"against": score.against}}
    try:
        classes, name = choose_class(score.classes, text or None)
    except InputError:
        return {"text": None}  # explained again, which says what is wrong
    known = {"labels": {key: list(prompts) for key, prompts in classes.items()}, "of": score.of, "pool": score.pool}
    known |= {"predicted": True} if name is None else {"class": name, "predicted": False}
    return {f"provenance.objective.{key}": value for key, value in known.items()}


def check_table(table: Path, classes: bool = False) -> None:
    """Refuse a table without rows or the columns that it needs, before a model is loaded for it.

    Args:
        table: of images and phrases.
        classes: whether classes are explained, whose names may be left out.

    Raises:
        InputError: no such file, or not such a table.
    """
    if not table.is_file():
        raise InputError(f"Expected a table of images and phrases, got no file: {shown(str(table))}. Check the path.")
    problems: list[Problem] = []
    if next(read_rows(table, _needed(classes), problems), None) is None and not problems:
        raise InputError(f"Expected a row for each pair in {shown(table.name)}, got none. Add them below the header.")


def _needed(classes: bool) -> tuple[str, ...]:
    return ("image",) if classes else ("image", "text")


@dataclass(frozen=True)
class _PairRow:
    """One row as it was read; `error` says why it cannot be explained."""

    line: int
    image: str
    text: str
    path: Path
    view: str | None = None
    mirrored: bool | None = None
    error: str = ""

    @property
    def folder(self) -> str:
        """Name of the row's folder: the image's, and a hash of what the row says."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", self.path.stem).strip("._")[:60] or "image"
        cells = json.dumps([self.image, self.text, self.view, self.mirrored])
        return f"{stem}-{hashlib.sha256(cells.encode()).hexdigest()[:10]}"

    def failed(self, error: str) -> RowResult:
        return RowResult(self.line, self.image, self.text, "failed", error=error)

    def saved(self, explanation: Explanation, out: Path) -> RowResult:
        """Write the explanation into the row's folder."""
        explanation.save(out / self.folder)
        objective = explanation.query.objective
        label = objective.explained if isinstance(objective, ClassScore) else ""
        return RowResult(self.line, self.image, self.text, "done", explanation.score, self.folder, label=label)

    def kept(self, out: Path, expected: Mapping[str, object]) -> RowResult | None:
        """The result of an earlier run that explained this row alike; None where there is none."""
        folder = out / self.folder
        if not all((folder / name).is_file() for name in NAMES):
            return None
        try:
            record = read_json(folder / "explanation.json", "a record")
            image = hashlib.sha256(read_bytes(self.path, "an image file", MAX_BYTES)).hexdigest()
        except InputError:
            return None  # explained again, which says what is wrong
        wanted = {**expected, "provenance.image.sha256": image}
        if is_sound_file(self.path):
            wanted["provenance.domain"] = "sound"
        if any(_entry(record, name) != value for name, value in wanted.items()):
            return None
        label = _entry(record, "provenance.objective.class") or ""
        score = record.get("score")
        score = float(score) if isinstance(score, int | float) else None
        return RowResult(self.line, self.image, self.text, "kept", score, self.folder, label=str(label))


def _rows(table: Path, view: str | None, mirrored: bool | None, classes: bool) -> Iterator[_PairRow]:
    """The rows of the table, those at fault with their error, in the order of their lines."""
    problems: list[Problem] = []
    for row in read_rows(table, _needed(classes), problems):
        yield from _at_fault(problems)
        yield _row(row, table.parent, view, mirrored, classes)
    yield from _at_fault(problems)


def _at_fault(problems: list[Problem]) -> Iterator[_PairRow]:
    yield from (_PairRow(problem.row or 0, "", "", Path(), error=problem.said) for problem in problems)
    problems.clear()


def _row(row: Row, folder: Path, view: str | None, mirrored: bool | None, classes: bool) -> _PairRow:
    try:
        image, text = row.text("image"), (row.optional("text") or "") if classes else row.text("text")
    except Unusable as error:
        return _PairRow(row.number, "", "", Path(), error=str(error))
    given = (row.optional("mirrored") or "").lower()
    if given and given not in _TRUTH:
        return _PairRow(
            row.number, image, text, Path(), error="Expected true or false in column 'mirrored', got another."
        )
    return _PairRow(
        row.number, image, text, folder / image, row.optional("view") or view, _TRUTH[given] if given else mirrored
    )


def _entry(record: object, name: str) -> object:
    """The entry of a record at a dotted name; None where there is none."""
    for part in name.split("."):
        record = record.get(part) if is_mapping(record) else None
    return record
