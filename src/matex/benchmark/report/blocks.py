"""The parts of a report: blocks of tables, figures and pictures, by data set and model."""

from __future__ import annotations

from dataclasses import dataclass

from matex.benchmark.report.cases import Strip
from matex.benchmark.report.panels import Drawing
from matex.benchmark.report.table import Table


@dataclass(frozen=True)
class StripGroup:
    """Strips of pictures under one heading.

    Args:
        title: heading.
        strips: in order.
        lead: text above them.
        paired: whether two strips share a row where the page is wide enough.
    """

    title: str
    strips: tuple[Strip, ...]
    lead: str = ""
    paired: bool = False


@dataclass(frozen=True)
class Block:
    """A titled part of a section.

    Args:
        key: anchor.
        title: heading; short, since the contents list it.
        parts: tables, figures and pictures in order.
        folded: tables that are opened by a click.
        lead: text above everything else.
    """

    key: str
    title: str
    parts: tuple[Table | Drawing | StripGroup, ...]
    folded: tuple[Table, ...] = ()
    lead: str = ""


@dataclass(frozen=True)
class Part:
    """Part of a report on one data set and model.

    Args:
        title: of the part.
        facts: what the run consists of here.
        findings: sentences on what the tables show.
        blocks: in order.
    """

    title: str
    facts: str
    findings: tuple[str, ...]
    blocks: tuple[Block, ...]
