"""Read a pack from TOML: data alone, no code and no other file; every fault is one line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from matex.checks import is_array
from matex.domains.fields import Fields
from matex.domains.outlines import read_outlines
from matex.domains.pack import FRAMES, ORIENTATIONS, SIDES, Labelled, Pack, Region, View, view_key
from matex.domains.words import (
    PLACE_SIDES,
    RegionWords,
    UsualPlace,
    build_anatomy,
    grammar_words,
    split_place,
    word_key,
)
from matex.errors import shown

KEYS = (
    "name", "description", "organ", "display", "frame", "orientation", "default_view", "whole", "sources", "views",
    "regions", "several", "findings", "usual", "body", "phrases", "misread",
)  # fmt: skip
REGION_KEYS = ("words", "findings", "sided", "only", "weak", "soft", "source", "outlines", "same_as")
MAX_REGIONS = 200
MAX_WORDS = 400
MAX_PHRASES = 5000


def read_pack(content: Mapping[str, object], sha256: str) -> tuple[Pack | None, list[str]]:
    """A pack from the content of its file, and what is wrong with it.

    Args:
        content: of a TOML file.
        sha256: of its bytes.

    Returns:
        None for the pack where anything is wrong but its phrases, which the validator reads.
    """
    top = Fields(content)
    top.known(KEYS)
    name = top.text("name", limit=40)
    if name and not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        top.fault("name", f"expected lower-case letters, digits and hyphens, got {shown(name)}. Rename it.")
    sources = {key: top.inner("sources").text(key) for key in top.inner("sources").table}
    views = _views(top)
    default = top.table.get("default_view")
    if default is not None and view_key(top.text("default_view")) not in views:
        top.fault("default_view", f"expected one of the views {_listed(views)}, got {shown(default)}.")
    planes = {view.plane for view in views.values()}
    regions, words = _regions(top, sources, planes)
    whole = _whole(top, words)
    several = {key: top.inner("several").texts(key, 20) for key in top.inner("several").table}
    usual = _usual(top)
    findings, body = top.texts("findings", 2000), top.texts("body", 2000)
    _check_references(top, regions, words, several, usual)
    _check_words(top, words, several, usual, findings)
    labelled, misread = _labelled(top, "phrases"), _labelled(top, "misread")
    pack = Pack(
        name=name,
        description=top.text("description"),
        organ=top.text("organ", limit=40),
        display=top.text("display"),
        sources=sources,
        frame=top.choice("frame", FRAMES, "film"),
        orientation=top.choice("orientation", ORIENTATIONS, "stated"),
        views=views,
        default_view=None if default is None else view_key(str(default)),
        regions=regions,
        anatomy=build_anatomy(words, whole, several, findings, usual, body),
        phrases=labelled,
        misread=misread,
        sha256=sha256,
    )
    return (None if top.faults else pack), top.faults


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"


def _views(top: Fields) -> dict[str, View]:
    views: dict[str, View] = {}
    for name, fields in top.inner("views").tables(limit=50):
        fields.known(("plane", "sides"))
        if name != view_key(name) or not name:
            fields.fault("", f"expected a view in capitals, digits and hyphens, got {shown(name)}. Rename it.")
        plane = fields.text("plane", name, limit=40)
        views[name] = View(name, plane, fields.choice("sides", SIDES, "both"))
    if not views:
        top.fault("views", "expected at least one view, got none. Write [views.NAME].")
    return views


def _regions(
    top: Fields, sources: Mapping[str, str], planes: set[str]
) -> tuple[dict[str, Region], dict[str, RegionWords]]:
    regions: dict[str, Region] = {}
    words: dict[str, RegionWords] = {}
    for name, fields in top.inner("regions").tables(MAX_REGIONS):
        fields.known(REGION_KEYS)
        if name != word_key(name) or name.partition(" ")[0] in (*PLACE_SIDES, *LABELS):
            fields.fault("", f"expected a name in lower case without a side before it, got {shown(name)}. Rename it.")
        regions[name] = _region(name, fields, sources, planes)
        words[name] = _region_words(fields)
    if not regions:
        top.fault("regions", "expected at least one region, got none. Write [regions.NAME].")
    return regions, words


def _region(name: str, fields: Fields, sources: Mapping[str, str], planes: set[str]) -> Region:
    source = fields.table.get("source")
    if not isinstance(source, str) or source not in sources:
        fields.fault("source", f"expected a key of [sources], got {shown(source)}. Name where its place is known from.")
    outlines = fields.inner("outlines")
    same = fields.inner("same_as")
    same.known(("right", "left"))
    if bool(outlines.table) == bool(same.table):
        fields.fault("", "expected either outlines or same_as. Give one of them.")
    for plane in outlines.table:
        if plane not in planes:
            outlines.fault(plane, f"expected a plane of the views, {', '.join(sorted(planes))}. Correct it.")
    return Region(
        name,
        {plane: read_outlines(outlines, plane) for plane in outlines.table},
        {side: same.text(side) for side in same.table},
        fields.number("soft", 0.04, 0.005, 0.5),
        source if isinstance(source, str) else "",
    )


def _region_words(fields: Fields) -> RegionWords:
    only = fields.choice("only", ("", "right", "left"), "") or None
    sided = fields.flag("sided", True)
    if only and not sided:
        fields.fault("only", "expected no side for a region that is not sided. Remove one of the two.")
    words, findings = fields.texts("words", MAX_WORDS), fields.texts("findings", MAX_WORDS)
    if not (words or findings):
        fields.fault("words", "expected at least one word that names the region, got none. Write some.")
    return RegionWords(words, findings, sided, only, fields.flag("weak", False))


def _whole(top: Fields, words: Mapping[str, RegionWords]) -> str | None:
    if "whole" not in top.table:
        return None
    whole = top.text("whole")
    if whole not in words or not words[whole].sided:
        top.fault("whole", f"expected a sided region, got {shown(whole)}. Name one of [regions].")
        return None
    return whole


def _usual(top: Fields) -> dict[str, UsualPlace]:
    usual: dict[str, UsualPlace] = {}
    for kind, fields in top.inner("usual").tables(100):
        fields.known(("words", "places"))
        usual[kind] = UsualPlace(fields.texts("words", MAX_WORDS), fields.texts("places", 20))
        if kind == "other" or not (usual[kind].words and usual[kind].regions):
            fields.fault("", "expected words and places, under another name than other. Correct it.")
    return usual


def _check_references(
    top: Fields,
    regions: Mapping[str, Region],
    words: Mapping[str, RegionWords],
    several: Mapping[str, Sequence[str]],
    usual: Mapping[str, UsualPlace],
) -> None:
    """Note regions that are named and do not exist, and chains and cycles of same_as."""
    named = [(f"several.{word}", split_place(place)[0]) for word, places in several.items() for place in places]
    named += [(f"usual.{kind}", region) for kind, one in usual.items() for region in one.regions]
    for name, region in regions.items():
        named += [(f"regions.{name}.same_as", other) for other in region.same_as.values()]
        if region.same_as and (set(region.same_as) != {"right", "left"} or not words[name].sided):
            top.fault(f"regions.{name}.same_as", "expected the regions of right and left of a sided region. Give both.")
        for other in region.same_as.values():
            if other in regions and regions[other].same_as:
                top.fault(f"regions.{name}.same_as", f"expected a region with outlines, got {shown(other)}. Name one.")
    for at, region in named:
        if region not in regions:
            top.fault(at, f"expected one of [regions], got {shown(region)}. Add the region or correct its name.")


def _check_words(
    top: Fields,
    words: Mapping[str, RegionWords],
    several: Mapping[str, Sequence[str]],
    usual: Mapping[str, UsualPlace],
    findings: Sequence[str],
) -> None:
    """Note words that name two things."""
    owner: dict[str, str] = {}
    reserved = grammar_words()
    entries = [(f"regions.{name}", word) for name, one in words.items() for word in (*one.words, *one.findings)]
    entries += [("several", word) for word in several]
    entries += [(f"usual.{kind}", word) for kind, one in usual.items() for word in one.words]
    entries += [("findings", word) for word in findings]
    for at, word in entries:
        key = word_key(word)
        if not key:
            top.fault(at, f"expected a word with letters, got {shown(word)}. Correct it.")
        elif key in reserved:
            top.fault(at, f"{shown(word)} is a word of the parser's own grammar. Choose another.")
        elif owner.setdefault(key, at) != at:
            top.fault(at, f"{shown(word)} is a word of {owner[key]} too. Give it to one of them.")


LABELS = ("no", "maybe", "past", "lesser")
"""Before a labelled place: denied or normal, uncertain, historical, the side with less of a finding."""


def _labelled(top: Fields, key: str) -> tuple[Labelled, ...]:
    value = top.table.get(key, [])
    if not is_array(value) or len(value) > MAX_PHRASES:
        top.fault(key, f"expected a list of at most {MAX_PHRASES} phrases, got {shown(value)}. Correct it.")
        return ()
    found: list[Labelled] = []
    for entry in value:
        texts = [one for one in entry if isinstance(one, str) and one.strip()] if is_array(entry) else []
        if not is_array(entry) or not texts or len(texts) != len(entry) or max(map(len, texts)) > 400:
            top.fault(key, f'expected ["phrase", "place", ...], got {shown(entry)}. Correct it.')
        else:
            found.append(Labelled(texts[0], tuple(texts[1:])))
    return tuple(found)
