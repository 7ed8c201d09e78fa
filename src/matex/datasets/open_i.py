"""Open-i, the Indiana University chest films with reports, in the layout of Kaggle or of the NLM."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from matex.checks import open_regular
from matex.datasets.layout import Layout, Reading, check_choice, cluster, identity
from matex.datasets.pictures import contained, inside, subfolder, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import Row, Unusable, clean, leaving_out, once, read_rows
from matex.errors import InputError, shown
from matex.phrases.sections import section_name

SECTIONS = ("findings", "impression")
MAX_XML = 1 << 20  # bytes; a report is some thousands
REPORTS, PROJECTIONS = "indiana_reports.csv", "indiana_projections.csv"


@DATASETS("open-i")
@dataclass(frozen=True)
class OpenI(Layout):
    """Films and a section of their report, without boxes. Anonymised words read XXXX.

    Args:
        root: Kaggle's folder with indiana_reports.csv, indiana_projections.csv and images/images_normalized, or the
            NLM's with ecgen-radiology/*.xml and NLMCXR_png.
        section: of the report, "findings" or "impression".
        frontal: only frontal films. The NLM's files do not say which are; with those it must be false.

    Source:
        "Preparing a collection of radiology examinations for distribution and retrieval", JAMIA 2016;
        openi.nlm.nih.gov.
    """

    domain: ClassVar[str] = "chest"

    root: Path
    section: str = "findings"
    frontal: bool = True

    def __post_init__(self) -> None:
        check_choice("section", self.section, SECTIONS)

    def read(self) -> Reading:
        problems: list[Problem] = []
        if (self.root / REPORTS).exists():
            films = self._kaggle(problems)
        elif self.frontal:
            raise InputError(
                f"Expected {REPORTS} in {shown(self.root)}, got none. For the NLM's XML files set frontal = false: "
                "they do not say which films are frontal."
            )
        else:
            films = self._nlm(problems)
        return Reading(list(films), problems)

    def _kaggle(self, problems: list[Problem]) -> Iterator[Sample]:
        reports = {
            str(row.cells["uid"]).strip(): row
            for row in read_rows(table(self.root, REPORTS), ("uid", "Problems", *SECTIONS), problems)
        }
        folder = subfolder(self.root, ("images/images_normalized", "images_normalized", "images"))
        seen: set[str] = set()
        for row in read_rows(table(self.root, PROJECTIONS), ("uid", "filename", "projection"), problems):
            with leaving_out(row, problems):
                view, report = row.text("projection").upper(), reports.get(row.text("uid"))
                if self.frontal and view != "FRONTAL":
                    continue
                if report is None:
                    raise Unusable(f"Expected a report of this uid in {REPORTS}, found none.")
                group = (report.optional("Problems") or "").split(";")[0]
                sample = self._sample(
                    inside(self.root, folder + row.text("filename")), report, group, view, row.text("uid")
                )
                once(row.text("filename"), seen)
                yield sample

    def _nlm(self, problems: list[Problem]) -> Iterator[Sample]:
        texts = self.root / subfolder(self.root, ("ecgen-radiology",))
        images = subfolder(self.root, ("NLMCXR_png", "images"))
        files = sorted(texts.glob("*.xml"))
        if not files:
            raise InputError(
                f"Expected {REPORTS} or ecgen-radiology/*.xml in {shown(self.root)}, got none. Check the path (root)."
            )
        seen: set[str] = set()
        for file in files:
            nothing = Row(file.name, 1, {})
            with leaving_out(nothing, problems):
                tree = _parsed(contained(self.root, file))
                parts = [
                    (section_name(part.get("Label") or ""), "".join(part.itertext()))
                    for part in tree.iter("AbstractText")
                ]
                sections = {name: " ".join(text for label, text in parts if name in label) for name in SECTIONS}
                subject = next((clean("".join(part.itertext())) for part in tree.findall("MeSH/major")), "")
                for image in tree.iter("parentImage"):
                    with leaving_out(nothing, problems):
                        path = inside(self.root, f"{images}{image.get('id')}.png")
                        sample = self._sample(path, Row(file.name, 1, sections), subject.split("/")[0], None, file.stem)
                        once(path.name, seen)
                        yield sample

    def _sample(self, path: Path, report: Row, group: str, view: str | None, study: str) -> Sample:
        return Sample(
            id=identity("open-i", path.name, self.section),
            image=path,
            text=report.text(self.section),
            cluster=cluster("study", "open-i", study),
            group=group,
            view=view,
        )


def _parsed(file: Path) -> ElementTree.Element:
    """Parse a small XML file without declarations: entities could expand to any size or read other files."""
    try:
        with open_regular(file, "an XML report", MAX_XML, shown(file.name)) as stream:
            text = stream.read(MAX_XML).decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise Unusable("Expected a plain XML report, got one that declares entities.")
        return ElementTree.fromstring(text)
    except InputError as error:
        raise Unusable(str(error)) from None
    except (UnicodeDecodeError, ElementTree.ParseError):
        raise Unusable("Expected an XML report in UTF-8, got a damaged one.") from None
