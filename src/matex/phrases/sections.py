"""Sections of a radiology report: only known names begin one, in any case and anywhere on a line.

Any other word before a colon ("LUNGS:", "PA AND LATERAL CHEST:") is a sub-heading and belongs to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

NAMES: Mapping[str, tuple[str, ...]] = {
    "findings": ("findings", "radiographic findings"),
    "impression": ("impression", "impressions", "conclusion", "conclusions", "opinion", "final impression"),
    "indication": (
        "indication",
        "indications",
        "clinical indication",
        "clinical indications",
        "reason for exam",
        "reason for the exam",
        "reason for examination",
        "reason for this examination",
        "reason for study",
        "clinical question",
    ),
    "history": (
        "history",
        "clinical history",
        "patient history",
        "clinical information",
        "clinical details",
        "clinical data",
    ),
    "technique": ("technique", "techniques", "technical factors"),
    "comparison": (
        "comparison",
        "comparisons",
        "comparison exam",
        "comparison exams",
        "comparison film",
        "comparison films",
        "comparison study",
        "comparison studies",
        "reference exam",
    ),
    "examination": ("exam", "examination", "examinations", "type of exam", "type of examination", "study"),
    "procedure": ("procedure",),
    "recommendation": ("recommendation", "recommendations"),
    "notification": ("notification", "notifications", "communication", "critical results"),
    "wet read": ("wet read", "preliminary report", "provisional report"),
    "addendum": ("addendum", "addenda"),
    "comment": ("comment", "comments"),
    "report": ("report", "final report"),
    "signature": ("dictated by", "signed by", "electronically signed by", "reported by"),
}
"""ReportSection -> the headings that begin it."""

WITHOUT_FINDINGS = frozenset(
    ("indication", "history", "technique", "comparison", "examination", "recommendation", "notification", "signature")
)
"""Sections about the request, the film or its readers."""

_CONTEXT = 60  # characters before a heading that say whether it is one
_BEGINNING = re.compile(r"[ \t]*(?:[-*•#>]+|\(?\d{1,2}[.)])?[ \t]*")
_NOTHING = frozenset(("none", "nil", "n/a", "na", "unavailable", "available"))
_QUALIFIERS = frozenset(
    re.findall(
        r"\w+",
        "the this these our my other additional incidental following further miscellaneous pertinent significant "
        "relevant positive negative new unchanged lung pulmonary pleural cardiac mediastinal bone bony osseous "
        "skeletal tissue extrapulmonary abdominal",
    )
)
"""Before a name these make it a sub-heading or prose: "OTHER FINDINGS:", "the findings: ..."."""


@dataclass(frozen=True)
class ReportSection:
    """The text under one heading: report[start:end].

    Args:
        name: a key of NAMES, or several joined by "and"; empty for what stands before the first heading.
        heading: where the heading itself begins.
        start: first character after the heading.
        end: one past the last character.
    """

    name: str
    heading: int
    start: int
    end: int


@cache
def _pattern() -> re.Pattern[str]:
    """Any known heading, or several of them (FINDINGS AND IMPRESSION), with the colon or alone on the line."""
    name = "|".join(r"[ \t]+".join(re.escape(word) for word in heading.split()) for heading in _SECTION_OF)
    in_brackets = r"(?:[ \t]*\([^()\n]{1,40}\))?"
    names = rf"(?:{name})(?:{_JOINED.pattern}(?:{name}))*"
    return re.compile(
        rf"(?<![\w/-])({names})(?![\w-]){in_brackets}[ \t]*(?:(:)|(?=\r?\n)|$|-{{1,2}}(?=[ \t]))", re.IGNORECASE
    )


_SECTION_OF = {heading: name for name, headings in NAMES.items() for heading in headings}
_JOINED = re.compile(r"(?:[ \t]*[/&,][ \t]*|[ \t]+and[ \t]+)", re.IGNORECASE)


def section_name(heading: str) -> str:
    """The section that a heading begins, as in NAMES; several joined by "and"; in lower case when it is not known.

    Examples:
        >>> section_name("CONCLUSION"), section_name("Findings/Impression"), section_name("LUNGS")
        ('impression', 'findings and impression', 'lungs')
    """
    words = " ".join(heading.lower().split())
    return " and ".join(dict.fromkeys(_SECTION_OF.get(part, part) for part in _JOINED.split(words)))


def has_no_findings(name: str) -> bool:
    """Whether a section is about the request, the film or its readers alone."""
    return bool(name) and set(name.split(" and ")) <= WITHOUT_FINDINGS


def sections(report: str) -> tuple[ReportSection, ...]:
    """The sections of a report in their order; what stands before the first heading comes first, without a name.

    Examples:
        >>> [(part.name, "COMPARISON: None. FINDINGS: LUNGS: Clear."[part.start : part.end].strip())
        ...  for part in sections("COMPARISON: None. FINDINGS: LUNGS: Clear.")]
        [('', ''), ('comparison', 'None.'), ('findings', 'LUNGS: Clear.')]
    """
    found = list(_found(report))
    starts = [("", 0, 0), *found]
    ends = [heading for _, heading, _ in found] + [len(report)]
    return tuple(
        ReportSection(name, heading, start, end) for (name, heading, start), end in zip(starts, ends, strict=True)
    )


def _found(report: str) -> Iterator[tuple[str, int, int]]:
    """(section, start of the heading, start of its text)."""
    if ":" not in report and "\n" not in report and "-" not in report[:_CONTEXT] and len(report) > _CONTEXT:
        return  # one long sentence: the usual case
    for match in _pattern().finditer(report):
        with_colon = match.group(2) is not None
        if _begins_section(report, match.start(), match.group(1), with_colon):
            yield section_name(match.group(1)), match.start(), match.end()


def _begins_section(report: str, start: int, heading: str, with_colon: bool) -> bool:
    """Whether a known name is used as a heading here, and not as a word: "the findings: ..."."""
    above, _, before = report[max(0, start - _CONTEXT) : start].rpartition("\n")
    if _BEGINNING.fullmatch(before):
        return with_colon or heading[0].isupper() or _has_ended(above)
    if not with_colon:
        return False
    text = before.rstrip(" \t")
    if text[-1:] in set(".!?;:)]_\"'") or len(before) - len(text) > 1:
        return True
    word = text.split()[-1].lower()
    return word in _NOTHING or (heading[0].isupper() and word not in _QUALIFIERS)


def _has_ended(line: str) -> bool:
    """Whether a line is blank or ends a sentence: the next one does not continue it."""
    end = line.rstrip(" \t\r")[-1:]
    return not end or end in "\n.:!?_-"
