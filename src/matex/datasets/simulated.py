"""Simulated films: findings at exactly known places in real normal films."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from matex.checks import read_text
from matex.datasets.layout import Layout, Reading, check_choice, cluster, identity
from matex.datasets.pictures import inside, size_of, table
from matex.datasets.sample import DATASETS, Problem, Sample
from matex.datasets.tables import leaving_out, read_rows
from matex.errors import InputError, shown
from matex.images import read
from matex.samples import samples
from matex.simulation import (
    FINDINGS,
    Lungs,
    PlacedFinding,
    SimulatedFilm,
    all_canonical,
    canonical,
    find_lungs,
    simulate,
)
from matex.simulation.film import MOST
from matex.simulation.findings import TIERS
from matex.simulation.phrases import FAMILIES

TRIES = 60  # normal films, until one has room for the finding
_OPAQUE = FAMILIES["lung opacity"].members | FAMILIES["lung opacity"].possible


@DATASETS("simulated")
@dataclass(frozen=True)
class Simulated(Layout):
    """Normal films with simulated findings, one to twelve, and a phrase that names one of them.

    Sample i is the same whatever else is read: it depends on the normal films, the seed and i alone. Findings and
    places alternate, each equally often. Films whose lungs were not found are skipped, since the zone of a finding
    would be unknown.

    Args:
        root: folder of normal films with manifest.jsonl (image, split, and patient where known); None: the four
            that ship with the package. Images rendered from one normal film, or one patient's, count once in
            intervals and tests.
        films: how many.
        tier: how easy the findings are to see: "obvious", "moderate" or "subtle".
        findings: in each film, 1 to 12. With several each film gives as many samples, one phrase each: `mask` and
            `boxes` are the finding it names, `other` those it does not. With more than 2 none takes both lungs.
        placed: whether the phrase says where ("nodule in the left upper lung") or only what ("nodule").
        seed: of the simulation.
        split: of the normal films in root; None: all of them.
        only: text file with the normal films to use, their names in the manifest line by line ("#" begins a comment);
            None: all of the split.
        without: text file with normal films to leave out, such as those reserved for a final test.
    """

    domain: ClassVar[str] = "chest"

    root: Path | None = None
    films: int = 100
    tier: str = "obvious"
    findings: int = 1
    placed: bool = True
    seed: int = 0
    split: str | None = "val"
    only: Path | None = None
    without: Path | None = None

    def __post_init__(self) -> None:
        check_choice("tier", self.tier, TIERS)
        if not 1 <= self.findings <= MOST:
            raise InputError(f"Expected 1 to {MOST} findings in each film, got {self.findings}.")
        if self.findings > 2 and not self.placed:
            raise InputError(
                f"Expected phrases that name places (placed) for {self.findings} findings in each film, since a "
                "finding's name alone does not say which is meant, got placed=False."
            )
        if self.films < 1 or self.seed < 0:
            raise InputError(f"Expected films of 1 or more and a seed of 0 or more, got {self.films} and {self.seed}.")
        if self.root is None and (self.only or self.without):
            raise InputError("Expected a root for a list of its films, got none. Name the folder of normal films.")

    def read(self) -> Reading:
        problems: list[Problem] = []
        normals = self._normals(problems)

        @lru_cache(maxsize=512)
        def background(index: int) -> tuple[np.ndarray, Lungs, str]:
            film = read(normals[index].path)
            return film.pixels, find_lungs(film.pixels), normals[index].cluster or cluster("film", film.sha256)

        @lru_cache(maxsize=2)
        def film(index: int) -> tuple[SimulatedFilm, str]:
            """Film of this index, on the first random background with room for its finding, and its cluster."""
            finding, side, zone = places[index % len(places)]
            reason = ""
            for attempt in range(TRIES):
                rng = np.random.default_rng((self.seed, index, attempt))
                normal = int(rng.integers(len(normals)))
                second = self._second(finding, rng)
                pixels, lungs, source = background(normal)
                if not lungs.measured:
                    reason = "The lungs of this film were not found, so its zones are not known."
                    continue
                try:
                    simulated = simulate(
                        pixels,
                        int(rng.integers(1 << 62)),
                        findings=self.findings,
                        tier=self.tier,
                        finding=(finding, *second),
                        side=(side, *[None] * len(second)),
                        zone=(zone, *[None] * len(second)),
                        lungs=lungs,
                    )
                    return simulated, source
                except ValueError as error:  # no room on this film
                    reason = str(error)
            raise InputError(
                f"Expected normal films with room for {finding}, got none in {TRIES}. The last reason: {reason}"
            )

        def sample(index: int, named: int) -> Sample:
            return self._sample(*film(index), index, named)

        crowded = self.findings > 2  # a finding of both lungs leaves no room for others
        places = [
            (finding, side, zone) for _, finding, side, zone in all_canonical() if not (crowded and side == "both")
        ]
        entries = [
            partial(sample, index, named)
            for index in range(self.films if normals else 0)
            for named in range(self.findings)
        ]
        labels = {(phrase := self._phrase(*place)): (phrase,) for place in places}
        return Reading(entries, problems, labels)

    def _normals(self, problems: list[Problem]) -> list[_Normal]:
        """Normal films that serve as backgrounds."""
        if self.root is None:
            return [_Normal(one.path) for one in samples() if one.normal]
        found: list[_Normal] = []
        only, without = (read_names(path) if path else frozenset[str]() for path in (self.only, self.without))
        seen: set[str] = set()
        columns = ("image",) if self.split is None else ("image", "split")
        for row in read_rows(table(self.root, "manifest.jsonl"), columns, problems):
            if self.split is None or row.optional("split") == self.split:
                with leaving_out(row, problems):
                    name = row.text("image")
                    seen.add(name)
                    if name in without or (self.only and name not in only):
                        continue
                    path = inside(self.root, name)
                    size_of(path)
                    patient = row.optional("patient")
                    found.append(_Normal(path, cluster("patient", "simulated", patient) if patient else ""))
        if unknown := sorted((only | without) - seen):
            raise InputError(
                f"Expected the listed films in the manifest's split {self.split!r}, got {len(unknown)} that are not "
                f"there, the first {shown(unknown[0])}. Correct the list: such a name leaves nothing out."
            )
        return found

    def _second(self, finding: str, rng: np.random.Generator) -> list[str | None]:
        """Findings shown in addition; of an unrelated kind where the phrase names no place."""
        if self.findings == 1:
            return []
        if self.placed:
            return [None] * (self.findings - 1)
        apart = [other for other in FINDINGS if _can_stand_apart(finding, other)]
        return [apart[int(rng.integers(len(apart)))]]

    def _phrase(self, finding: str, side: str | None, zone: str | None) -> str:
        return canonical(finding, side, zone) if self.placed else canonical(finding)

    def _sample(self, film: SimulatedFilm, source: str, index: int, named: int) -> Sample:
        placed: PlacedFinding = film.findings[named]
        others = [one.mask for one in film.findings if one is not placed]
        image = replace(read(film.image), name=f"simulated-{index}", view="FRONTAL")
        x0, y0, x1, y1 = placed.box
        phrase = self._phrase(placed.finding, placed.side, placed.zone)
        return Sample(
            id=identity("simulated", image.sha256, phrase, str(named)),
            image=image,
            text=phrase,
            boxes=((float(x0), float(y0), float(x1), float(y1)),),
            mask=placed.mask,
            other=np.logical_or.reduce(others) if others else None,
            label=phrase,
            cluster=source,
            group=placed.finding,
            split=self.split if self.root is not None else None,
            view="FRONTAL",
            attributes={
                "film": index,
                "finding": placed.finding,
                "side": placed.side,
                "zone": placed.zone,
                "size": round(placed.size, 3),
                "contrast": round(placed.contrast, 4),
                "tier": placed.tier,
                "objects": len(film.findings),
            },
        )


@dataclass(frozen=True)
class _Normal:
    """A normal film, and its patient's cluster where the patient is known."""

    path: Path
    cluster: str = ""


def read_names(path: Path) -> frozenset[str]:
    """Names of films, the lines of a text file without comments and empty ones."""
    lines = read_text(path, "a text file of film names").splitlines()
    return frozenset(name for line in lines if (name := line.partition("#")[0].strip()))


def _can_stand_apart(finding: str, other: str) -> bool:
    """Whether two findings fit into one film and have no name in common."""
    pair = {finding, other}
    akin = finding == other or pair == {"nodule", "mass"} or ("opacity" in pair and pair <= _OPAQUE)
    spread = any("both" in FINDINGS[name].sides for name in pair)  # takes all of the lungs, and leaves the heart
    return not akin and (not spread or any(FINDINGS[name].sides == (None,) for name in pair))
