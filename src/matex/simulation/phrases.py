"""Grammar of the simulated films' sentences: findings and their places, wordings, and truth conditions.

Plain data and no torch, so that the simulator, the trainer and the tests read one table. A side is the
patient's, as in every report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

SIDES = ("right", "left")
ZONES = ("upper", "mid", "lower")


def _several(words: str) -> tuple[str, ...]:
    return tuple(words.split(", "))


@dataclass(frozen=True)
class Finding:
    """Places and names of one finding."""

    name: str
    sides: tuple[str | None, ...]
    """"right", "left", "both"; None: the finding has no side."""
    zones: tuple[str | None, ...]
    """"upper", "mid", "lower"; None: no zone."""
    names_zone: bool
    """Whether the canonical phrase says the zone (an effusion lies low without saying so)."""
    words: tuple[str, ...]
    """Ways to say it without side and zone, the canonical one first."""


FINDINGS: dict[str, Finding] = {
    finding.name: finding
    for finding in (
        Finding(
            "nodule",
            SIDES,
            ZONES,
            True,
            _several(
                "nodule, pulmonary nodule, lung nodule, nodular opacity, small round opacity, solitary "
                "nodule, small nodule, nodular density, coin lesion"
            ),
        ),
        Finding(
            "mass",
            SIDES,
            ZONES,
            True,
            _several("mass, lung mass, pulmonary mass, large rounded mass, mass-like opacity, large mass, tumor"),
        ),
        Finding(
            "consolidation",
            SIDES,
            ZONES,
            True,
            _several(
                "consolidation, airspace consolidation, focal consolidation, dense consolidation, lobar "
                "consolidation, consolidative opacity"
            ),
        ),
        Finding(
            "opacity",
            SIDES,
            ZONES,
            True,
            _several(
                "opacity, hazy opacity, ground-glass opacity, ill-defined opacity, infiltrate, patchy "
                "opacity, diffuse opacity, haziness"
            ),
        ),
        Finding(
            "pleural effusion",
            SIDES,
            ("lower",),
            False,
            _several(
                "pleural effusion, effusion, pleural fluid, blunted costophrenic angle, layering "
                "effusion, blunting of the costophrenic angle, fluid in the pleural space"
            ),
        ),
        Finding(
            "pneumothorax",
            SIDES,
            ("upper",),
            False,
            ("pneumothorax", "apical pneumothorax", "pleural air", "visible pleural line"),
        ),
        Finding(
            "atelectasis",
            SIDES,
            ("mid", "lower"),
            True,
            _several(
                "atelectasis, linear atelectasis, plate-like atelectasis, band of atelectasis, linear "
                "opacity, subsegmental atelectasis, discoid atelectasis, band-like opacity"
            ),
        ),
        Finding(
            "cardiomegaly",
            (None,),
            (None,),
            False,
            _several(
                "cardiomegaly, enlarged heart, enlarged cardiac silhouette, cardiac enlargement, "
                "enlargement of the heart, enlarged heart size"
            ),
        ),
        Finding(
            "interstitial pattern",
            ("both",),
            (None,),
            False,
            _several(
                "interstitial pattern, interstitial markings, reticular opacities, increased interstitial "
                "markings, reticular pattern, interstitial thickening"
            ),
        ),
    )
}


@dataclass(frozen=True)
class FindingFamily:
    """Word for several findings."""

    words: tuple[str, ...]
    members: frozenset[str]
    """Findings it certainly covers."""
    possible: frozenset[str] = frozenset()
    """Findings that some readers would call so: neither true nor false."""


FAMILIES: dict[str, FindingFamily] = {
    "lung opacity": FindingFamily(
        _several("lung opacity, pulmonary opacity, airspace opacity, parenchymal opacity, airspace disease"),
        frozenset({"consolidation", "opacity", "pneumonia"}),
        frozenset({"mass", "nodule", "atelectasis", "interstitial pattern", "pleural effusion"}),
    ),
    "pneumonia": FindingFamily(
        ("pneumonia", "findings of pneumonia", "lung infection"),
        frozenset({"consolidation"}),
        frozenset({"opacity", "interstitial pattern", "lung opacity"}),
    ),
    "abnormality": FindingFamily(
        _several("abnormality, cardiopulmonary abnormality, acute finding, finding, disease"),
        frozenset(FINDINGS) | {"lung opacity", "pneumonia"},
    ),
    "lung abnormality": FindingFamily(
        ("abnormal lung", "lung abnormality", "parenchymal abnormality"),
        frozenset({"nodule", "mass", "consolidation", "opacity", "atelectasis", "interstitial pattern"})
        | {"lung opacity", "pneumonia"},
        frozenset({"pleural effusion", "pneumothorax"}),
    ),
}

NORMAL = {
    "abnormality": (
        _several(
            "no finding, no acute cardiopulmonary abnormality, normal chest radiograph, no acute "
            "findings, unremarkable chest radiograph, no abnormality, normal heart and lungs, normal "
            "film, normal chest x-ray, heart size is normal and the lungs are clear, no acute disease"
        )
    ),
    "lung abnormality": (
        _several(
            "lungs are clear, the lungs are clear, clear lungs, both lungs are clear, normal lungs, "
            "lungs are clear bilaterally, no focal lung abnormality"
        )
    ),
    "lung opacity": ("no opacity", "no lung opacity", "no airspace opacity", "no focal opacity"),
    "cardiomegaly": ("heart size is normal", "the heart is normal in size", "normal cardiac silhouette"),
    "pleural effusion": ("costophrenic angles are sharp", "the costophrenic angles are clear"),
}


class Placed(Protocol):
    """One finding in a film, with the attributes that sentences mention."""

    @property
    def finding(self) -> str: ...
    @property
    def side(self) -> str | None: ...
    @property
    def zone(self) -> str | None: ...


@dataclass(frozen=True)
class Claim:
    """Content of one part of a sentence; side or zone None if not mentioned."""

    finding: str
    side: str | None = None
    zone: str | None = None
    negated: bool = False


@dataclass(frozen=True)
class ClaimedSentence:
    """Sentence with all its claims."""

    text: str
    claims: tuple[Claim, ...]


def canonical(finding: str, side: str | None = None, zone: str | None = None) -> str:
    """Canonical phrase of a finding at a place: "nodule in the right upper lung", "left pleural effusion"."""
    entry = FINDINGS[finding]
    if entry.names_zone and side in SIDES:
        return f"{entry.words[0]} in the {side} {f'{zone} ' if zone else ''}lung"
    if side == "both":
        return f"bilateral {entry.words[0]}"
    return f"{side} {entry.words[0]}" if side else entry.words[0]


def all_canonical() -> list[tuple[str, str, str | None, str | None]]:
    """Every (phrase, finding, side, zone) of the table; the candidates of the retrieval benchmark."""
    return [
        (canonical(entry.name, side, zone), entry.name, side, zone)
        for entry in FINDINGS.values()
        for side in entry.sides
        for zone in entry.zones
    ]


# Saying it


def phrase(findings: Sequence[Placed], rng: np.random.Generator) -> str:
    """Sample a sentence that is true of a film with exactly these findings."""
    return sentence(findings, rng).text


def sentence(findings: Sequence[Placed], rng: np.random.Generator, complete: bool = True) -> ClaimedSentence:
    """Sample a true sentence with its claims: one finding or several, their absence, or a clear chest.

    Args:
        findings: what the film shows.
        rng: chooses content and wording.
        complete: whether the film shows nothing else; if not, no absence is claimed.
    """
    if not findings:
        return _normal(rng) if rng.random() < 0.6 else _negative(findings, rng)
    chance = rng.random() if complete else 0.7
    if chance < 0.08:
        return _negative(findings, rng)
    order = [findings[int(i)] for i in rng.permutation(len(findings))]
    if len(order) > 1 and chance < 0.5:
        return _join([_mention(one, rng) for one in order], _pick(JOINERS, rng))
    sentence = _mention(order[0], rng)
    if chance > 0.95:
        return _join([sentence, _negative(findings, rng)], _pick((", ", ". ", " with "), rng))
    return sentence


JOINERS = (" and ", " with ", ", ", ". ", " and a ", "; ", " as well as ", " in addition to ")
LEADS = (
    ("",) * 6
    + ("there is ", "evidence of ", "findings consistent with ", "new ", "subtle ", "focal ", "stable ")
    + ("increased ", "mild ", "moderate ", "possible ", "probable ", "suspicious for ", "acute ", "interval ")
    + ("the radiograph shows ", "frontal view shows ", "again seen is ", "persistent ", "known ", "likely ")
)
TRAILS = ("",) * 8 + (" is seen", " is noted", " is present", ".", " is again seen", " is unchanged")
WHERE = {  # places with a side, {side} and the zone's own words filled in
    "upper": (
        _several(
            "in the {side} upper lung, in the {side} upper zone, in the {side} upper lobe, at the "
            "{side} apex, in the upper {side} lung, in the {side} upper lung zone, at the {side} lung "
            "apex, in the {side} apical region, projecting over the {side} upper lung, in the upper "
            "zone of the {side} lung"
        )
    ),
    "mid": (
        _several(
            "in the {side} mid lung, in the {side} mid zone, in the {side} middle zone, in the {side} "
            "midlung, in the mid {side} lung, in the {side} mid lung zone, projecting over the {side} "
            "mid lung, in the middle of the {side} lung, in the mid zone of the {side} lung, in the "
            "{side} middle lung"
        )
    ),
    "lower": (
        _several(
            "in the {side} lower lung, in the {side} lower zone, in the {side} lower lobe, at the "
            "{side} base, in the lower {side} lung, in the {side} lower lung zone, at the {side} lung "
            "base, in the {side} basilar region, projecting over the {side} lower lung, in the lower "
            "zone of the {side} lung"
        )
    ),
}
BEFORE = {  # the same places as adjectives
    "upper": _several("{side} upper lung, {side} upper lobe, {side} upper zone, {side} apical, {s}UL"),
    "mid": ("{side} mid lung", "{side} mid zone", "{side} midlung", "{side} middle zone"),
    "lower": _several("{side} lower lung, {side} lower lobe, {side} lower zone, {side} basilar, {side} basal, {s}LL"),
}
SIDE_WHERE = ("on the {side}", "in the {side} lung", "on the {side} side", "in the {side} hemithorax")
SIDE_BEFORE = ("{side}", "{side}-sided", "{side} sided")
BOTH_BEFORE = ("bilateral", "diffuse bilateral", "diffuse")
BOTH_WHERE = ("bilaterally", "in both lungs", "throughout both lungs")
ABSENT = _several(
    "no {it}, no evidence of {it}, without {it}, there is no {it}, no definite {it}, negative "
    "for {it}, no sign of {it}, no {it} is seen, {it} is absent, free of {it}"
)


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _place(words: str, finding: str, side: str | None, zone: str | None, rng: np.random.Generator) -> str:
    """Add the place before or after the words."""
    after = rng.random() < 0.5
    if side == "both":
        return f"{words} {_pick(BOTH_WHERE, rng)}" if after else f"{_pick(BOTH_BEFORE, rng)} {words}"
    if side is None:
        return words if zone is None else f"{zone} lung {words}"
    if zone is None or not FINDINGS[finding].names_zone:
        where, before = SIDE_WHERE, SIDE_BEFORE
    else:
        where, before = WHERE[zone], BEFORE[zone]
        if zone == "mid":
            where += ("in the right middle lobe",) if side == "right" else ("in the lingula", "in the left lingula")
            before += ("right middle lobe", "RML") if side == "right" else ("lingular", "left lingular")
    text = f"{words} {_pick(where, rng)}" if after else f"{_pick(before, rng)} {words}"
    return text.format(side=side, s=side[0].upper())


def _mention(placed: Placed, rng: np.random.Generator) -> ClaimedSentence:
    """Phrase one finding in one of many forms, often with less than the known place."""
    if placed.finding in FAMILIES:
        words = _embellish(_pick(FAMILIES[placed.finding].words, rng), rng)
        return ClaimedSentence(words, (Claim(placed.finding),))
    entry = FINDINGS[placed.finding]
    side, zone = placed.side, placed.zone
    if rng.random() < 0.2:
        return ClaimedSentence(canonical(placed.finding, side, zone), (Claim(placed.finding, side, zone),))
    forget = rng.random()
    if zone is not None and entry.names_zone and forget < 0.25:
        zone = None
    if forget < 0.1 or (zone is not None and entry.names_zone and forget > 0.95):
        side = None
    name, words = placed.finding, entry.words
    if rng.random() < 0.15:
        name = _pick([name for name, family in FAMILIES.items() if placed.finding in family.members], rng)
        words = FAMILIES[name].words
    text = _place(_pick(words, rng), placed.finding, side, zone, rng)
    return ClaimedSentence(_embellish(text, rng), (Claim(name, side, zone),))


def _embellish(text: str, rng: np.random.Generator) -> str:
    lead = _pick(LEADS, rng)
    return lead + text if lead else text + _pick(TRAILS, rng)


def _negative(findings: Sequence[Placed], rng: np.random.Generator) -> ClaimedSentence:
    """Sample the absence of a finding that the film does not show, on one side or at all."""
    candidates = [Claim(name, None, None, True) for name in FINDINGS] + [
        Claim(entry.name, side, None, True)
        for entry in FINDINGS.values()
        for side in entry.sides
        if side in SIDES and rng.random() < 0.3
    ]
    candidates += [Claim(name, None, None, True) for name in NORMAL]
    true = [claim for claim in candidates if holds((claim,), findings) is True]
    claim = true[int(rng.integers(len(true)))]
    if claim.finding in NORMAL and rng.random() < 0.7:
        return ClaimedSentence(_pick(NORMAL[claim.finding], rng), (claim,))
    entry = FINDINGS.get(claim.finding)
    words = _pick(entry.words if entry else FAMILIES[claim.finding].words, rng)
    mention = _place(words, claim.finding, claim.side, None, rng) if entry else words
    others = [one for one in true if one.side is None and one.finding in FINDINGS and one.finding != claim.finding]
    if others and claim.side is None and rng.random() < 0.25:
        other = others[int(rng.integers(len(others)))]
        mention += " or " + _pick(FINDINGS[other.finding].words, rng)
        return ClaimedSentence(_pick(ABSENT, rng).format(it=mention), (claim, other))
    return ClaimedSentence(_pick(ABSENT, rng).format(it=mention), (claim,))


def _normal(rng: np.random.Generator) -> ClaimedSentence:
    name = _pick(
        _several("abnormality, abnormality, abnormality, lung abnormality, lung abnormality, lung opacity"),
        rng,
    )
    return ClaimedSentence(_pick(NORMAL[name], rng), (Claim(name, None, None, True),))


def _join(parts: Sequence[ClaimedSentence], joiner: str) -> ClaimedSentence:
    text = joiner.join(part.text.rstrip(".") for part in parts)
    return ClaimedSentence(text, tuple(claim for part in parts for claim in part.claims))


# When it is true


def holds(claims: Sequence[Claim], findings: Sequence[Placed], complete: bool = True) -> bool | None:
    """Whether all claims are true of a film; None when undetermined.

    Args:
        claims: what a sentence says.
        findings: what the film shows. A sided finding whose side is None lies somewhere unknown.
        complete: whether the film shows nothing else (True for simulated and normal films).
    """
    return _all([_claim_holds(claim, findings, complete) for claim in claims])


def evidence(claims: Sequence[Claim], findings: Sequence[Placed]) -> tuple[bool, ...]:
    """Findings of a film that a sentence claims, not negated and present."""
    return tuple(any(not claim.negated and _is_meant(claim, one) for claim in claims) for one in findings)


def _is_meant(claim: Claim, placed: Placed) -> bool:
    sides = SIDES if claim.side == "both" else (claim.side,)
    return any(_matches(Claim(claim.finding, side, claim.zone), placed) is True for side in sides)


def _claim_holds(claim: Claim, findings: Sequence[Placed], complete: bool) -> bool | None:
    sides = SIDES if claim.side == "both" else (claim.side,)
    there = _all(
        [_any([_matches(Claim(claim.finding, side, claim.zone), placed) for placed in findings]) for side in sides]
    )
    if there is False and not complete:
        there = None
    return there if there is None or not claim.negated else not there


def _matches(claim: Claim, placed: Placed) -> bool | None:
    return _all(
        [
            _is_a(placed.finding, claim.finding),
            claim.side is None or _same(claim.side, placed.side),
            claim.zone is None or _same(claim.zone, placed.zone),
        ]
    )


def _is_a(finding: str, name: str) -> bool | None:
    """Whether a finding is of the named kind; a family in a film's record may be any of its members."""
    if finding == name:
        return True
    wide, narrow = FAMILIES.get(name), FAMILIES.get(finding)
    if wide and finding in wide.members:
        return True
    if (wide and finding in wide.possible) or (narrow and name in narrow.members | narrow.possible):
        return None
    return False


def _same(claimed: str, known: str | None) -> bool | None:
    return None if known is None else known in (claimed, "both")


def _all(values: Sequence[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def _any(values: Sequence[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False
