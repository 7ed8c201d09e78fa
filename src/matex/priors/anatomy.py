"""What a phrase says about places in the chest: a deterministic rule parser with spans, in plain Python.

The words are data (lexicon.py), the regions too (atlas.py); the rules are the functions below, one idea each:
find words, join levels with what they belong to, give sides to places, then ask which statements are denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from matex.priors import lexicon
from matex.priors.atlas import REGIONS
from matex.priors.sections import has_no_findings, sections

Side = Literal["right", "left"]
Polarity = Literal["positive", "negated", "normal", "uncertain"]
Claim = Literal["positive", "negated", "normal", "uncertain", "no finding"]

UNCERTAIN_WEIGHT = 0.5
LESSER_SIDE_WEIGHT = 0.6
REACH = 60
"""No word acts on another one further than this many words away."""
NEAR = 16
"""Nor does a word look for its own noun or adjectives further than this."""


@dataclass(frozen=True)
class Mention:
    """One region that a phrase names, and what the phrase says about it."""

    text: str
    """The words it was read from: phrase[start:end]."""
    start: int
    end: int
    region: str
    """A key of atlas.REGIONS."""
    side: Side | None
    """The patient's side; None for a midline region, or when the phrase gives none."""
    negated: bool
    """Said to be absent, resolved or normal, or only compared with ("unlike the right")."""
    uncertain: bool
    historical: bool
    """About the past: status post, history of, lobectomy."""
    weight: float
    """In [0, 1]; 0 when negated or historical."""
    normal: bool = False
    """Said to be normal; such a mention is negated too."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a report: text == report[start:end]."""

    text: str
    start: int
    end: int
    section: str = ""
    """The section it stands in (`sections.NAMES`); empty before the first heading.

    A section without findings (INDICATION, TECHNIQUE) covers the first of its lines alone: many reports go on with
    the findings without another heading."""


def parse(text: str) -> tuple[Mention, ...]:
    """Read the regions of a phrase or of several sentences, in the order in which they are named.

    A phrase with two sides yields one mention per side. Nothing is guessed from a finding alone: only a
    finding whose side is given has a usual place (docs/anatomy.md lists every rule).
    """
    return tuple(mention for sentence in sentences(text) for mention in _Reading(sentence).mentions())


def polarity(text: str) -> Polarity:
    """Whether a sentence says that something is there, is not there, is normal, or may be there.

    Something certain outweighs something possible, that outweighs something normal, and that something
    absent. A sentence about none of these counts as positive.
    """
    found: set[Polarity] = set()
    for sentence in sentences(text):
        found |= _Reading(sentence).states()
    order: tuple[Polarity, ...] = ("positive", "uncertain", "normal", "negated")
    for state in order:
        if state in found:
            return state
    return "positive"


def claim(sentence: str | Sentence) -> Claim:
    """What a sentence claims about the patient: its `polarity`, or "no finding" when it describes none.

    Sentences about technique, comparison, devices and recommendations describe no finding, and neither do those of a
    section such as INDICATION. A sentence that the rules cannot place counts as one that describes something.

    >>> claim("PA and lateral views of the chest."), claim("ET tube in situ."), claim("ET tube in situ, left effusion.")
    ('no finding', 'no finding', 'positive')
    """
    if isinstance(sentence, Sentence):
        return "no finding" if has_no_findings(sentence.section) else claim(sentence.text)
    readings = [_Reading(part) for part in sentences(sentence)]
    return "no finding" if readings and not any(reading.describes() for reading in readings) else polarity(sentence)


# -------------------------------------------------------------------------------------------------- sentences

_ABBREVIATION = re.compile(
    r"dr|mrs?|ms|prof|st|rt|lt|bilat|vs|approx|e\.g|i\.e|etc|cf|fig|incl|resp|[ap]\.m|ca|[a-kmnp-qs-z]"
)
_BULLET = re.compile(r"[ \t]*(?:\(?\d{1,2}[.)](?=\s)|[-*•·–](?=\s))[ \t]*")
_BLANK = re.compile(r"\s+")
_BREAK = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|\n")


def sentences(text: str) -> tuple[Sentence, ...]:
    """Split a report into sentences; headings (FINDINGS:) and list numbers belong to no sentence.

    A full stop ends a sentence unless it belongs to a number (2.5 cm) or an abbreviation (Dr., Lt.). A line
    break ends one unless the next line goes on in lower case.
    """
    found: list[Sentence] = []
    for section in sections(text):
        first_line = _end_of_first_line(text, section.start, section.end)
        start = _skip_markers(text, section.start, section.end)
        for stop in [*_BREAK.finditer(text, start, section.end), None]:
            if stop is not None and (stop.start() < start or not _is_end(text, start, stop)):
                continue
            is_covered = not has_no_findings(section.name) or start < first_line
            end = section.end if stop is None else stop.start() if stop.group() == "\n" else stop.end()
            _add(found, text, start, end, section.name if is_covered else "")
            start = section.end if stop is None else _skip_markers(text, stop.end(), section.end)
    return tuple(found)


def _end_of_first_line(text: str, start: int, stop: int) -> int:
    """The end of the first line that is not blank."""
    first = _BLANK.match(text, start, stop)
    end = text.find("\n", first.end() if first else start, stop)
    return stop if end < 0 else end


def _skip_markers(text: str, start: int, stop: int) -> int:
    while match := _BULLET.match(text, start, stop) or _BLANK.match(text, start, stop):
        start = match.end()
    return start


def _is_end(text: str, start: int, stop: re.Match[str]) -> bool:
    if stop.group() == "\n":
        following = text[stop.end() : stop.end() + 40].lstrip(" \t")
        return not following[:1].islower()
    if stop.group() != ".":
        before = text[max(start, stop.start() - 20) : stop.start()]
        asks = before[-1:].isspace() and text[stop.end() : stop.end() + 40].lstrip(" \t")[:1].isalnum()
        return not asks and any(character.isalnum() for character in before)  # "? nodule", "opacity, ? artifact"
    before = text[max(start, stop.start() - 20) : stop.start()].split()
    return not (before and _ABBREVIATION.fullmatch(before[-1].lstrip("(").lower()))


def _add(found: list[Sentence], text: str, start: int, end: int, section: str) -> None:
    while end > start and text[end - 1].isspace():
        end -= 1
    if any(character.isalnum() for character in text[start:end]):
        found.append(Sentence(text[start:end], start, end, section))


# --------------------------------------------------------------------------------------------- words to items

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]|_")
_PUNCTUATION = {
    ",": "comma",
    "(": "comma",
    ")": "comma",
    "—": "comma",
    "–": "comma",
    ";": "boundary",
    ":": "colon",
    "/": "and",
    "&": "and",
    "+": "and",
    ">": "more than",
    "<": "less than",
    "?": "uncertain",
}


@dataclass
class _Item:
    """A word or phrase of the lexicon, or an unknown word, with its place in the text."""

    kinds: frozenset[str]
    words: str
    value: str
    start: int
    end: int
    used: bool = False
    """Belongs to something else (a device, another organ, a direction) and names no region."""

    def is_any(self, *kinds: str) -> bool:
        return not self.kinds.isdisjoint(kinds)


@dataclass
class _Anchor:
    """Something that can have a side: a place, or a finding (which has no region of its own)."""

    item: int
    regions: tuple[tuple[str, str | None], ...] = ()
    """(region, the side that the word itself fixes)."""
    finding: str | None = None
    weak: bool = False
    """Gives way to a nearer place."""
    usual_side: str | None = None
    """The side of the word when no side word qualifies it."""
    repeats: _Anchor | None = None
    """What a side that stands alone speaks of: "the left has resolved"."""
    contrasts: bool = False
    """Meant the other way round than what it repeats: "but not the right"."""
    last: int = -1
    """The last item of its words, when there are several."""
    sides: dict[str, float] = field(default_factory=dict[str, float])
    """Side -> weight, once known."""
    side_item: int | None = None

    @property
    def takes_side(self) -> bool:
        return bool(self.regions) and any(REGIONS[key].sided and side is None for key, side in self.regions)

    @property
    def is_sided(self) -> bool:
        return any(REGIONS[key].sided for key, _ in self.regions)

    @property
    def is_nearer(self) -> bool:
        """More exact than a whole lung."""
        return any(REGIONS[key].sided and key not in lexicon.BESIDE_LUNG for key, _ in self.regions)


@dataclass
class _SideWord:
    """A side, or two sides with weights, said in one breath ("right greater than left")."""

    first: int
    last: int
    weights: dict[str, float]
    compares: bool = False
    behind: bool = False
    """Stands after what it is about: "on the right", "bilaterally", "opacity right, ..."."""
    against: bool = False
    """Only compared with, or said to have none: "unlike the right", "none on the right"."""
    contrasts: bool = False
    """Excepted from what is said of the other side: "but not on the right"."""


def _groups() -> Iterator[tuple[str, str, Iterable[str]]]:
    """All (kind, value, phrases) of the lexicon."""
    for kind, table in (
        ("side", lexicon.SIDES),
        ("level", lexicon.LEVELS),
        ("head", lexicon.HEADS),
        ("place", lexicon.PLACES),
        ("weak", lexicon.WEAK_PLACES),
        ("finding", lexicon.FINDINGS),
    ):
        for value, phrases in table.items():
            yield kind, value, phrases
    yield from (("several", phrase, (phrase,)) for phrase in lexicon.SEVERAL_PLACES)
    for kind, phrases in (
        ("owns side", lexicon.OWNS_SIDE),
        ("device", lexicon.DEVICES),
        ("body", lexicon.OTHER_BODY),
        ("position", lexicon.POSITIONS),
        ("ignored", lexicon.NOT_A_SIDE),
        ("direction", lexicon.DIRECTIONS),
        ("not", lexicon.NEGATIONS),
        ("not behind", lexicon.NEGATIONS_BEHIND),
        ("ignored", lexicon.NOT_NEGATIONS),
        ("out of view", lexicon.OUT_OF_VIEW),
        ("free of", lexicon.FREE_OF),
        ("normal", lexicon.NORMALS),
        ("normal", lexicon.AS_NORMAL),
        ("as normal", lexicon.AS_NORMAL),
        ("less normal", lexicon.LESS_NORMAL),
        ("ignored", lexicon.BEYOND_NORMAL),
        ("beyond normal", lexicon.BEYOND_NORMAL),
        ("uncertain", lexicon.UNCERTAIN),
        ("ignored", lexicon.CERTAIN_ALL_THE_SAME),
        ("uncertain behind", lexicon.UNCERTAIN_BEHIND),
        ("historical", lexicon.HISTORICAL),
        ("ignored", lexicon.NOT_HISTORICAL),
        ("surgery", lexicon.SURGERY),
        ("more", lexicon.MORE),
        ("less", lexicon.LESS),
        ("than", ("than",)),
        ("boundary", lexicon.BOUNDARIES),
        ("with", lexicon.WITHS),
        ("preposition", lexicon.PREPOSITIONS),
        ("singular verb", lexicon.SINGULAR_VERBS),
        ("plural verb", lexicon.PLURAL_VERBS),
        ("status", lexicon.STATUS),
        ("and", ("and", "as well as")),
        ("or", ("or", "nor", "versus", "vs")),
        ("against", lexicon.AGAINST),
    ):
        yield kind, "", phrases


_Entry = tuple[frozenset[str], str]


@cache
def _phrases() -> dict[str, list[tuple[int, dict[tuple[str, ...], _Entry]]]]:
    """First word -> (length, phrases of that length that start with it -> their kinds and value), longest first."""
    kinds: dict[tuple[str, ...], set[str]] = {}
    values: dict[tuple[str, ...], str] = {}
    for kind, value, phrases in _groups():
        for phrase in phrases:
            words = tuple(word for word in _WORD.findall(phrase) if word != "-" and word not in lexicon.ARTICLES)
            kinds.setdefault(words, set()).add(kind)
            if value:
                values[words] = value
    table: dict[str, dict[int, dict[tuple[str, ...], _Entry]]] = {}
    for words, found in kinds.items():
        of_length = table.setdefault(words[0], {}).setdefault(len(words), {})
        of_length[words] = (frozenset(found), values.get(words, ""))
    return {first: sorted(lengths.items(), reverse=True) for first, lengths in table.items()}


_OTHER = frozenset({"other"})


def _find_items(text: str, offset: int) -> list[_Item]:
    """The phrases of the lexicon in a sentence, longest match first; articles and hyphens are skipped."""
    tokens = [
        match
        for match in _WORD.finditer(text)
        if match.group() not in ("-", ".", "‐", "‑", '"') and match.group().lower() not in lexicon.ARTICLES
    ]
    words = [token.group().lower().replace("’", "'") for token in tokens]
    items: list[_Item] = []
    table = _phrases()
    i = 0
    while i < len(words):
        length, kinds, value = 1, _OTHER, ""
        for size, phrases in table.get(words[i], ()):
            entry = phrases.get(tuple(words[i : i + size]))
            if entry is not None:
                length, (kinds, value) = size, entry
                if words[i] == "may" and _is_date(words, i):
                    kinds = _OTHER
                break
        else:
            if words[i] in ("r", "l") and _is_side_letter(tokens, words, i):
                kinds, value = frozenset({"side"}), {"r": "right", "l": "left"}[words[i]]
            elif words[i] in _PUNCTUATION:
                kinds = frozenset({_PUNCTUATION[words[i]]})
        start, end = tokens[i].start(), tokens[i + length - 1].end()
        items.append(_Item(kinds, " ".join(words[i : i + length]), value, offset + start, offset + end))
        i += length
    return items


def _is_date(words: Sequence[str], i: int) -> bool:
    """Whether a month has a number beside it: "12 May", "May 2019"."""
    return any(0 <= k < len(words) and words[k][:1].isdigit() for k in (i - 1, i + 1))


def _is_side_letter(tokens: Sequence[re.Match[str]], words: Sequence[str], i: int) -> bool:
    """R or L alone, in capitals or beside > and <; not litres ("5 L") and not vertebrae ("L1", "L spine")."""
    before = words[i - 1] if i else ""
    after = words[i + 1] if i + 1 < len(words) else ""
    if before[:1].isdigit() or after[:1].isdigit() or after in ("spine", "spinal", "vertebra"):
        return False
    return tokens[i].group().isupper() or before in (">", "<") or after in (">", "<")


# ------------------------------------------------------------------------------------------------ the reading

_BREAKS = ("comma", "and", "or", "with", "boundary", "colon")
_ASIDE = lexicon.TECHNIQUE_WORDS | lexicon.DEVICE_WORDS | lexicon.MESSAGE_WORDS
_ADVERBS = ("bilaterally", "on each side")
"""Sides that stand behind what they are about."""


class _Reading:
    """One sentence, read step by step; each method is one rule of docs/anatomy.md."""

    def __init__(self, sentence: Sentence) -> None:
        self.sentence = sentence
        self.items = _find_items(sentence.text, sentence.start)
        self._read_central_as_normal()
        self._read_contrasts()
        self._read_no_change()
        self.joins = self._find_joins()
        self.statement = self._number_statements()
        self._set_aside_names()
        self.anchors: list[_Anchor] = []
        self.elsewhere: list[_Anchor] = []
        """Findings of other anatomy: they have no region here."""
        self._collect_anchors()
        self.anchors_at: dict[int, list[_Anchor]] = {}
        for anchor in self.anchors:
            self.anchors_at.setdefault(anchor.item, []).append(anchor)
        self.denied: set[int] = set()
        self.normal: set[int] = set()
        self.doubted: set[int] = set()
        self.past: set[int] = set()
        self.side_words: list[_SideWord] = []
        self._collect_side_words()
        self._assign_sides()
        self._spread_polarity()

    def _word(self, i: int) -> str:
        return self.items[i].words if 0 <= i < len(self.items) else ""

    def _anchors_in(self, positions: Iterable[int]) -> Iterator[_Anchor]:
        for i in positions:
            yield from self.anchors_at.get(i, ())

    def _is(self, i: int, *kinds: str) -> bool:
        return 0 <= i < len(self.items) and self.items[i].is_any(*kinds)

    # -- words that depend on their neighbours

    def _read_central_as_normal(self) -> None:
        """ "the trachea is central" and "trachea central": nothing is displaced."""
        for i, item in enumerate(self.items):
            if item.words in lexicon.CENTRAL and not self._is(i + 1, "finding", "head", "place", "side"):
                k = i - 1
                while self._word(k) in lexicon.COPULAS or self._word(k) in lexicon.NEUTRAL:
                    k -= 1
                if self._is(k, "place") and self.items[k].value in lexicon.CENTRED_PLACES:
                    item.kinds, item.value = frozenset({"normal"}), ""

    def _read_contrasts(self) -> None:
        """ "the left, but not the right, effusion has resolved": what is said of one side is not so of the other."""
        for i, item in enumerate(self.items):
            if not (item.words in ("but", "and") and self._word(i + 1) == "not"):
                continue
            side = self._skip(i + 2, 1, "preposition")
            if self._is(side, "side") and any(self._is(k, "side") for k in range(max(0, i - 3), i)):
                item.kinds = _OTHER
                self.items[i + 1].kinds = frozenset({"contrast"})

    def _skip(self, i: int, step: int, *kinds: str) -> int:
        """The first word from i on, forward (1) or backward (-1), that is of none of these kinds."""
        k = i
        while abs(k - i) < NEAR and self._is(k, *kinds):
            k += step
        return k

    def _read_no_change(self) -> None:
        """ "without significant, interval change in the left effusion": the effusion is there."""
        for i, item in enumerate(self.items):
            if "not" in item.kinds:
                k = i + 1
                while k < i + NEAR and (self._word(k) in lexicon.DEGREES or self._is(k, "comma", "or")):
                    k += 1
                if self._word(k) in lexicon.CHANGES:
                    item.kinds = frozenset({"ignored"})

    def _is_modifier(self, i: int) -> bool:
        """Whether a word is an adjective, by its kind, by the lexicon, or by its ending."""
        if not 0 <= i < len(self.items):
            return False
        item = self.items[i]
        if item.is_any("status", "side", "level") or item.words in lexicon.MODIFIERS:
            return True
        known = item.words in lexicon.NO_MODIFIERS or "other" not in item.kinds
        return not known and item.words.endswith(lexicon.MODIFIER_ENDINGS)

    def _find_joins(self) -> set[int]:
        """Commas between adjectives of one noun: "no new, large left effusion". No statement ends at them."""
        joins: set[int] = set()
        for i, item in enumerate(self.items):
            if "comma" not in item.kinds or self._word(i + 1) in lexicon.ONLY or i + 1 == len(self.items):
                continue
            if self._is(i + 1, "not", "not behind", "preposition", "singular verb", "plural verb"):
                continue
            if self._is(i + 1, "comma", "with", "boundary", "colon"):
                continue
            if self._is(i - 1, "not", "uncertain") and self._word(i - 1).rpartition(" ")[2] in lexicon.TRIGGER_ENDS:
                joins.add(i)  # "no new, large effusion": the lexicon has "no new" as one phrase
                continue
            if not self._is_modifier(i - 1):
                continue
            k = i - 1
            while k > i - NEAR and (self._is_modifier(k) or k in joins or (self._is(k, "and", "or") and k > 0)):
                k -= 1
            opens = self._is(k, "not", "uncertain", "historical", "free of", "preposition", "with", "boundary", "colon")
            has_object = self._is(k, "singular verb", "plural verb") and self._word(k) not in lexicon.COPULAS
            opens = opens or k < 0 or self._word(k).startswith("there")
            if opens or has_object:
                joins.add(i)
        return joins

    # -- statements: the parts of a sentence that no scope crosses

    def _number_statements(self) -> list[int]:
        """A statement ends at "but", "except", a semicolon, and where a new subject has a verb of its own."""
        numbers: list[int] = []
        current, has_content = 0, False
        for i, item in enumerate(self.items):
            joins = i in self.joins or not item.is_any("comma", "and")
            opens = not joins and has_content and self._opens_statement(i)
            if "boundary" in item.kinds or opens:
                current, has_content = current + 1, False
            numbers.append(current)
            has_content = has_content or item.is_any(
                "finding", "not", "not behind", "normal", "free of", "singular verb", "plural verb"
            )
        return numbers

    def _opens_statement(self, i: int) -> bool:
        """Whether the words after this comma or "and" are a subject with a verb of its own.

        A plural verb counts only right after a comma: "A and B are clear" is about both.
        """
        after_comma, subject = self._is(i, "comma"), False
        for k in range(i + 1, min(len(self.items), i + 13)):
            item = self.items[k]
            verb = item.words.partition(" ")[0] if "not behind" in item.kinds else ""
            if "singular verb" in item.kinds or verb in ("is", "has", "was", "had"):
                return subject or item.words.startswith("there")
            if "plural verb" in item.kinds or verb in ("are", "have", "were"):
                return subject and after_comma
            if verb and subject and not self._has_noun_after(k):  # "right effusion larger and left resolved"
                return self._is(i - 1, "status", "more", "less", "singular verb", "not behind")
            if "and" in item.kinds and not subject:
                after_comma = False
            elif item.is_any(*_BREAKS):
                return False
            else:
                subject = True
        return False

    def _has_noun_after(self, i: int) -> bool:
        for k in range(i + 1, min(len(self.items), i + 8)):
            if self._is(k, "preposition", *_BREAKS):
                return False
            if self._is(k, "side", "finding", "place", "weak", "several", "head"):
                return True
        return False

    # -- words that belong to somebody else

    def _set_aside_names(self) -> None:
        """Side words of other anatomy, of devices, of positions and of directions are no side of the
        chest."""
        directed = -REACH
        for i, item in enumerate(self.items):
            if "direction" in item.kinds:
                directed = i
            if item.words in lexicon.PAIRING and self._pairs_findings(i, lexicon.PAIRING[item.words]):
                item.used = True
            if "owns side" in item.kinds:
                self._take_sides_before(i, skipping=(), reach=1)
            elif item.is_any("body", "position"):
                item.used = True
                self._take_sides_before(i, skipping=("other", "status"), reach=3)
            elif "device" in item.kinds:
                item.used = True
                skipping = ("other", "status", "level", "place", "weak", "head", "body", "position", "device")
                self._take_sides_before(i, skipping, reach=7)
            elif "side" in item.kinds and self._is_direction(i, directed):
                item.used = True

    def _pairs_findings(self, i: int, conjunction: str) -> bool:
        """ "either pneumonia or atelectasis", "both a mass and an effusion": no sides, but "both effusions" are."""
        for k in range(i + 1, min(len(self.items), i + 8)):
            if conjunction in self.items[k].kinds:
                return self._is(k - 1, "finding") and not re.search(r"(?<![is])s$|ae$", self._word(k - 1))  # no plural
            if not self.items[k].is_any("finding", "other", "status"):
                return False
        return False

    def _is_direction(self, i: int, directed: int) -> bool:
        """ "shifted to the right", "shift left", "left shift": the side says where to, not where."""
        if i - directed < 8 and self._word(i - 1) in ("to", "toward", "towards"):
            return True
        if self._word(i + 1) in lexicon.SHIFTS:
            return True
        return directed == i - 1 and not self._is(
            i + 1,
            "level",
            "head",
            "place",
            "weak",
            "several",
            "finding",
            "device",
            "body",
            "position",
            "other",
            "status",
        )

    def _take_sides_before(self, i: int, skipping: tuple[str, ...], reach: int) -> None:
        """Give the side words in front of item i to it, with the words between them."""
        back = i - 1
        while back >= 0 and i - back < reach and self.items[back].is_any(*skipping):
            back -= 1
        if not self._is(back, "side"):
            back = i - 1  # no side: only a place right in front ("apical chest tube") goes with it
            if self._is(back, "place", "weak", "head") and skipping:
                self.items[back].used = True
            return
        for between in self.items[back:i]:
            between.used = True
        while self._is(back - 1, "and", "or") and self._is(back - 2, "side"):
            back -= 2
            self.items[back].used = True

    # -- places and findings

    def _collect_anchors(self) -> None:
        """Levels wait for what they belong to: in "right upper and middle lobe" both are lobes."""
        levels: list[int] = []
        for i, item in enumerate(self.items):
            if item.used:
                levels = []
            elif "level" in item.kinds and not self._word(i + 1).startswith("than"):
                levels.append(i)
            elif "head" in item.kinds:
                if levels:
                    self._join_levels(levels, i)
                else:
                    self._read_lung(i)
                levels = []
            elif item.is_any("place", "weak", "several"):
                levels = []
                regions = lexicon.SEVERAL_PLACES.get(item.value, ((item.value, None),))
                self.anchors.append(
                    _Anchor(
                        i,
                        tuple((key, REGIONS[key].only or side) for key, side in regions),
                        weak="weak" in item.kinds,
                        usual_side=lexicon.USUAL_SIDES.get(item.value),
                    )
                )
            elif "finding" in item.kinds:
                self._read_bare_level(levels)
                levels = []
                among = self.elsewhere if self._is_of_other_body(i) else self.anchors
                among.append(_Anchor(i, finding=item.value))
            elif not (item.is_any("and", "or", "comma", "side", "other", "status") or item.words == "to"):
                self._read_bare_level(levels)
                levels = []
        self._read_bare_level(levels)

    def _is_of_other_body(self, i: int) -> bool:
        """Whether the finding is one of anatomy that has no region: "wrist fracture", "stone in the left kidney"."""
        if self._is(self._skip(i - 1, -1, "other", "status", "finding"), "body"):
            return True
        k = self._skip(i + 1, 1, "finding")
        if not self._is(k, "preposition"):
            return False
        return self._is(self._skip(k + 1, 1, "other", "status", "side", "level"), "body")

    def _join_levels(self, levels: list[int], head: int) -> None:
        item = self.items[head]
        regions = {
            "lobe": {"upper": ["upper lobe"], "mid": ["middle lobe"], "lower": ["lower lobe"]},
            "thirds": {
                "upper": ["upper zone", "mid zone"],
                "mid": ["mid zone"],
                "lower": ["mid zone", "lower zone"],
            },
        }.get(item.value, {"upper": ["upper zone"], "mid": ["mid zone"], "lower": ["lower zone"]})
        # "mid to lower left lung": the side stands between the levels and their head
        side = head - 1 if self._is(head - 1, "side") and not self.items[head - 1].used else None
        if side is not None and any(self._is(i - 1, "side") for i in levels):
            side = None
        for i in levels:
            own = i + 1 if self._is(i + 1, "side") and not self.items[i + 1].used and i + 1 < head - 1 else side
            for key in regions[self.items[i].value]:
                anchor = _Anchor(i, ((key, REGIONS[key].only),), last=head if i == levels[-1] else -1)
                if own is not None:
                    self._set_side([anchor], own)
                self.anchors.append(anchor)

    def _read_bare_level(self, levels: list[int]) -> None:
        """ "right lower opacity": without a head, a level right after a side is a zone."""
        for i in levels:
            if self._is(i - 1, "side") and not self.items[i - 1].used:
                self.anchors.append(_Anchor(i, ((f"{self.items[i].value} zone", None),)))

    def _read_lung(self, i: int) -> None:
        """A whole lung, unless it only says whose base or zone is meant ("base of the left lung", "lung
        base")."""
        item = self.items[i]
        if item.value != "lung" and item.words not in lexicon.WHOLE_LUNG and not self._is_part_of(i):
            return
        sides = self._sides_before(i)
        if sides and (places := self._places_before(sides[0], self.anchors[-NEAR:])):  # "apical and basal left lung"
            for side in sides:
                self._set_side(places, side)
            return
        if self._is_part_of(i):
            side = i - 1 if self._is(i - 1, "side") else None
            for anchor in reversed(self.anchors):
                if anchor.finding or anchor.sides or self._is(anchor.item - 1, "side") or side is None:
                    break
                self._set_side([anchor], side)
            return
        if self._is(i + 1, "level") or (
            self._is(i + 1, "place") and not self.items[i + 1].used and REGIONS[self.items[i + 1].value].sided
        ):
            return
        self.anchors.append(_Anchor(i, (("lung", None),), weak=True))

    def _is_part_of(self, i: int) -> bool:
        """Whether "of the (left) lung" follows a place directly."""
        back = i - 2 if self._is(i - 1, "side") else i - 1
        place = self.anchors[-1] if self.anchors else None
        return (
            self._word(back) in ("of", "in", "within")
            and place is not None
            and place.is_sided
            and max(place.item, place.last) == back - 1
        )

    def _set_side(self, anchors: Iterable[_Anchor], side: int) -> None:
        self.items[side].used = True
        for anchor in anchors:
            anchor.sides |= _weights(self.items[side].value)
            anchor.side_item = side

    def _sides_before(self, i: int) -> list[int]:
        """The side words right before an item, in order: "left", "right and left"."""
        found: list[int] = []
        k = i - 1
        while k > i - NEAR and self._is(k, "side") and not self.items[k].used:
            found.insert(0, k)
            k -= 2 if self._is(k - 1, "and", "or") else len(self.items)
        return found

    def _places_before(self, side: int, among: Sequence[_Anchor]) -> list[_Anchor]:
        """The places that stand as adjectives right before their side, in "basal left lung": those without another."""
        found: list[_Anchor] = []
        k = side - 1
        while k > side - NEAR and self._word(k) in lexicon.PLACE_ADJECTIVES:
            if self._is(k - 1, "side"):
                break
            found += [anchor for anchor in among if anchor.item == k and anchor.takes_side and not anchor.sides]
            k -= 2 if self._is(k - 1, "and", "or") else len(self.items)
        return found

    # -- sides

    def _collect_side_words(self) -> None:
        """Side words in order; "right greater than left" and "worse on the left" count as one."""
        found = [i for i, item in enumerate(self.items) if "side" in item.kinds and not item.used]
        scale: dict[int, float] = {}
        position = 0
        while position < len(found):
            i = found[position]
            following = found[position + 1] if position + 1 < len(found) else None
            position += 1
            lesser = self._lesser_of(i, following) if following is not None else None
            if lesser is not None and following is not None:
                if self._has_place_of_its_own(i, following):
                    scale[lesser] = LESSER_SIDE_WEIGHT
                else:
                    weights = _weights("both") | {self.items[lesser].value: LESSER_SIDE_WEIGHT}
                    self.side_words.append(_SideWord(i, following, weights, True, self._is_behind(i)))
                    position += 1
                    continue
            elif i not in scale and (start := self._comparative_before(i)) is not None:
                weights = _weights("both") | {self._lesser_after(start, i): LESSER_SIDE_WEIGHT}
                self.side_words.append(_SideWord(start, i, weights, True, True))
                continue
            weights = {side: scale.get(i, 1.0) for side in _weights(self.items[i].value)}
            word = _SideWord(i, i, weights, behind=self._is_behind(i), against=self._is_against(i))
            word.contrasts = self._is_contrast(i)
            self.side_words.append(word)

    def _is_behind(self, i: int) -> bool:
        if self._word(i - 1) == "on" or self._word(i) in _ADVERBS:
            return True
        return self._is(i - 1, "finding") and self._is(i + 1, "comma", "boundary") and not self._is(i + 2, "side")

    def _is_contrast(self, i: int) -> bool:
        return self._is(self._skip(i - 1, -1, "preposition"), "contrast")

    def _is_against(self, i: int) -> bool:
        """ "unlike the right", "none in the right lung", "not right": nothing is said to be there."""
        k = i - 1
        while k >= max(0, i - 3) and self._is(k, "preposition"):
            k -= 1
        if self._is(k, "against"):
            return True
        less = any("less normal" in item.kinds for item in self.items[max(0, k - 3) : k + 1])
        if less and (self._word(k) in ("than", "as") or self._is(k, "less normal")):
            return True  # "less clear than the right"
        ends = i + 1 == len(self.items) or self._is(i + 1, "comma", "boundary")
        return self._is(k, "not") and ends and not self._is(i + 2, "side")

    def _lesser_of(self, i: int, following: int) -> int | None:
        """The side item that is said to have less, if the words between two sides compare them."""
        opposite = {self.items[i].value, self.items[following].value} == {"right", "left"}
        if not opposite or following - i > 16:
            return None
        for k in range(i + 1, following):
            nearby = self.items[max(i + 1, k - 3) : k]
            if "less normal" in self.items[k].kinds:
                return None
            if "more than" in self.items[k].kinds:
                return following
            if "less than" in self.items[k].kinds:
                return i
            if "than" in self.items[k].kinds:
                if any("more" in item.kinds for item in nearby + self.items[i - 2 : i]):
                    return following
                if any("less" in item.kinds or item.words == "lower" for item in nearby + self.items[i - 2 : i]):
                    return i
        return None

    def _has_place_of_its_own(self, i: int, following: int) -> bool:
        """ "right basilar greater than left basilar": both sides carry their own place."""
        if not any(k in self.anchors_at for k in range(i + 1, following)):
            return False
        for k in range(following + 1, len(self.items)):
            if k in self.anchors_at:
                return True
            if self.items[k].is_any(*_BREAKS):
                return False
        return False

    def _comparative_before(self, i: int) -> int | None:
        """The comparative of "worse on the left", "larger on the right"."""
        if self.items[i].value == "both" or self._word(i - 1) not in ("on", "in", "at"):
            return None
        for k in range(i - 2, max(-1, i - 5), -1):
            if self.items[k].is_any("more", "less"):
                return k
            if not self.items[k].is_any("other", "status"):
                return None
        return None

    def _lesser_after(self, comparative: int, i: int) -> str:
        side = self.items[i].value
        opposite = "left" if side == "right" else "right"
        return opposite if "more" in self.items[comparative].kinds else side

    def _assign_sides(self) -> None:
        """Every side word looks forward for its place, or backward when it stands behind it."""
        waiting: dict[str, float] = {}
        start = 0
        words = [word for word in self.side_words if not word.contrasts]
        for number, word in enumerate(words):
            following = words[number + 1] if number + 1 < len(words) else None
            stop = following.first if following else len(self.items)
            if number and not waiting:
                start = words[number - 1].last + 1
            if word.compares and self._override_both(word):
                continue
            if word.against:
                if not (number and words[number - 1].compares):  # "worse on the left compared to the right"
                    self._set_against(word, stop)
                continue
            near = list(self._anchors_in(range(word.first - NEAR, word.first)))
            if not word.behind and not word.compares and (places := self._places_before(word.first, near)):
                for anchor in places:  # "basal left effusion"
                    anchor.sides, anchor.side_item = dict(word.weights), word.first
                if not self._is(word.last + 1, "level", "place", "several"):
                    continue
            ahead = [] if self._is_called_normal(word) else self._look_ahead(word, stop)
            places_ahead = any(anchor.takes_side and not anchor.weak for anchor in ahead)
            if word.behind and self._look_back(word, start, findings=not places_ahead):
                continue
            if self._word(word.last) in ("both", "either") and self._is(word.last + 1, "side"):
                continue
            if not ahead and following and self._coordinates(word.last, following):
                waiting |= word.weights
                continue
            word.weights = waiting | word.weights
            waiting = {}
            if ahead:
                self._give(word, ahead, stop)
            elif not self._look_back(word, start, findings=not self._is(word.last + 1, "normal")) and (
                not self._is_of_something_else(word)
            ):
                has_verb = self._is(word.last + 1, "singular verb", "plural verb", "status", "not behind")
                is_subject = has_verb and not self._is_called_normal(word)
                alone = self._side_alone(word, ahead=following is not None and (following.against or is_subject))
                self.anchors.append(alone)
                self.anchors_at.setdefault(alone.item, []).append(alone)
        for word in self.side_words:
            if word.contrasts:
                self._set_contrast(word)
        self.anchors.sort(key=lambda anchor: anchor.item)
        self._pass_sides_on()

    def _set_contrast(self, word: _SideWord) -> None:
        """The nearest place or finding that has the other side, with this one."""
        around = self._anchors_in(range(word.first - REACH, word.first + REACH))
        sided = [anchor for anchor in around if anchor.sides and not set(anchor.sides) & set(word.weights)]
        if not sided:
            return
        nearest = min(sided, key=lambda anchor: abs(anchor.item - word.first))
        regions = self._regions_repeated(nearest, word)
        other = _Anchor(word.first, regions, weak=nearest.weak, last=word.last, sides=dict(word.weights))
        other.repeats, other.contrasts = nearest, True
        self.anchors.append(other)
        self.anchors_at.setdefault(other.item, []).append(other)

    def _pass_sides_on(self) -> None:
        """ "apical nodule in the right lung": the lung gives way to the apex, which gets its side.

        "basal segment of the left lower lobe": a part has the side of its whole.
        """
        for anchor in self.anchors:
            start = min(anchor.item, anchor.item if anchor.side_item is None else anchor.side_item)
            if self._word(start - 1) in ("of", "within") and anchor.is_sided:
                fixed = {side: 1.0 for _, key in anchor.regions if key for side in _weights(key)}
                for other in self._anchors_in((start - 2, start - 3)):
                    if other.takes_side and not other.sides and not self._is_parted(other.item, start):
                        other.sides = dict(anchor.sides or fixed)
            if not (anchor.weak and anchor.sides and anchor.regions):
                continue
            for other in self._anchors_in(range(anchor.item - REACH, anchor.item)):
                near = self.statement[other.item] == self.statement[anchor.item]
                unsided = other.takes_side and not other.sides and other.is_nearer
                if near and unsided and not self._is_parted(other.item, anchor.item):
                    other.sides = dict(anchor.sides)

    def _is_called_normal(self, word: _SideWord) -> bool:
        """ "the right is clear, ...": it has been spoken of, and what comes next belongs to another side."""
        k = word.last + 1
        while self._is(k, "singular verb", "plural verb") or self._word(k) in lexicon.NEUTRAL:
            k += 1
        return k > word.last + 1 and self._is(k, "normal")

    def _set_against(self, word: _SideWord, stop: int) -> None:
        """The place right after the side, else what was named last, else what is named next: denied."""
        ahead: list[_Anchor] = []
        for i in range(word.last + 1, min(stop, word.last + REACH)):
            if self._is(i, "comma", "or", "with", "boundary", "colon", "preposition", "singular verb", "plural verb"):
                break
            ahead += [anchor for anchor in self.anchors_at.get(i, ()) if not anchor.sides]
        if ahead:
            self._give(word, ahead, ahead[-1].item)
            self.denied.update(anchor.item for anchor in ahead)
            return
        alone = self._side_alone(word, ahead=True)
        self.anchors.append(alone)
        self.anchors_at.setdefault(alone.item, []).append(alone)
        self.denied.add(alone.item)

    def _side_alone(self, word: _SideWord, ahead: bool = False) -> _Anchor:
        """ "the left is sharp", "small on the left" speak of what was named last; otherwise it is the lung."""
        alone = _Anchor(word.first, (("lung", None),), weak=True, last=word.last, sides=word.weights)
        if not self._is(word.last + 1, "normal"):
            before = list(self._anchors_in(range(word.first - 1, max(-1, word.first - REACH), -1)))
            last = next((a for a in before if a.is_sided or (a.finding in lexicon.USUAL_PLACES and a.sides)), None)
            if last is None:
                last = next((a for a in before if a.finding in lexicon.USUAL_PLACES), None)
            if last is None and ahead:
                after = self._anchors_in(range(word.last + 1, min(len(self.items), word.last + REACH)))
                last = next((a for a in after if a.is_sided or a.finding in lexicon.USUAL_PLACES), None)
            if last is not None:
                alone.regions = self._regions_repeated(last, word)
                alone.weak, alone.repeats = last.weak, last
        return alone

    def _regions_repeated(self, anchor: _Anchor, word: _SideWord) -> tuple[tuple[str, str | None], ...]:
        """The regions of an anchor on another side; the lung where that side has none of them (a left middle lobe)."""
        usual = lexicon.USUAL_PLACES.get(anchor.finding or "", ("lung",))
        keys = [key for key, _ in anchor.regions] or usual
        there = [key for key in keys if REGIONS[key].only is None or REGIONS[key].only in word.weights]
        return tuple((key, None) for key in (there or ["lung"]))

    def _coordinates(self, i: int, following: _SideWord) -> bool:
        """ "right and small left effusions": nothing but adjectives and a conjunction between two sides."""
        between = self.items[i + 1 : following.first]
        if any("not behind" in item.kinds for item in between):
            return False  # "left resolved, right increased effusion"
        adjectives = any(item.is_any("other", "status") for item in between)
        if adjectives and not self._look_ahead(following, len(self.items)):
            return False  # "right unchanged, left resolved": each is said of its own side
        return (
            not following.behind
            and any(item.is_any("and", "or", "comma") for item in between)
            and all(item.is_any("and", "or", "comma", "other", "status", "not") for item in between)
            and not any(item.words in lexicon.ONLY for item in between)
        )

    def _override_both(self, word: _SideWord) -> bool:
        """ "bilateral effusions, right greater than left": the weights go to what is on both sides
        already."""
        done = False
        for anchor in self._anchors_in(range(max(0, word.first - REACH), word.first)):
            if self.statement[word.first] - self.statement[anchor.item] <= 1:
                if set(anchor.sides) == {"right", "left"}:
                    anchor.sides = dict(word.weights)
                    done = True
                elif any(side == "both" for _, side in anchor.regions):
                    anchor.regions = tuple((key, None) for key, _ in anchor.regions)
                    anchor.sides = dict(word.weights)
                    done = True
        return done

    def _look_back(self, word: _SideWord, start: int, findings: bool = True) -> bool:
        """Give the side to the places before it that have none, else to the nearest finding."""
        statement = self.statement[word.first]
        before = [
            anchor
            for anchor in self._anchors_in(range(max(start, word.first - REACH), word.first))
            if self.statement[anchor.item] == statement and not anchor.sides
            if not (anchor.usual_side and self._is_parted(anchor.item + 1, word.first - 1))
        ]
        places = [anchor for anchor in before if anchor.takes_side]
        if any(not anchor.weak for anchor in places):
            places = [anchor for anchor in places if not anchor.weak]
        if findings and (not places or self._follows_effusion(word)):
            nearest = [anchor for anchor in before if anchor.finding][-1:]
            if nearest and not places and self._has_midline_place(nearest[0], word):
                return True  # "mediastinal mass on the right": the side says no more
            if nearest and not self._is_set_aside_between(nearest[0].item, word.first):
                places = self._joined(nearest[0], before)
        for anchor in places:
            anchor.sides = dict(word.weights)
            anchor.side_item = word.last
        return bool(places)

    def _is_parted(self, start: int, stop: int) -> bool:
        return any(item.is_any(*_BREAKS) for item in self.items[start:stop])

    def _has_midline_place(self, finding: _Anchor, word: _SideWord) -> bool:
        """Whether the finding is one of a midline place: "abdominal gas on the left", "mass in the mediastinum"."""
        k = finding.item - 1
        while k > finding.item - NEAR and (self._is(k, "other", "status", "finding") or self._is_modifier(k)):
            k -= 1
        following = [k for k in range(finding.item + 1, word.first) if k in self.anchors_at]
        if self._is_parted(finding.item, word.first - 1):
            following = []
        return any(
            anchor.regions and not anchor.is_sided and not anchor.sides for anchor in self._anchors_in([k, *following])
        )

    def _follows_effusion(self, word: _SideWord) -> bool:
        """ "opacity at the bases, effusion on the left": the side is that of the finding right before it, which has a
        usual place, and not of the places before the comma."""
        k = word.first - 1
        while self._is(k, "preposition", "other", "status"):
            k -= 1
        if not any(anchor.finding in lexicon.USUAL_PLACES for anchor in self.anchors_at.get(k, ())):
            return False
        while self._is(k, "finding", "other", "status", "not", "or"):
            k -= 1
        return self._is(k, "comma")

    def _joined(self, finding: _Anchor, among: Sequence[_Anchor]) -> list[_Anchor]:
        """Findings with a usual place that "and" or "or" joins to this one share its side: "left effusion and
        pneumothorax"."""
        joined = [finding]
        if finding.finding in lexicon.USUAL_PLACES:
            for other in among:
                low, high = sorted((finding.item, other.item))
                between = self.items[low + 1 : high]
                if (
                    other.finding in lexicon.USUAL_PLACES
                    and any(item.is_any("and", "or") for item in between)
                    and all(item.is_any("and", "or", "other", "status") for item in between)
                ):
                    joined.append(other)
        return joined

    def _look_ahead(self, word: _SideWord, stop: int) -> list[_Anchor]:
        """The anchors of the first part after the side word that has any, up to the next side word."""
        found: list[_Anchor] = []
        for i in range(word.first + 1, min(stop, word.last + REACH)):
            if self.statement[i] != self.statement[word.first] or (found and self._is(i, *_BREAKS, "not")):
                break
            if word.behind and self._is(i, "and", "or", "with"):
                break
            found += [anchor for anchor in self.anchors_at.get(i, ()) if not anchor.sides]
        return found

    def _give(self, word: _SideWord, ahead: list[_Anchor], stop: int) -> None:
        """Places before findings; later places of the same statement inherit the side."""
        places = [anchor for anchor in ahead if anchor.takes_side]
        if any(not anchor.weak for anchor in places):
            places = [anchor for anchor in places if not anchor.weak]
        usual = [anchor for anchor in ahead if anchor.finding in lexicon.USUAL_PLACES]
        if usual:
            places = [anchor for anchor in places if anchor.regions[0][0] != "pleura"]
        if not places:
            if ahead[0].regions and not ahead[0].takes_side:  # "right mediastinal mass": the side says no more
                self._inherit(word, ahead[-1].item, stop)
                return
            places = [anchor for anchor in ahead if anchor.finding][:1]
            if usual:
                places = self._joined(usual[0], list(self._anchors_in(range(usual[0].item + 1, stop))))
        elif usual and usual[0].item < places[0].item and places[0].regions[0][0] in lexicon.FISSURES:
            places = [usual[0], *places]  # "effusion tracking into the fissure" is in both
        for anchor in places:
            anchor.sides = dict(word.weights)
            anchor.side_item = word.first
        self._inherit(word, ahead[-1].item, stop)

    def _inherit(self, word: _SideWord, after: int, stop: int) -> None:
        if word.behind or word.compares:
            return
        for i in range(after + 1, min(stop, after + REACH)):
            if self.statement[i] != self.statement[word.last]:
                break
            if len(word.weights) == 2 and self._is(i, "with"):
                break
            for anchor in self.anchors_at.get(i, ()):
                joined = not anchor.weak or (self._is(i - 1, "and", "or") and i - 2 in self.anchors_at)
                if anchor.takes_side and joined and not anchor.sides and not anchor.usual_side:
                    anchor.sides = dict(word.weights)

    def _is_set_aside_between(self, i: int, k: int) -> bool:
        return any(item.is_any("device", "body") for item in self.items[i + 1 : k])

    def _is_of_something_else(self, word: _SideWord) -> bool:
        """ "chest tube on the left", "bowel gas on the left": a device or other anatomy was named last before it."""
        for i in range(word.first - 1, max(-1, word.first - 12), -1):
            if self.items[i].is_any("device", "body"):
                return True
            if i in self.anchors_at or self.statement[i] != self.statement[word.first]:
                return False
        return False

    # -- what is said about them

    def _spread_polarity(self) -> None:
        for i, item in enumerate(self.items):
            kinds = item.kinds
            if "free of" in kinds:
                self._backward(i, self.normal, over_findings=True)
                self._forward(i, self.denied)
            elif "normal" in kinds:
                self._spread_normal(i)
            elif "not behind" in kinds and (self._is_of_earlier_film(i) or self._hides_a_place(i)):
                continue
            elif "not behind" in kinds and self._is_said_of_another_place(i):
                self._forward(i, self.denied)
            elif "not behind" in kinds and not ("not" in kinds and self._leads(i)):
                self._backward(i, self.denied, over_findings=True)
                if self._is(i + 1, "preposition"):  # "has cleared in the right base"
                    self._forward(i, self.denied)
            elif "not" in kinds:
                self._forward(i, self.denied)
                if "against" not in kinds or item.words == "none":
                    self._deny_subject(i)
            elif "uncertain behind" in kinds:
                self._backward(i, self.doubted, over_findings=True)
                self._forward(i, self.doubted)
            elif "uncertain" in kinds:
                if item.words == "?" and i == len(self.items) - 1:
                    self.doubted.update(range(len(self.items)))
                elif self._ends_statement(i):  # "left effusion possible"
                    self._backward(i, self.doubted, over_findings=True)
                if self._word(i - 1) in lexicon.COPULAS or self._word(i) in lexicon.MODALS:
                    self._doubt_subject(i)
                self._forward(i, self.doubted)
            elif "historical" in kinds:
                self._forward(i, self.past, lists=False)
            if "surgery" in kinds:
                self._backward(i, self.past, over_findings=False)
                self.past.add(i)
        self._correct_repeated()

    def _correct_repeated(self) -> None:
        """ "bilateral effusions; the left has resolved": only the right one is there."""
        for anchor in self.anchors:
            before = anchor.repeats
            if before is None:
                continue
            absent = self._is_absent(before)
            if anchor.contrasts:
                self.normal.discard(anchor.item)
                (self.denied.discard if absent else self.denied.add)(anchor.item)
                continue
            if absent or not self._is_absent(anchor):
                continue
            if any(side == "both" for _, side in before.regions):
                before.regions = tuple((key, None) for key, _ in before.regions)
                before.sides = _weights("both")
            if len(before.sides) == 2:
                before.sides = {side: weight for side, weight in before.sides.items() if side not in anchor.sides}

    def _is_absent(self, anchor: _Anchor) -> bool:
        return anchor.item in self.denied or anchor.item in self.normal

    def _ends_statement(self, i: int) -> bool:
        return i + 1 == len(self.items) or self.statement[i + 1] != self.statement[i] or self._is(i + 1, "comma")

    def _is_of_earlier_film(self, i: int) -> bool:
        """ "not seen on the prior exam": it is there now."""
        named = i + 2 if self._is(i + 1, "preposition") else i + 1
        seen_now = self._word(i).startswith(("not ", "absent", "is absent", "are absent"))
        return seen_now and self._word(named).startswith(lexicon.EARLIER)

    def _is_said_of_another_place(self, i: int) -> bool:
        """ "present on the left and absent on the right": one finding, two verbs, each with a place of its own."""
        k = i - 1
        while self._word(k) in lexicon.COPULAS:
            k -= 1
        if not (self._is(k, "and", "comma") and self._is(i + 1, "preposition")):
            return False
        before = (j for j in range(k - 1, max(-1, k - REACH), -1) if self.statement[j] == self.statement[i])
        return self._names_a_side_or_place(before) and self._names_a_side_or_place(range(i + 2, i + 2 + NEAR))

    def _names_a_side_or_place(self, positions: Iterable[int]) -> bool:
        for k in positions:
            if self._is(k, "boundary", "with"):
                return False
            if self._is(k, "side") or any(anchor.regions for anchor in self._anchors_in((k,))):
                return True
        return False

    def _hides_a_place(self, i: int) -> bool:
        """ "the left heart border is not seen": obscured, where "the opacity is not seen" is absent."""
        if self._word(i) not in lexicon.UNSEEN:
            return False
        named = False
        for k in range(i - 1, max(-1, i - REACH), -1):
            item = self.items[k]
            if self.statement[k] != self.statement[i] or item.is_any("comma", "boundary", "colon"):
                break
            if item.is_any("finding", "other", "device", "not", "with") or item.words in lexicon.FINDING_PLACES:
                return item.words in lexicon.NEUTRAL and named
            named = named or ("side" not in item.kinds and any(anchor.regions for anchor in self._anchors_in((k,))))
        return named

    def _leads(self, i: int) -> bool:
        """Whether a word such as "resolved" stands before what it is about ("resolved right effusion")."""
        if self._word(i - 1) in lexicon.COPULAS:
            return False
        for k in range(i + 1, min(len(self.items), i + 8)):
            if self._word(k) == "of" and k > i + 1 and self._word(i) in lexicon.CALLED_NORMAL:
                continue  # "normal appearance of the hila"
            if (k not in self.joins and self.items[k].is_any("preposition", *_BREAKS)) or (
                self.statement[k] != self.statement[i]
            ):
                return False
            if k in self.anchors_at or (self._is(k, "side") and self._word(k) not in _ADVERBS):
                return True
        return False

    def _forward(self, i: int, marks: set[int], lists: bool = True) -> None:
        """To the end of the statement, "with", or a comma that continues no list (with "or", "nor",
        "and")."""
        for k in range(i + 1, min(len(self.items), i + REACH)):
            item = self.items[k]
            if self.statement[k] != self.statement[i] or "with" in item.kinds:
                break
            if k not in self.joins:
                if "comma" in item.kinds and not (lists and (self._is_list(k) or self._is_place_only(k))):
                    break
                if item.is_any("and", "comma") and self._is(k + 1, "status", "not") and not self._is_list(k):
                    break
            marks.add(k)
        if self._is(i - 1, "colon"):  # "Lungs: no consolidation"
            marks.update(k for k in range(max(0, i - 5), i - 1) if self.statement[k] == self.statement[i])

    def _deny_subject(self, i: int) -> None:
        """ "the right lung shows no opacity": the places right before a denial, when nothing else is said of them.

        A finding, a device, or an unknown word before "without" may be what is seen there: then nothing is denied.
        """
        if not (self._word(i) == "none" or self._denies_a_finding(i)):
            return
        k = i - 1
        while self._is(k, "singular verb", "plural verb") or self._word(k) in lexicon.NEUTRAL:
            k -= 1
        if k == i - 1 and self._is(k, "with"):  # "with no" is "without"
            k -= 1
        allowed = ("head", "level", "side", "preposition", "other")
        if self._is(0, "preposition"):  # "in the right lung, there is no opacity"
            allowed = (*allowed, "comma")
        part: list[int] = []
        named = joined = False
        has_verb = self._is(k + 1, "singular verb", "plural verb")
        near = k
        for k in range(near, max(-1, near - REACH), -1):
            item = self.items[k]
            if self.statement[k] != self.statement[i] or item.is_any("boundary", "with", "not", "normal", "free of"):
                break
            if named and (item.is_any("singular verb", "plural verb") or ("comma" in item.kinds and not joined)):
                break
            if item.is_any("device", "finding") or item.words in lexicon.FINDING_PLACES:
                return
            unknown = "other" in item.kinds and item.words not in lexicon.NEUTRAL
            if unknown and (not named or not has_verb or self._is(k + 1, "preposition")):
                return
            if not (named or k in self.anchors_at or item.is_any(*allowed)):
                return
            joined = joined or item.is_any("and", "or")
            named = named or k in self.anchors_at
            part.append(k)
        if named:
            self.denied.update(part)

    def _denies_a_finding(self, i: int) -> bool:
        for k in range(i + 1, min(len(self.items), i + REACH)):
            if k not in self.denied:
                return False
            if "finding" in self.items[k].kinds:
                return True
        return False

    def _is_list(self, comma: int) -> bool:
        """Whether an "or" follows in the same statement: "no effusion, consolidation, or pneumothorax"."""
        for k in range(comma + 1, min(len(self.items), comma + 20)):
            if self.statement[k] != self.statement[comma] or self._is(k, "with", "not"):
                return False
            if self._is(k, "or"):
                return True
        return False

    def _is_place_only(self, comma: int) -> bool:
        """Whether nothing but a place follows to the end of the statement: "suspected mass, left lung"."""
        k = comma + 1
        while (
            k < comma + NEAR
            and self._is(k, "side", "level", "head", "place", "several", "weak", "preposition")
            and (self.statement[k] == self.statement[comma])
        ):
            k += 1
        ends = k == len(self.items) or self.statement[k] != self.statement[comma]
        return ends and any(self._is(j, "place", "head", "several", "weak") for j in range(comma + 1, k))

    def _doubt_subject(self, i: int) -> None:
        """ "the heart may be enlarged": the places before the verb, when no finding stands among them."""
        part: list[int] = []
        for k in range(i - 1, max(-1, i - REACH), -1):
            item = self.items[k]
            if self.statement[k] != self.statement[i] or item.is_any("boundary", "colon", "with", "comma"):
                break
            if item.is_any("finding", "device", "not", "normal") or item.words in lexicon.FINDING_PLACES:
                return
            part.append(k)
        self.doubted.update(part)

    def _backward(self, i: int, marks: set[int], over_findings: bool) -> None:
        """To the start of the statement; beyond a comma or "and" only while nothing is marked yet, or in a
        list."""
        named = False
        for k in range(i - 1, max(-1, i - REACH), -1):
            item = self.items[k]
            if self.statement[k] != self.statement[i] or "boundary" in item.kinds or "with" in item.kinds:
                break
            if named and ("comma" in item.kinds or ("and" in item.kinds and not over_findings)):
                break
            if not over_findings and item.is_any("preposition", "not"):
                break
            named = named or k in self.anchors_at
            marks.add(k)

    def _spread_normal(self, i: int) -> None:
        """ "clear lungs" looks forward, "the lungs are clear" backward, "as clear as the left" both ways; none crosses
        into a part with a finding."""
        forward = range(i + 1, min(len(self.items), i + REACH))
        backward = range(i - 1, max(-1, i - REACH), -1)
        if self._is(i, "as normal"):
            self._mark_normal(i, forward)
            self._mark_normal(i, backward)
        elif self._leads(i) and not self._has_verb_before(i):
            self._mark_normal(i, forward)
        else:
            self._mark_normal(i, backward)
            marked = (k for k in backward if k in self.normal)
            if self._is(i + 1, "preposition") and not any(anchor.regions for anchor in self._anchors_in(marked)):
                self._mark_normal(i, forward)  # "markings are normal in both lungs"
        self._mark_normal(i, range(i + 1, self._end_of_noun(i)))
        if self._is(i - 1, "colon"):  # "Lungs: normal markings"
            self._mark_normal(i, range(i - 2, max(-1, i - 6), -1))

    def _mark_normal(self, i: int, positions: Iterable[int]) -> None:
        part: list[int] = []
        for k in positions:
            item = self.items[k]
            if self.statement[k] != self.statement[i] or item.is_any("with", "not", "boundary"):
                break
            if item.is_any("comma", "and", "or", "colon"):
                self.normal.update(part)
                part = []
            elif item.is_any("more", "less normal", "beyond normal") or item.words in lexicon.NEVER_NORMAL:
                return  # "larger than normal, lungs clear"
            elif "finding" in item.kinds and not self._is_normal_noun(i, k):
                return
            part.append(k)
        self.normal.update(part)

    def _is_normal_noun(self, i: int, k: int) -> bool:
        """ "normal lung markings" are no finding, and neither is a "previously enlarged" heart that is normal now."""
        if self._word(k - 1) in lexicon.PREVIOUSLY:
            return True
        return self._word(i) in lexicon.CALLED_NORMAL and self._word(k) in lexicon.NORMAL_NOUNS

    def _end_of_noun(self, i: int) -> int:
        """Where a noun ends that is called normal by the word right before it: "has normal vascular markings"."""
        if self._word(i) in lexicon.CALLED_NORMAL:
            for k in range(i + 1, min(len(self.items), i + 4)):
                if self._word(k) in lexicon.NORMAL_NOUNS:
                    return k + 1
                if self.items[k].is_any("preposition", "singular verb", "plural verb", *_BREAKS):
                    break
        return i + 1

    def _has_verb_before(self, i: int) -> bool:
        """Whether "normal" is said of a subject: "heart is stable and normal"; "there is a normal heart" has none."""
        for k in range(i - 1, max(-1, i - 8), -1):
            if self.items[k].is_any("comma", "boundary", "with", "colon") and k not in self.joins:
                return False
            if self.items[k].is_any("singular verb", "plural verb"):
                if self._word(k) in lexicon.COPULAS:
                    return True
                return any(anchor.regions for anchor in self._anchors_in(range(max(0, k - 8), k)))
        return False

    # -- the result

    def mentions(self) -> list[Mention]:
        found = [
            self._mention(anchor, key, side, weight)
            for anchor in self.anchors
            if not self._gives_way(anchor)
            for key, side, weight in self._regions(anchor)
        ]
        return sorted(found, key=lambda mention: mention.start)

    def _regions(self, anchor: _Anchor) -> Iterator[tuple[str, Side | None, float]]:
        """Every region and side of an anchor with its weight, before polarity."""
        regions = anchor.regions
        if anchor.finding is not None:
            if not anchor.sides:
                return
            if self._word(anchor.item) in lexicon.NEVER_IN_A_LUNG:
                return
            places = lexicon.USUAL_PLACES.get(anchor.finding, ("lung",))
            regions = tuple((key, None) for key in places)
        for key, fixed in regions:
            if not REGIONS[key].sided:
                yield key, None, 1.0
                continue
            sides = _weights(fixed) if fixed else anchor.sides
            if not sides and anchor.usual_side:
                sides = _weights(anchor.usual_side)
            for side in ("right", "left"):
                if side in sides:
                    yield key, side, sides[side]
            if not sides:
                yield key, None, 1.0

    def _mention(self, anchor: _Anchor, key: str, side: Side | None, weight: float) -> Mention:
        start, end = self._span(anchor)
        offset = self.sentence.start
        negated, uncertain, historical = self._flags(anchor)
        if negated or historical:
            weight = 0.0
        elif uncertain:
            weight *= UNCERTAIN_WEIGHT
        text = self.sentence.text[start - offset : end - offset]
        normal = negated and anchor.item in self.normal
        return Mention(text, start, end, key, side, negated, uncertain, historical, weight, normal)

    def _flags(self, anchor: _Anchor) -> tuple[bool, bool, bool]:
        historical = anchor.item in self.past
        negated = not historical and (anchor.item in self.denied or anchor.item in self.normal)
        return negated, not negated and not historical and anchor.item in self.doubted, historical

    def _span(self, anchor: _Anchor) -> tuple[int, int]:
        """From the side word to the place when only adjectives stand between them, else the place alone."""
        first, last = anchor.item, max(anchor.item, anchor.last)
        if anchor.side_item is not None:
            low, high = min(first, anchor.side_item), max(last, anchor.side_item)
            between = [k for k in range(low, high + 1) if not first <= k <= last and k != anchor.side_item]
            if high - low <= 8 and not any(
                k in self.anchors_at or self.items[k].is_any("comma", "and", "or", "with", "boundary") for k in between
            ):
                first, last = low, high
        return self.items[first].start, self.items[last].end

    def _gives_way(self, anchor: _Anchor) -> bool:
        """A whole lung, "pleural", "peripheral", "central" beside a nearer place that says the same."""
        if not anchor.weak:
            return False
        end = max(anchor.item, anchor.last) + 1
        if self._is(end, "colon") and any(
            other.sides or other.takes_side for other in self._anchors_in(range(end, end + REACH))
        ):
            return True
        for other in self._anchors_in(range(anchor.item - REACH, anchor.item + REACH)):
            if other.weak or not other.is_nearer or self.statement[other.item] != self.statement[anchor.item]:
                continue
            if self._flags(other) != self._flags(anchor):
                continue
            if self._is_listed_with(anchor, other):
                continue
            if anchor.sides and set(anchor.sides) == set(other.sides):
                return True
            low, high = sorted((anchor.item, other.item))
            parted = any(self.items[k].is_any("comma", "and", "or") for k in range(low, high))
            if not parted and (not anchor.sides or not other.sides):
                return True
        return False

    def _is_listed_with(self, anchor: _Anchor, other: _Anchor) -> bool:
        """ "right lung and right hilum", "left lung, left base": two nouns of one list, each named in its own right."""
        if self._word(anchor.item) not in lexicon.WHOLE_PLACES:
            return False
        low, high = sorted((max(anchor.item, anchor.last), other.item))
        between = range(low + 1, high)
        listed = ("and", "or", "comma", "side", "other", "status", "preposition", "place", "weak", "level", "head")
        if not all(self._is(k, *listed) for k in between):
            return False
        return any(self._is(k, "and", "or") for k in between) or (
            any(self._is(k, "comma") for k in between) and self._is(high - 1, "side")
        )

    def states(self) -> set[Polarity]:
        """What the sentence says about its places and findings; of its words, when it names none."""
        found: set[Polarity] = set()
        vague = False
        for anchor in [*self.anchors, *self.elsewhere]:
            negated, uncertain, historical = self._flags(anchor)
            if anchor.item in self.normal and negated:
                found.add("normal")
            elif negated:
                found.add("negated")
            elif uncertain:
                found.add("uncertain")
            elif not historical and not anchor.sides and self._word(anchor.item) in lexicon.DESCRIPTORS:
                vague = True
            elif not historical:
                found.add("positive")
        doubted = any("uncertain" in item.kinds for item in self.items)
        if vague:  # "opacity, likely atelectasis" without a place claims the atelectasis
            found.add("uncertain" if doubted and "positive" not in found else "positive")
        if found:
            return found
        words: tuple[tuple[str, Polarity], ...] = (
            ("normal", "normal"),
            ("not", "negated"),
            ("uncertain", "uncertain"),
        )
        return {state for item in self.items for kind, state in words if kind in item.kinds}

    def describes(self) -> bool:
        """Whether the sentence describes a finding, or its absence, and not only devices, technique and the like.

        In doubt it does: an unknown word may be a finding, and so may a place that no device was brought to.
        """
        if self.elsewhere or any(anchor.finding for anchor in self.anchors):
            return True
        if not any(self._is_about(k, _ASIDE) for k in range(len(self.items))):
            return True
        is_message = any(self._is_about(k, lexicon.MESSAGE_WORDS) for k in range(len(self.items)))
        return any(
            self._names_a_place(part) or self._says_normal_or_no(part) or (not is_message and self._has_unknown(part))
            for part in self._parts()
        )

    def _names_a_place(self, part: Sequence[int]) -> bool:
        """Whether this part of the sentence names a place that is not only where a device lies."""
        place = next((anchor.item for anchor in self._anchors_in(part) if anchor.regions), None)
        if place is None:
            return False
        if any(self._is(k, "out of view") for k in part):
            return False
        return not any(self._is_device(k) for k in part if k < place) and not self._continues_a_device(part)

    def _says_normal_or_no(self, part: Sequence[int]) -> bool:
        """ "no complication after line placement", "normal portable radiograph"; not "tube in normal position"."""
        k = next((k for k in part if self._is(k, "normal", "not", "not behind", "free of")), None)
        if k is None:
            return False
        if self._is(k, "not"):
            nouns = (i for i in range(k + 1, min(len(self.items), k + NEAR)) if not self._is_modifier(i))
            devices = (i for i in range(max(0, k - REACH), k) if self._is_device(i))
            return not (self._is_about(next(nouns, k), _ASIDE) or any(True for _ in devices))
        return not any(self._is_device(i) or self._word(i) in lexicon.QUALITIES_OF_TECHNIQUE for i in part)

    def _has_unknown(self, part: Sequence[int]) -> bool:
        """A noun that belongs to no device or technique ("pacemaker and bronchiolitis"), or something that is shown."""
        shows = next((k for k in part if self._word(k) in lexicon.REPORTING_VERBS), None)
        if shows is None and any(self._is_about(k, _ASIDE) for k in part):
            return False
        return any(
            self._is(k, "other") and len(self._word(k)) > 3 and self._word(k).isalpha()
            for k in part
            if (shows is None or k > shows) and not self._is_modifier(k) and not self._is_about(k, _ASIDE)
        )

    def _is_device(self, k: int) -> bool:
        return self._is(k, "device") or self._is_about(k, lexicon.DEVICE_WORDS)

    def _is_about(self, k: int, words: frozenset[str]) -> bool:
        if words is _ASIDE and self._is(k, "device", "position", "out of view"):
            return True
        return any(word in words for word in self._word(k).split())

    def _parts(self) -> Iterator[list[int]]:
        """The sentence cut at commas and conjunctions."""
        part: list[int] = []
        for k, item in enumerate(self.items):
            if item.is_any(*_BREAKS) and k not in self.joins:
                yield part
                part = []
            else:
                part.append(k)
        yield part

    def _continues_a_device(self, part: Sequence[int]) -> bool:
        """ "leads in the right atrium and right ventricle": nothing but a place after a device."""
        only = all(self._is(k, "place", "several", "weak", "side", "level", "head", "preposition") for k in part)
        return only and any(self._is_device(k) for k in range(max(0, part[0] - REACH), part[0]))


def _weights(side: str) -> dict[str, float]:
    return {"right": 1.0, "left": 1.0} if side == "both" else {side: 1.0}
