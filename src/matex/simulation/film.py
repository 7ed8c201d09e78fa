"""Normal films with simulated findings at known places: ground truth for training and for evaluating explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matex.simulation.chest import Lungs, find_lungs
from matex.simulation.findings import DRAWINGS, TIERS, Change, View, broad, view
from matex.simulation.phrases import FINDINGS, ZONES, phrase

TRIES = 12  # at one place on one film, and choices of places
MOST = 12  # findings in one film, two in each third of a lung
FAINTEST = 0.5  # grey levels of 8 bits, mean change in the mask; less is lost when the film is rounded
Choice = str | None | Sequence[str | None]


@dataclass(frozen=True)
class PlacedFinding:
    """One finding with its place."""

    finding: str
    side: str | None  # the patient's: "right", "left", "both"; None: the finding has no side
    zone: str | None  # "upper", "mid", "lower": third of that lung's height with the centre of the mask
    mask: np.ndarray  # bool [height, width]
    box: tuple[int, int, int, int]  # (x0, y0, x1, y1), pixels, half-open
    contrast: float  # mean change in the mask, as a share of the film's range from lung air to soft tissue
    size: float  # diameter of the circle with the mask's area, centimetres (adult thorax of 27 cm)
    tier: str  # "obvious", "moderate", "subtle"


@dataclass(frozen=True)
class SimulatedFilm:
    """Film with simulated findings, which no patient had."""

    image: np.ndarray  # uint8 [height, width]
    findings: tuple[PlacedFinding, ...]
    phrase: str
    seed: int


def simulate(
    normal: np.ndarray,
    seed: int,
    *,
    findings: int = 1,
    tier: str = "obvious",
    finding: Choice = None,
    side: Choice = None,
    zone: Choice = None,
    lungs: Lungs | None = None,
) -> SimulatedFilm:
    """Simulate findings in a normal frontal film; deterministic in its arguments.

    Args:
        normal: uint8 [height, width], grey, dense = bright, standard display (patient's right on the left).
        seed: any integer >= 0.
        findings: how many, 0 to 12. 0 gives the film back with a phrase that denies findings. Two lie in different
            thirds of the lungs. More are crowded: as few to a third as their number allows, each at a place (finding,
            side and zone) of its own, none over another, and none that takes both lungs.
        tier: how easy to see: "obvious", "moderate" or "subtle", by contrast and size.
        finding: a name from `FINDINGS`, or one per finding; None: random.
        side: "right", "left" (or "both" where the finding has it), or one per finding; None: random.
        zone: "upper", "mid", "lower", or one per finding; None: random.
        lungs: `find_lungs(normal)` where it is known already; saves most of the time.

    Raises:
        ValueError: not a grey uint8 film of at least 64 x 64, an unknown name, a place the finding cannot
            have, no room for it on this film (nor any range of grey to show it in), or a wish with findings=0.
    """
    _check(normal, seed, findings, tier)
    rng = np.random.default_rng((seed, 0x6D61746578))
    if findings == 0:
        wished = [choice for choice in (finding, side, zone) if choice]
        if wished:
            raise ValueError(f"Expected no finding, side or zone with findings=0, got {wished[0]!r}. Leave it out.")
        return SimulatedFilm(normal.copy(), (), phrase((), rng), seed)
    wishes = list(zip(_each(finding, findings), _each(side, findings), _each(zone, findings), strict=True))
    for wish in wishes:
        _places(*wish)
    seen = view(normal, lungs or find_lungs(normal))
    film, placed = (_draw if findings <= 2 else _crowd)(wishes, seen, tier, rng)
    image = np.clip(np.rint(film), 0, 255).astype(np.uint8)
    return SimulatedFilm(image, placed, phrase(placed, rng), seed)


Place = tuple[str, str | None, str | None]  # finding, side, zone
Wish = tuple[str | None, str | None, str | None]  # the same, None: draw one


def _check(normal: np.ndarray, seed: int, findings: int, tier: str) -> None:
    if normal.ndim != 2 or normal.dtype != np.uint8 or min(normal.shape) < 64:
        raise ValueError(
            f"Expected a grey film, uint8 [height, width] of at least 64 x 64, got {normal.dtype} "
            f"{list(normal.shape)}. Convert it with matex.read(path).pixels or resize it."
        )
    if not 0 <= findings <= MOST:
        raise ValueError(f"Expected 0 to {MOST} findings, got {findings}. A film has no room for more.")
    if seed < 0:
        raise ValueError(f"Expected a seed of 0 or more, got {seed}.")
    if tier not in TIERS:
        raise ValueError(f"Expected a tier among {', '.join(TIERS)}, got {tier!r}.")


def _each(choice: Choice, count: int) -> tuple[str | None, ...]:
    """Expand the arguments to one request per finding."""
    if choice is None or isinstance(choice, str):
        return (choice, *[None] * (count - 1))
    if len(choice) != count:
        raise ValueError(f"Expected {count} values, one per finding, got {len(choice)}: {tuple(choice)}.")
    return tuple(choice)


def _places(finding: str | None, side: str | None, zone: str | None) -> list[list[Place]]:
    """Places that agree with a request, per finding."""
    if finding is not None and finding not in FINDINGS:
        raise ValueError(f"Expected a finding among {', '.join(FINDINGS)}, got {finding!r}.")
    options = [
        [
            (entry.name, one_side, one_zone)
            for one_side in entry.sides
            for one_zone in entry.zones
            if side in (None, one_side) and zone in (None, one_zone)
        ]
        for entry in FINDINGS.values()
        if finding in (None, entry.name)
    ]
    options = [places for places in options if places]
    if not options:
        raise ValueError(
            f"Expected a place where {finding or 'a finding'} occurs, got side {side!r} and zone {zone!r}. "
            + (f"It has sides {FINDINGS[finding].sides}, zones {FINDINGS[finding].zones}. " if finding else "")
            + "Leave side or zone out for a random one."
        )
    return options


def _cells(place: Place) -> set[tuple[str, str]]:
    """Thirds of the lungs that a finding occupies."""
    finding, side, zone = place
    if finding == "cardiomegaly":
        return {("heart", "heart")}
    sides = ("right", "left") if side == "both" else (side or "",)
    return {(s, z) for s in sides for z in ((zone,) if zone else ("upper", "mid", "lower"))}


def _choose(wishes: list[Wish], rng: np.random.Generator) -> list[Place]:
    """Places for all wishes that do not share a third of a lung."""
    for _ in range(200):
        chosen: list[Place] = []
        for wish in wishes:
            options = _places(*wish)
            places = options[int(rng.integers(len(options)))]
            chosen.append(places[int(rng.integers(len(places)))])
        if len(chosen) < 2 or not _cells(chosen[0]) & _cells(chosen[1]):
            return chosen
    raise ValueError(
        f"Expected two findings in different thirds of the lungs, got {wishes[0]} and {wishes[1]}. "
        "Ask for another side or zone."
    )


def _draw(
    wishes: list[Wish], seen: View, tier: str, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[PlacedFinding, ...]]:
    """Choose places and draw; choose others when a finding does not fit."""
    reason = ""
    for _ in range(TRIES):
        try:
            return _fill(seen, _choose(wishes, rng), tier, rng)
        except _NoRoom as problem:
            reason = str(problem)
    raise ValueError(reason)


class _NoRoom(Exception):
    """A finding fits nowhere in its place on this film."""


def _fill(
    seen: View, places: list[Place], tier: str, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[PlacedFinding, ...]]:
    """Draw all findings, none over another."""
    film = seen.film
    taken = np.zeros(film.shape, dtype=bool)
    placed: dict[int, PlacedFinding] = {}
    # the heart first: it moves what is there
    for i in sorted(range(len(places)), key=lambda i: places[i][0] != "cardiomegaly"):
        film, placed[i] = _put(film, seen, places[i], tier, taken, rng)
        taken |= placed[i].mask
    return film, tuple(placed[i] for i in range(len(places)))


def _crowd(
    wishes: list[Wish], seen: View, tier: str, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[PlacedFinding, ...]]:
    """Draw many findings, each at a place of its own; again from the start where one finds no room."""
    reason = ""
    for _ in range(TRIES):
        try:
            return _one_by_one(wishes, seen, tier, rng)
        except _NoRoom as problem:
            reason = str(problem)
    raise ValueError(reason)


def _one_by_one(
    wishes: list[Wish], seen: View, tier: str, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[PlacedFinding, ...]]:
    """Draw findings in turn, each in thirds of the lungs that are not full yet."""
    film, taken = seen.film, np.zeros(seen.film.shape, dtype=bool)
    room = -(-len(wishes) // 6)  # findings to a third of a lung
    used: list[Place] = []
    placed: list[PlacedFinding] = []
    for wish in wishes:
        reason = _NoRoom(f"Expected places for {len(wishes)} findings on this film, got {len(placed)}. Ask for fewer.")
        for _ in range(TRIES):
            place = _free_place(wish, used, room, rng)
            if place is None:
                continue
            try:
                film, one = _put(film, seen, place, tier, taken, rng)
            except _NoRoom as problem:
                reason = problem
                continue
            used.append(place)
            placed.append(one)
            taken = taken | one.mask
            break
        else:
            raise reason
    return film, tuple(placed)


def _free_place(wish: Wish, used: list[Place], room: int, rng: np.random.Generator) -> Place | None:
    """A random place that agrees with a request and is free; None where it is not.

    The heart is enlarged first or not at all, since that moves what is there. A finding of both lungs leaves no room.
    """
    options = _places(*wish)
    places = options[int(rng.integers(len(options)))]
    place = places[int(rng.integers(len(places)))]
    filled = [cell for one in used for cell in _cells(one)]
    late = place[0] == "cardiomegaly" and bool(used)
    full = any(filled.count(cell) >= room for cell in _cells(place))
    return None if late or full or place[1] == "both" or place in used else place


def _put(
    film: np.ndarray, seen: View, place: Place, tier: str, taken: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, PlacedFinding]:
    """Draw one finding, repeatedly while it lies outside its zone or on another finding."""
    finding, side, zone = place
    for _ in range(TRIES):
        change = DRAWINGS[finding](seen, side or "", zone or "", tier, rng)
        mask = change.mask & ~taken
        if mask.sum() >= max(6, 0.6 * change.mask.sum()) and _is_in_zone(mask, seen, side, zone):
            break
    else:
        where = ", ".join(part for part in (side, zone) if part) or "its usual place"
        raise _NoRoom(
            f"Expected room for {finding} ({where}) on this film, got none in {TRIES} tries. "
            "Ask for another place or take another film."
        )
    after = _expose(film, seen.lungs, change, ~taken)
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    area = float(mask.sum()) * seen.pixel**2
    reach = seen.lungs.tissue - seen.lungs.air
    shown = float(np.abs(np.clip(after[mask], 0, 255) - np.clip(film[mask], 0, 255)).mean())
    if reach <= 0 or shown < FAINTEST:
        raise _NoRoom(
            f"Expected a film on which {finding} can show, got {shown:.1f} grey levels of change and {reach:.0f} from "
            "lung air to soft tissue. Take a film with dark lungs in brighter tissue."
        )
    contrast = float(np.abs(after - film)[mask].mean()) / reach
    box = (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)
    return after, PlacedFinding(finding, side, zone, mask, box, contrast, 2 * (area / np.pi) ** 0.5, tier)


def _is_in_zone(mask: np.ndarray, seen: View, side: str | None, zone: str | None) -> bool:
    if zone is None or side not in ("right", "left"):
        return True
    top, bottom = seen.lungs.extent(side)
    rows = mask.sum(axis=1)
    centre = float((rows * (np.arange(len(rows)) + 0.5)).sum() / rows.sum() / len(rows))
    return ZONES[min(2, max(0, int(3 * (centre - top) / (bottom - top))))] == zone


def _expose(film: np.ndarray, lungs: Lungs, change: Change, free: np.ndarray) -> np.ndarray:
    """Move, add and remove density towards soft tissue or air, with the remaining markings on top."""
    touched = change.attenuation > 0
    if change.source is not None:
        film = _move(film, change.source)
    base = broad(film, lungs.width, 1.3)
    detail = film - base
    gain = (1 - np.exp(-change.attenuation)) * free
    ceiling = np.maximum(lungs.tissue, base + 0.15 * (255 - base))
    coarse = base + (ceiling - base) * gain
    fine = detail * np.clip(1 - change.hides * gain, 0, 1)
    if change.air is not None:
        ribs = broad(film, lungs.width, 0.55) - base
        share = change.air * free
        darker = np.clip(0.7 * (coarse - 0.7 * lungs.air), 0, 0.3 * (lungs.tissue - lungs.air))
        coarse = coarse - darker * share
        fine = fine + (ribs - fine) * share * (gain < 0.1)
        touched = touched | (share > 0)
    return np.where(touched & free, coarse + fine, film)


def _move(film: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Resample each row at fractional source columns by linear interpolation."""
    first = np.clip(np.floor(source).astype(np.intp), 0, film.shape[1] - 2)
    share = np.clip(source - first, 0, 1).astype(np.float32)
    near, far = (np.take_along_axis(film, first + step, axis=1) for step in (0, 1))
    return np.where(source == np.arange(film.shape[1], dtype=np.intp), film, near + (far - near) * share)
