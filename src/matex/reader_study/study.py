"""Randomised, blinded pages of maps for readers, and the key that says what each case is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from matex.adapters.model import Model
from matex.checks import as_path, check_seed, count, number, read_json, text
from matex.corpus import explain_each
from matex.datasets.sample import Sample, checked_samples
from matex.errors import InputError, shown
from matex.files import replacing, writing
from matex.geometry import Resize
from matex.pair_stream import Pair
from matex.queries import Domain
from matex.registry import Parameters
from matex.render.reader_study import Question, ReaderCase, case_pictures, page
from matex.request_checks import methods_by_name
from matex.results import Explanation
from matex.serialise import strict_json

KEY_FORMAT = "matex-reader-key/1"
QUESTION = "How well does the highlighted region match the phrase?"
MOST_REPEATED = 1 / 3
"""Repeated cases are shown in the first third and once more in the last, so that the reader does not remember them."""


@dataclass(frozen=True)
class Item:
    """One map that every reader rates.

    Args:
        sample: identifier of the pair.
        image_sha256: of the image file.
        cluster: unit of independent observation, such as the patient's digest.
        text: the phrase.
        method: whose map is shown.
        parameters: of the method.
    """

    sample: str
    image_sha256: str
    cluster: str
    text: str
    method: str
    parameters: Parameters


@dataclass(frozen=True)
class Presentation:
    """One case of one reader.

    Args:
        case: name on the page, without meaning.
        item: number of the item.
        repeated: whether this reader has seen the item before.
    """

    case: str
    item: int
    repeated: bool


@dataclass(frozen=True, eq=False)
class Study:
    """Pages for readers and their key.

    Args:
        name: of the study, a digest of its key: another study has another name, also with the same seed.
        seed: of the order.
        model: name and digest of the model.
        questions: each answered on the scale.
        scale: ratings from 1 to this.
        items: maps.
        order: cases of each reader in their order.
        pictures: of each item.
    """

    name: str
    seed: int
    model: Mapping[str, str | None]
    questions: tuple[Question, ...]
    scale: int
    items: tuple[Item, ...]
    order: tuple[tuple[Presentation, ...], ...]
    pictures: tuple[ReaderCase, ...]

    def key(self) -> dict[str, object]:
        """Method, film and phrase of each case, as plain values; for the study's owner, never for a reader."""
        return {
            "format": KEY_FORMAT,
            "study": self.name,
            "seed": self.seed,
            "model": dict(self.model),
            "questions": [one.text for one in self.questions],
            "scale": self.scale,
            "items": [vars(one) for one in self.items],
            "readers": [[vars(one) for one in cases] for cases in self.order],
        }

    def save(self, folder: str | Path, key: str | Path) -> Path:
        """Write reader-1.html and so on into the folder, and the key to a file outside of it.

        Raises:
            InputError: a key inside the folder, which would go to the readers with it; a file in the key's place that
                is not the key of this study; or what cannot be written to.
        """
        target, file = as_path(folder, "a folder to write to"), as_path(key, "a file for the key")
        if file.resolve().is_relative_to(target.resolve()):
            raise InputError(
                f"Expected the key outside the folder of the pages, got {shown(str(file))} in {shown(str(target))}. "
                "Readers must not receive it: name another place (--key)."
            )
        if file.exists() and read_json(file, "the key of a reader study").get("study") != self.name:
            raise InputError(
                f"Expected no file or the key of this study, got another file: {shown(str(file))}. The answers to "
                "another study cannot be read without its key: name another file (--key)."
            )
        earlier = [Path(page.name) for page in target.glob("reader-*.html")]
        with writing(target, replaced=earlier) as temporary:
            for reader, cases in enumerate(self.order, start=1):
                html = page(self.name, reader, [(one.case, self.pictures[one.item]) for one in cases], self.questions)
                (temporary / f"reader-{reader}.html").write_text(html, encoding="utf-8")
        with replacing(file) as temporary:
            temporary.write_text(strict_json(self.key()) + "\n", encoding="utf-8")
        return target


def make_study(
    model: Model,
    samples: Iterable[Sample],
    methods: Sequence[str] | Mapping[str, Parameters],
    *,
    readers: int = 2,
    repeats: float = 0.1,
    seed: int = 0,
    questions: Sequence[str] = (QUESTION,),
    scale: int = 5,
    resize: Resize = "model",
    domain: Domain = "chest",
    progress: bool = False,
) -> Study:
    """Draw the maps of several methods as cases of a reader study.

    Every reader gets every map of every pair once, in an order of their own, and a share of them a second time. The
    pages hold pictures, phrases and a form: no name of a method, model, file or patient. What is printed into the
    pixels of a film is not removed.

    Args:
        model: from `matex.load`.
        samples: pairs, such as `matex.datasets.open_dataset("manifest", root="pairs.csv")`.
        methods: names, or names with parameters.
        readers: pages.
        repeats: share of the maps that each reader sees twice, at most a third.
        seed: of order, repeats and names of cases.
        questions: on each map.
        scale: ratings from 1 to this, 2 to 11.
        resize, domain: see `matex.explain`.
        progress: show a progress bar.

    Raises:
        InputError: numbers outside their range, no pairs, or one that cannot be explained.
        UnknownName, UnsupportedModel: see `matex.explain`.
    """
    count(readers, "readers", 1, 1000)
    number(repeats, "repeats", 0, MOST_REPEATED)
    count(scale, "scale", 2, 11)
    check_seed(seed)
    form = tuple(Question(f"q{place}", text(one, "a question"), scale) for place, one in enumerate(questions, start=1))
    listed, chosen = list(checked_samples(samples)), methods_by_name(methods)
    if not listed or not form:
        raise InputError(f"Expected pairs and questions, got {len(listed)} and {len(form)}. Name some.")
    items: list[Item] = []
    pictures: list[ReaderCase] = []
    for name, parameters in chosen.items():
        pairs = [Pair(one.image, one.text, one.view) for one in listed]
        found = explain_each(model, pairs, name, resize=resize, domain=domain, progress=progress, **parameters)
        for sample, explanation in zip(listed, found, strict=True):
            assert isinstance(explanation, Explanation)
            items.append(_item(sample, explanation))
            pictures.append(case_pictures(explanation))
    random = np.random.default_rng(seed)
    order = tuple(_presentations(len(items), repeats, random) for _ in range(readers))
    about = {"name": model.name, "weights_sha256": model.weights_sha256}
    study = Study("", seed, about, form, scale, tuple(items), order, tuple(pictures))
    return replace(study, name=hashlib.sha256(strict_json(study.key()).encode()).hexdigest()[:12])


def _item(sample: Sample, explanation: Explanation) -> Item:
    return Item(
        sample.id,
        explanation.film.sha256,
        sample.unit(explanation.film),
        sample.text,
        explanation.method,
        dict(explanation.parameters),
    )


def _presentations(items: int, repeats: float, random: np.random.Generator) -> tuple[Presentation, ...]:
    """All items in random order, some of the first third shown once more at random places of the last third."""
    first: list[int] = random.permutation(items).tolist()
    again: list[int] = random.permutation(first[: items // 3])[: round(repeats * items)].tolist()
    start = items - items // 3
    last = [(one, False) for one in first[start:]] + [(one, True) for one in again]
    places: list[int] = random.permutation(len(last)).tolist()
    cases = [*((one, False) for one in first[:start]), *(last[place] for place in places)]
    return tuple(Presentation(random.bytes(4).hex(), item, repeated) for item, repeated in cases)
