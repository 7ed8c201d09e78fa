"""MIMIC-CXR-JPG: frontal films with a section of their report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from matex.datasets.layout import Layout, Reading, check_choice, cluster, identity
from matex.datasets.pictures import inside, table_of
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Unusable, clean, leaving_out, once, read_lines, read_rows
from matex.errors import InputError
from matex.phrases.sections import sections

SECTIONS = ("findings", "impression")
SPLITS = {"train": "train", "validate": "val", "test": "test"}
PATIENT = re.compile(r"(?:^|/)p(\d{8})/")


@DATASETS("mimic-cxr")
@dataclass(frozen=True)
class MimicCxr(Layout):
    """Films and reports without boxes. One sample per film; films of a study share their report's text.

    Args:
        root: folder of MIMIC-CXR-JPG: files/p10/..., mimic-cxr-*-metadata.csv[.gz], mimic-cxr-*-split.csv[.gz].
        reports: folder of the reports, files/p10/p.../s....txt; None: root.
        section: of the report, "findings" or "impression".
        split: "train", "val" or "test"; None: all.
        views: ViewPosition of the films that are used.
        without: table of MS-CXR whose patients are left out, as must be done before training or tuning anything
            that is then measured on MS-CXR.

    Source:
        physionet.org/content/mimic-cxr-jpg.
    """

    domain: ClassVar[str] = "chest"

    root: Path
    reports: Path | None = None
    section: str = "impression"
    split: str | None = "test"
    views: tuple[str, ...] = ("AP", "PA")
    without: Path | None = None

    def __post_init__(self) -> None:
        check_choice("section", self.section, SECTIONS)
        check_choice("split", self.split, (None, *SPLITS.values()))

    def read(self) -> Reading:
        problems: list[Problem] = []
        metadata = table_of(self.root, ("mimic-cxr-*-metadata.csv", "mimic-cxr-*-metadata.csv.gz"))
        splits = self._splits(problems)
        barred = self._barred(problems)
        section = lru_cache(maxsize=16)(self._section)
        samples: list[Sample] = []
        seen: set[str] = set()
        silent = unplaced = 0
        columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
        for row in read_rows(metadata, columns, problems):
            with leaving_out(row, problems):
                dicom, subject, study = (row.text(column) for column in columns[:3])
                split, view = splits.get(dicom), row.optional("ViewPosition")
                if view not in self.views or subject in barred:
                    continue
                if self.split is not None and split is None:
                    unplaced += 1
                if self.split not in (None, split):
                    continue
                folder = f"files/p{subject[:2]}/p{subject}"
                image = inside(self.root, f"{folder}/s{study}/{dicom}.jpg")
                text = section(f"{folder}/s{study}.txt")
                if not text:
                    silent += 1
                    continue
                once(dicom, seen)
                identifier = identity("mimic-cxr", dicom, self.section)
                samples.append(
                    Sample(
                        identifier,
                        image,
                        text,
                        cluster=cluster("patient", "mimic-cxr", subject),
                        split=split,
                        view=view,
                    )
                )
        if unplaced:
            problems.append(Problem(metadata.name, None, f"{unplaced} films left out: the table of splits names none."))
        if silent:
            problems.append(
                Problem(metadata.name, None, f"{silent} films left out: their report has no {self.section}.")
            )
        return Reading(samples, problems)

    def _splits(self, problems: list[Problem]) -> dict[str, str | None]:
        table = table_of(self.root, ("mimic-cxr-*-split.csv", "mimic-cxr-*-split.csv.gz"))
        rows = read_rows(table, ("dicom_id", "split"), problems)
        return {str(row.cells["dicom_id"]).strip(): SPLITS.get(str(row.cells["split"]).strip()) for row in rows}

    def _barred(self, problems: list[Problem]) -> frozenset[str]:
        """Patients of MS-CXR, from the paths in its table.

        Raises:
            InputError: a path without a patient, whose films would stay in.
        """
        if self.without is None:
            return frozenset()
        patients: set[str] = set()
        for row in read_rows(self.without, ("path",), problems):
            found = PATIENT.search((row.optional("path") or "").replace("\\", "/"))
            if found is None:
                raise InputError(
                    f"Expected paths such as files/p10/p10000032/... in {row.file}, got another in row {row.number}: "
                    "a patient whom it does not name cannot be left out. Take the table as it was handed out."
                )
            patients.add(found.group(1))
        return frozenset(patients)

    def _section(self, name: str) -> str:
        try:
            report = inside(self.reports or self.root, name)
        except Unusable:
            raise Unusable("Expected the report of this film, found no such file. Check reports.") from None
        return section_of("\n".join(line for _, line in read_lines(report)), self.section)


def section_of(report: str, section: str) -> str:
    """Text of a section, sub-headings included; empty when the report has none.

    Only a known name begins or ends a section (`matex.phrases.sections`). A section that comes twice, as in an
    addendum, is joined in order; FINDINGS AND IMPRESSION serves both.
    """
    parts = [part for part in sections(report) if section in part.name]
    return clean(" ".join(dict.fromkeys(report[part.start : part.end].strip() for part in parts)))
