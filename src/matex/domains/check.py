"""The validator of packs: every fault of a file and of its labelled phrases, one line each."""

from __future__ import annotations

from pathlib import Path

from matex.domains.pack import Labelled, Pack
from matex.domains.registry import load, pack_file
from matex.errors import shown
from matex.phrases import Mention, parse

LEAST_PHRASES = 10


def check_pack(domain: str) -> tuple[Pack | None, list[str]]:
    """The pack of a name or file, and its faults; None where it cannot be used.

    Raises:
        InputError: a file that cannot be read, or that is no TOML.
    """
    path = Path(pack_file(domain))
    pack, faults = load(path)
    if pack is None:
        return None, faults
    faults = [fault for phrase in pack.phrases if (fault := misreading(pack, phrase)) is not None]
    right = (phrase for phrase in pack.misread if misreading(pack, phrase) is None)
    faults += [f"misread: {shown(phrase.text)} is read as it is labelled. Move it to phrases." for phrase in right]
    if len(pack.phrases) < LEAST_PHRASES:
        faults.append(
            f"phrases: expected at least {LEAST_PHRASES} labelled phrases, got {len(pack.phrases)}. Add some."
        )
    return pack, faults


def misreading(pack: Pack, phrase: Labelled) -> str | None:
    """Difference between the parser's reading and the author's label of a phrase; None where both agree."""
    expected = sorted(set(phrase.places))
    read = sorted(set(map(as_label, parse(phrase.text, pack.anatomy))))  # a region named twice counts once
    if expected == read:
        return None
    return (
        f"phrases: {shown(phrase.text)} is read as {_listed(read)}, labelled {_listed(expected)}. Correct one of them."
    )


def as_label(mention: Mention) -> str:
    """A place that was read, as labels write it: "no right breast", "left kidney"."""
    place = f"{mention.side} {mention.region}" if mention.side else mention.region
    if mention.historical:
        return f"past {place}"
    if mention.negated:
        return f"no {place}"
    if mention.uncertain:
        return f"maybe {place}"
    return place if mention.weight == 1 else f"lesser {place}"


def _listed(places: list[str]) -> str:
    return ", ".join(places) or "nothing"
