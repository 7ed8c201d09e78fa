"""The configuration of a figure: a TOML file; errors are one line that names the key."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from pathlib import Path

from matex.benchmark.choices import MethodChoice, ModelChoice, method_choice, model_choice, unique
from matex.benchmark.config_key import ConfigKey
from matex.checks import as_path, read_toml
from matex.domains import check_domain
from matex.figures.kind import FIGURES, Case, FigureKind
from matex.geometry import Box
from matex.images import Film, read
from matex.queries import Domain
from matex.registry import Parameters, build
from matex.samples import BundledFilm, samples
from matex.simulation.film import PlacedFinding, simulate

SHARED = ("model", "methods", "films", "domain", "dots_per_inch")
FILM = ("sample", "image", "simulated", "text", "boxes", "title")
SOURCES = ("sample", "image", "simulated")


@dataclass(frozen=True, eq=False)
class FigureConfig:
    """A figure that can be drawn.

    Args:
        kind: of figure, with its own settings.
        model: that is explained.
        methods: of its columns.
        cases: films with their phrases.
        domain: see `matex.explain`.
        dots_per_inch: of the pictures in it.
    """

    kind: FigureKind
    model: ModelChoice
    methods: tuple[MethodChoice, ...]
    cases: tuple[Case, ...]
    domain: Domain = "chest"
    dots_per_inch: int = 200


def load_figure(name: str, path: str | Path) -> FigureConfig:
    """Read the configuration of a figure.

    Args:
        name: of a kind, see `FIGURES`.
        path: TOML file; paths in it are relative to its folder.

    Raises:
        UnknownName: no such kind.
        InputError: a file that cannot be read, an unknown key, or a value out of its range; the key is named.
    """
    path = as_path(path, "the configuration of a figure")
    content = read_toml(path)
    at, kind = ConfigKey(path.name), FIGURES[name]
    own = [item.name for item in dataclasses.fields(kind)]
    table = at.known(content, (*SHARED, *own))
    settings = {key: (at / key).typed(table[key], typing.get_type_hints(kind)[key]) for key in own if key in table}
    for item in dataclasses.fields(kind):
        if item.default is dataclasses.MISSING and item.name not in table:
            raise (at / item.name).refusal("given for this figure", None)
    dots = (at / "dots_per_inch").typed(table.get("dots_per_inch", 200), int)
    (at / "dots_per_inch").in_range(dots, 1200, 20)
    methods = at.entries({"methods": table.get("methods", list(kind.default_methods))}, "methods")
    return FigureConfig(
        build(FIGURES, name, settings, "docs/figures.md shows them"),
        model_choice(at / "model", table.get("model", "tiny")),
        unique(at / "methods", [method_choice(key, entry) for key, entry in methods]),
        tuple(_case(key, entry, path.parent) for key, entry in at.entries(table, "films")),
        _domain(at / "domain", table.get("domain", "chest"), path.parent),
        dots,
    )


def _domain(at: ConfigKey, value: object, folder: Path) -> Domain:
    """A domain by its name, or as a file relative to the folder of the configuration."""
    domain = at.typed(value, str)
    domain = str(folder / domain) if domain.endswith(".toml") else domain
    check_domain(domain)
    return domain


def _case(at: ConfigKey, entry: object, folder: Path) -> Case:
    """A film: bundled (`sample`), a file (`image`), or simulated in a bundled normal film.

    Raises:
        InputError: none or several of the three, a film that cannot be read, or a phrase that is missing.
    """
    table = at.known({"sample": entry} if isinstance(entry, str) else entry, FILM)
    given = [key for key in SOURCES if key in table]
    if len(given) != 1:
        raise at.refusal(f"a film with one of {', '.join(SOURCES)}", table)
    key = at / given[0]
    film, text, boxes = {"sample": _bundled, "image": _file, "simulated": _simulated}[given[0]](
        key, table[given[0]], folder
    )
    text = (at / "text").typed(table.get("text", text), str)
    if not text.strip():
        raise (at / "text").refusal("a phrase", table.get("text"))
    if "boxes" in table:
        boxes = (at / "boxes").typed(table["boxes"], tuple[tuple[float, float, float, float], ...])
        _check_boxes(at / "boxes", boxes, film)
    return Case(film, text, boxes, (at / "title").typed(table.get("title", text), str))


def _check_boxes(at: ConfigKey, boxes: tuple[Box, ...], film: Film) -> None:
    """Refuse a box without area or beyond the film, against which the measures would be wrong."""
    height, width = film.size
    for box in boxes:
        x0, y0, x1, y1 = box
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise at.refusal(f"boxes (x0, y0, x1, y1), x0 < x1, y0 < y1, in the {width} x {height} pixels", list(box))


_Film = tuple[Film, str, tuple[Box, ...]]


def _bundled(at: ConfigKey, name: object, folder: Path) -> _Film:
    sample = _sample(at, name)
    return read(sample.path).known_as(sample.view, None), sample.demo_phrase, sample.boxes


def _file(at: ConfigKey, name: object, folder: Path) -> _Film:
    return read(folder / at.typed(name, str)), "", ()


def _simulated(at: ConfigKey, entry: object, folder: Path) -> _Film:
    keys = ("normal", "seed", "findings", "tier", "finding", "side", "zone")
    table = at.known(entry, keys)
    sample = _sample(at / "normal", table.get("normal", "normal-1"))
    settings: Parameters = {key: value for key, value in table.items() if key not in ("normal", "seed")}
    seed = (at / "seed").typed(table.get("seed", 0), int)
    normal = read(sample.path)
    try:
        drawn = simulate(normal.pixels, seed, **settings)
    except (ValueError, TypeError) as error:
        raise at.refusal(f"a finding that can be simulated ({error})", table) from None
    boxes: tuple[Box, ...] = tuple(one.box for one in drawn.findings)
    film = dataclasses.replace(normal, pixels=drawn.image).known_as(sample.view, None)
    return film, " and ".join(map(_phrase, drawn.findings)), boxes


def _phrase(found: PlacedFinding) -> str:
    """A simulated finding in plain words."""
    place = " ".join(word for word in (found.side, found.zone) if word not in (None, "both"))
    return f"{found.finding} in the {place} lung" if place else found.finding


def _sample(at: ConfigKey, name: object) -> BundledFilm:
    """A bundled film by its name."""
    known = {sample.name: sample for sample in samples()}
    if not isinstance(name, str) or name not in known:
        raise at.refusal(f"one of the bundled films {', '.join(known)}", name)
    return known[name]
