"""matex domains: kinds of image with an anatomy, the validator of packs, and a picture of a pack's regions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from matex.cli.options import JsonOption
from matex.cli.printing import indented, print_json
from matex.errors import InputError, shown

if TYPE_CHECKING:
    from matex.domains import Pack

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="A name, or the file of a pack (my-pack.toml).")]
app = typer.Typer(invoke_without_command=True, help="List the kinds of image whose regions the prior knows.")


@app.callback()
def domains(context: typer.Context, json: JsonOption = False) -> None:
    """List the kinds of image whose regions the prior knows, with their views and sources."""
    if context.invoked_subcommand is not None:
        return
    entries = _listed()
    if json:
        print_json(entries)
        return
    for entry in entries:
        print(f"{entry['name']}: {entry['description']}")
        if entry["regions"]:
            print(
                indented(f"{entry['regions']} regions; views {', '.join(entry['views'])}; display: {entry['display']}")
            )


@app.command()
def check(domain: DomainArgument, json: JsonOption = False) -> None:
    """Check a pack: one line for each fault; the exit code is 2 where there are any."""
    from matex.domains.check import check_pack
    from matex.domains.registry import PACKAGED

    if domain not in PACKAGED and not domain.endswith(".toml"):
        raise InputError(
            f"Expected the name of a pack ({', '.join(PACKAGED)}) or the path of one (.toml), got {shown(domain)}."
        )
    pack, faults = check_pack(domain)
    if json:
        print_json({"usable": pack is not None, "faults": faults, **(_facts(pack) if pack else {})})
    else:
        for fault in faults:
            print(fault)
        if pack is not None and not faults:
            facts = _facts(pack)
            print(
                f"{pack.name}: no faults. {facts['regions']} regions, {facts['views']} views, {facts['words']} words; "
                f"{facts['phrases']} phrases are read as labelled, {facts['misread']} known ones are not."
            )
    if faults:
        raise InputError(f"Expected a pack without faults, found {len(faults)}. Correct them.")


@app.command()
def picture(
    domain: DomainArgument,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="PNG file.", show_default="DOMAIN.png")] = None,
) -> None:
    """Draw the outlines of a pack's regions, one panel for each plane."""
    from matex.domains import check_domain, find_pack
    from matex.files import replacing
    from matex.render.atlas import draw_atlas

    check_domain(domain)
    pack = find_pack(domain)
    if pack is None:
        raise InputError(f"Expected a data pack, got {domain}. docs/anatomy.md lists the regions of the chest.")
    path = out or Path(f"{pack.name}.png")
    with replacing(path) as temporary:
        draw_atlas(pack).save(temporary, "PNG", optimize=True)
    print(f"Wrote {path}.")


class DomainEntry(TypedDict):
    """A domain that has a name."""

    name: str
    description: str
    regions: int
    views: list[str]
    display: str
    sources: dict[str, str]


class PackFacts(TypedDict):
    """Numbers of a pack."""

    regions: int
    views: int
    words: int
    phrases: int
    misread: int


def _listed() -> list[DomainEntry]:
    """The domains that have a name, as plain data."""
    from matex.domains import find_pack, names
    from matex.priors.atlas import REGIONS

    display = "the patient's right on the image's left"
    chest = _entry("chest", "A frontal radiograph of the chest.", len(REGIONS), ("PA", "AP", "FRONTAL"), display, {})
    entries = [chest]
    for name in names()[1:]:
        pack = find_pack(name)
        if pack is None:
            entries.append(_entry(name, "Images without anatomy: the prior is neutral.", 0, (), "", {}))
        else:
            entries.append(
                _entry(name, pack.description, len(pack.regions), tuple(pack.views), pack.display, dict(pack.sources))
            )
    return entries


def _entry(
    name: str, description: str, regions: int, views: tuple[str, ...], display: str, sources: dict[str, str]
) -> DomainEntry:
    return {
        "name": name,
        "description": description,
        "regions": regions,
        "views": list(views),
        "display": display,
        "sources": sources,
    }


def _facts(pack: Pack) -> PackFacts:
    """Numbers of a pack."""
    anatomy = pack.anatomy
    tables = (*anatomy.places.values(), *anatomy.weak_places.values(), tuple(anatomy.several_places))
    return {
        "regions": len(pack.regions),
        "views": len(pack.views),
        "words": sum(map(len, tables)),
        "phrases": len(pack.phrases),
        "misread": len(pack.misread),
    }
