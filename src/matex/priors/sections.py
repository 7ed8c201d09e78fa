"""The sections' names where scripts import them from; they live in matex.phrases.sections."""

from matex.phrases.sections import NAMES, Section, has_no_findings, section_name, sections

__all__ = ["NAMES", "Section", "has_no_findings", "section_name", "sections"]
