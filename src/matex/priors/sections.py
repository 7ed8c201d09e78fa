"""The sections' names where scripts import them from; they live in matex.phrases.sections."""

from matex.phrases.sections import NAMES, ReportSection, has_no_findings, section_name, sections

__all__ = ["NAMES", "ReportSection", "has_no_findings", "section_name", "sections"]
