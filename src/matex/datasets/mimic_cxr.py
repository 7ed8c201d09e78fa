"""MIMIC-CXR-JPG: frontal films with a section of their report, or with the labels of CheXpert or NegBio."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from matex.datasets.layout import Layout, Reading, check_choice, check_template, cluster, identity
from matex.datasets.pictures import inside, table_of
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Unusable, clean, leaving_out, once, read_lines, read_rows
from matex.errors import InputError
from matex.phrases.sections import sections

SECTIONS = ("findings", "impression")
LABELERS = ("chexpert", "negbio")
FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
POSITIVE, NEGATIVE, UNCERTAIN = 1.0, 0.0, -1.0  # in the tables of labels; empty: not mentioned
SPLITS = {"train": "train", "validate": "val", "test": "test"}
PATIENT = re.compile(r"(?:^|/)p(\d{8})/")


@DATASETS("mimic-cxr")
@dataclass(frozen=True)
class MimicCxr(Layout):
    """Films without boxes. One sample per film and its report's text, or per film and positive label of its study.

    Args:
        root: folder of MIMIC-CXR-JPG: files/p10/..., mimic-cxr-*-metadata.csv[.gz], mimic-cxr-*-split.csv[.gz].
        reports: folder of the reports, files/p10/p.../s....txt; None: root.
        section: of the report, "findings" or "impression".
        split: "train", "val" or "test"; None: all.
        views: ViewPosition of the films that are used.
        labels_of: "chexpert" or "negbio": the phrases are the labels that this program found in the report, of
            mimic-cxr-*-chexpert.csv[.gz] or -negbio.csv[.gz]; None: the phrases are the reports' sections.
        template: with `labels_of`, of the phrase; {} is the label.
        uncertain: with `labels_of`, "negative" leaves uncertain labels (-1) out, "positive" takes them as positive.
        patients: patients.csv[.gz] of MIMIC-IV, for the attributes sex and age; None: without.
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
    labels_of: str | None = None
    template: str = "{}"
    uncertain: str = "negative"
    patients: Path | None = None
    without: Path | None = None

    def __post_init__(self) -> None:
        check_choice("section", self.section, SECTIONS)
        check_choice("split", self.split, (None, *SPLITS.values()))
        check_choice("labels_of", self.labels_of, (None, *LABELERS))
        check_choice("uncertain", self.uncertain, ("negative", "positive"))
        check_template(self.template)

    def read(self) -> Reading:
        problems: list[Problem] = []
        metadata = table_of(self.root, ("mimic-cxr-*-metadata.csv", "mimic-cxr-*-metadata.csv.gz"))
        splits = self._splits(problems)
        barred = self._barred(problems)
        section = lru_cache(maxsize=16)(self._section)
        labels = self._labels(problems)
        people = self._people(problems)
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
                phrases = labels.get(study, ()) if self.labels_of else (section(f"{folder}/s{study}.txt"),)
                if not any(phrases):
                    silent += 1
                    continue
                once(dicom, seen)
                about = {"split": split, "view": view, "attributes": people.get(subject, {})}
                samples += [self._sample(dicom, image, phrase, subject, **about) for phrase in phrases]
        if unplaced:
            problems.append(Problem(metadata.name, None, f"{unplaced} films left out: the table of splits names none."))
        if silent:
            lacking = f"positive label of {self.labels_of}" if self.labels_of else self.section
            problems.append(Problem(metadata.name, None, f"{silent} films left out: their report has no {lacking}."))
        known = {name.lower(): (self._phrase(name),) for name in FINDINGS} if self.labels_of else {}
        return Reading(samples, problems, known)

    def _sample(self, dicom: str, image: Path, phrase: str, subject: str, **about: Any) -> Sample:
        """One film with a section of its report, or with one label, which `phrase` then names."""
        patient = cluster("patient", "mimic-cxr", subject)
        if self.labels_of is None:
            return Sample(identity("mimic-cxr", dicom, self.section), image, phrase, cluster=patient, **about)
        label = phrase.lower()
        name = identity("mimic-cxr", dicom, self.labels_of, label)
        return Sample(name, image, self._phrase(phrase), label=label, group=label, cluster=patient, **about)

    def _phrase(self, finding: str) -> str:
        return self.template.replace("{}", finding.lower())

    def _labels(self, problems: list[Problem]) -> dict[str, tuple[str, ...]]:
        """Positive labels of each study."""
        if self.labels_of is None:
            return {}
        pattern = f"mimic-cxr-*-{self.labels_of}.csv"
        table = table_of(self.root, (pattern, f"{pattern}.gz"))
        taken = (POSITIVE, UNCERTAIN) if self.uncertain == "positive" else (POSITIVE,)
        found: dict[str, tuple[str, ...]] = {}
        for row in read_rows(table, ("study_id", *FINDINGS), problems):
            with leaving_out(row, problems):
                values = {name: row.number_in(name) for name in FINDINGS if row.optional(name) is not None}
                if other := sorted(set(values.values()) - {POSITIVE, NEGATIVE, UNCERTAIN}):
                    raise Unusable(f"Expected labels 1, 0, -1 or nothing, got {other[0]:g}.")
                found[row.text("study_id")] = tuple(name for name, value in values.items() if value in taken)
        return found

    def _people(self, problems: list[Problem]) -> dict[str, dict[str, object]]:
        """Sex and age of each patient, the latter in the year that MIMIC-IV anchors to."""
        if self.patients is None:
            return {}
        rows = read_rows(self.patients, ("subject_id", "gender", "anchor_age"), problems)
        return {
            str(row.cells["subject_id"]).strip(): {
                "sex": row.optional("gender"),
                "age": int(age) if (age := row.optional("anchor_age") or "").isdecimal() else None,
            }
            for row in rows
        }

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
