"""The domains by name: the chest, images and sounds without anatomy, packaged packs, and files of the user."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from matex.checks import read_bytes, read_toml
from matex.domains.pack import Pack, view_key
from matex.domains.reader import read_pack
from matex.errors import InputError, shown
from matex.phrases import Mention, parse
from matex.phrases.anatomy import CHEST, Anatomy

PACKAGED = ("chest-lateral", "mammography", "brain-axial", "abdomen")
WITHOUT_PLACES = ("natural", "sound", "sensor")
MAX_FILE = 1 << 20
_FOLDER = Path(__file__).with_name("packs")


def names() -> tuple[str, ...]:
    """The domains that a caller can name; a path that ends in .toml is one too."""
    return ("chest", *PACKAGED, "natural")


def is_anatomical(domain: str) -> bool:
    """Whether images of a domain show a patient whose regions are known."""
    return domain not in WITHOUT_PLACES


def check_domain(domain: object) -> None:
    """Refuse an unknown domain, and a pack with faults.

    Raises:
        InputError: no such domain, or a file that is no pack.
    """
    if not isinstance(domain, str):
        raise InputError(f"Expected domain to be text, one of {', '.join(names())}, got {shown(domain)}.")
    if domain not in names() and not domain.endswith(".toml"):
        known = f"one of {', '.join(names())}, or the path of a pack (.toml)"
        raise InputError(f"Expected domain to be {known}, got {shown(domain)}.")
    find_pack(domain)


def find_pack(domain: str) -> Pack | None:
    """The pack of a domain; None for the chest, whose atlas is code, and for domains without anatomy.

    Raises:
        InputError: a file that cannot be read or that is no pack; the first fault is named.
    """
    if domain == "chest" or domain in WITHOUT_PLACES:
        return None
    path = pack_file(domain)
    try:
        state = path.stat()
    except (OSError, ValueError):
        raise InputError(f"Expected the file of a domain, got {shown(domain)}, where there is none.") from None
    return _load(path, state.st_mtime_ns, state.st_size)


def pack_file(domain: str) -> Path:
    """The file of a pack, packaged or the user's."""
    return _FOLDER / f"{domain}.toml" if domain in PACKAGED else Path(domain)


@lru_cache(maxsize=8)
def _load(path: Path, modified: int, size: int) -> Pack:
    """A pack; read once for each state of its file."""
    pack, faults = load(path)
    if pack is None:
        more = f" {len(faults) - 1} more: matex domains check." if len(faults) > 1 else ""
        raise InputError(f"{shown(path.name)} is no domain: {faults[0]}{more}")
    return pack


def load(path: Path) -> tuple[Pack | None, list[str]]:
    """A pack from its file, and what is wrong with it.

    Raises:
        InputError: a file that cannot be read, or that is no TOML.
    """
    digest = hashlib.sha256(read_bytes(path, "the file of a domain", MAX_FILE)).hexdigest()
    pack, faults = read_pack(read_toml(path, "the file of a domain", MAX_FILE), digest)
    if pack is not None and path.parent != _FOLDER and pack.name in (*names(), *WITHOUT_PLACES):
        return None, [f"name: {shown(pack.name)} is a domain of matex. Choose another name."]
    return pack, faults


def anatomy_of(domain: str) -> Anatomy | None:
    """Regions and words of a domain; None for images and sounds without any."""
    if not is_anatomical(domain):
        return None
    pack = find_pack(domain)
    return CHEST if pack is None else pack.anatomy


def read_places(text: str, domain: str) -> tuple[Mention, ...]:
    """The regions that a phrase names in images of a domain; none without anatomy.

    Examples:
        >>> from matex.domains import read_places
        >>> [(one.side, one.region) for one in read_places("mass in the right frontal lobe", "brain-axial")]
        [('right', 'frontal lobe')]
        >>> read_places("opacity in the left lung", "natural")
        ()
    """
    anatomy = anatomy_of(domain)
    return () if anatomy is None else parse(text, anatomy)


def stated_view(domain: str, view: str) -> str | None:
    """A view that a caller states as a pack calls it; None where the pack has none of this name.

    Raises:
        InputError: see `find_pack`.
    """
    pack = find_pack(domain)
    key = view_key(view)
    return key if pack is not None and key in pack.views else None
