"""The whole flow: image and text in, explanations out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from matex.adapters.model import Encoded, Model, Tower, check_model, words
from matex.attribution import METHODS, Fused, Reporting, make, require
from matex.attribution.shared.path_integral import incompleteness
from matex.errors import InputError, UnsupportedModel, shown
from matex.geometry import Placement, Resize
from matex.images import READ_SIDE, Film, read
from matex.phrases import parse
from matex.plugins import describe
from matex.priors.image_context import ImageContext
from matex.protocols import unserved
from matex.results import DISCLAIMER, Explanation, SaliencyMap, Token
from matex.trace import PairTrace, Trace, record, run

Domain = Literal["chest", "natural"]


def explain(
    model: Model,
    image: Any,
    text: str,
    method: str = "matex",
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
    view: str | None = None,
    mirrored: bool | None = None,
    progress: bool = False,
    **parameters: Any,
) -> Explanation:
    """Why the model gives this image and this phrase its score.

    Args:
        model: from `matex.load`.
        image: path, PIL image, array, or a `Film`.
        text: the phrase.
        method: a name of `matex.methods()`.
        resize: "model" is the checkpoint's own preprocessing; "squash", "pad" or "crop" override it.
        domain: "natural" for images that are no chest films; the anatomical prior is then neutral.
        lung_mask: [height, width] of the original image, 1 the patient's right lung, 2 the left; places the prior's
            zones inside this patient's lungs; booleans of both lungs will do.
        view: the projection ("PA", "AP", "LATERAL", ...) where the file does not say it.
        mirrored: True when the image's left edge is the patient's left, where the file does not say it; the model
            then sees the film flipped, and the map lies on the film as it is.
        progress: show a progress bar, for methods that run the model many times.
        **parameters: of the method, see `matex.methods()`.

    Raises:
        InputError: an image or text that cannot be used.
        UnknownName: no such method or parameter.
        ValueError: a parameter outside its range.
        UnsupportedModel: a model without what the method needs; the message names methods that do work.

    Examples:
        >>> explanation = matex.explain(model, film, "opacity in the left lower lung")
        >>> explanation.image.values.shape == film.size
        True
        >>> [word for word, _ in explanation.words]
        ['opacity', 'in', 'the', 'left', 'lower', 'lung']
    """
    check_request(model, text, method)
    film = read(image, side=READ_SIDE).known_as(view, mirrored)
    return _explain(model, [(film, text)], {method: parameters}, resize, domain, lung_mask, progress=progress)[method][
        0
    ]


class Comparison(dict[str, Explanation]):
    """Explanations of one film and phrase by method, in the order in which the methods were named.

    Args:
        shared_seconds: time of what all methods share: preparing the inputs, one forward pass through both encoders,
            and one backward pass where a method reads gradients.
    """

    def __init__(self, shared_seconds: float) -> None:
        super().__init__()
        self.shared_seconds = shared_seconds
        self.left_out: dict[str, str] = {}
        """Methods that the model or this installation cannot serve, each with the reason in one line."""


def compare(
    model: Model,
    image: Any,
    text: str,
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]] = (
        "matex",
        "grad-eclip",
        "rollout",
        "raw-attention",
    ),
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
    view: str | None = None,
    mirrored: bool | None = None,
    skip_unsupported: bool = False,
    progress: bool = False,
) -> Comparison:
    """Explain one pair with many methods over one trace.

    Args:
        methods: names, or names with parameters; every explanation's provenance says how long its formula took, the
            passes that all of them share not counted.
        skip_unsupported: leave out methods that this model cannot serve or that need a package which is not
            installed, instead of raising.
        progress: show which method is at work, and a bar of its own for one that runs the model many times.
        model, image, text, resize, domain, lung_mask, view, mirrored: see `explain`.

    Examples:
        >>> comparison = matex.compare(model, film, phrase, ["rollout", "grad-eclip"])
        >>> list(comparison)
        ['rollout', 'grad-eclip']
        >>> comparison["rollout"].score == comparison["grad-eclip"].score
        True
    """
    chosen = _chosen(methods)
    for name, parameters in chosen.items():
        check_request(model, text, name)
        make(name, parameters)
    film = read(image, side=READ_SIDE).known_as(view, mirrored)
    start = time.perf_counter()
    traced = trace_pairs(model, [(film, text)], chosen.items(), resize=resize, domain=domain, lung_mask=lung_mask)
    comparison = Comparison(time.perf_counter() - start)
    bar = tqdm(chosen.items(), disable=not progress or len(chosen) == 1, unit="method")
    for name, parameters in bar:
        bar.set_description(name)
        try:
            comparison[name] = traced.explain(name, parameters, progress)[0]
        except (UnsupportedModel, ImportError) as error:
            if not skip_unsupported:
                raise
            comparison.left_out[name] = unserved(make(name, parameters), model.image) or str(error)
    return comparison


def attribute(
    model: Model,
    pixels: Tensor,
    token_ids: Tensor,
    method: str = "grad-eclip",
    tower: Literal["image", "text"] = "image",
    text: str | None = None,
    **parameters: Any,
) -> Tensor:
    """Raw, signed attribution for inputs the caller prepared; nothing is normalised.

    Args:
        model: from `matex.load`.
        pixels: [1, channel, height, width], normalised as the model expects.
        token_ids: [1, token], special tokens included.
        method: a name of `matex.methods()`.
        tower: which side to explain.
        text: the phrase in words; it only feeds MATEX's spatial prior, which is neutral without it.
        **parameters: of the method.

    Returns:
        [rows, columns] for patch methods, [height, width] for pixel methods, [token] on the text tower with special
        tokens included. With a batch of n pairs, [n, ...].

    Raises:
        InputError: shapes that do not fit, values that are not finite, or a method of the other tower.
        UnknownName: no such method or parameter.
        UnsupportedModel: a tower without what the method needs; the message names methods that do work.

    Examples:
        >>> pixels, placement = model.prepare(film)
        >>> token_ids = model.batch([model.encode(phrase)])
        >>> grid = matex.attribute(model, pixels, token_ids, method="grad-eclip")
        >>> tuple(grid.shape) == placement.grid
        True
    """
    check_model(model)
    check_method(method)
    check_inputs(model, pixels, token_ids)
    if text is not None:
        check_phrase(text)
    if not isinstance(tower, str) or tower not in ("image", "text"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"Expected tower 'image' or 'text', got {shown(tower)}.")
    chosen = make(method, parameters)
    require(method, chosen, getattr(model, tower))
    pixels, token_ids = pixels.to(model.device, model.dtype), token_ids.to(model.device)
    contexts: list[ImageContext] = []
    if text is not None:
        size = (pixels.shape[-2], pixels.shape[-1])
        context = ImageContext(parse(text), Placement(size, size, (0, 0), size, model.patch))
        contexts = [context] * len(pixels)
    blocks = {f"{tower}_gradient_blocks": chosen.gradient_blocks(tower)}
    trace: Trace = getattr(record(model, pixels, token_ids, **blocks, contexts=contexts), tower)
    values: Tensor = chosen(trace)
    return values[0] if len(values) == 1 else values


def score(model: Model, pixels: Tensor, token_ids: Tensor) -> Tensor:
    """Cosine similarity of every image with every phrase, [image, phrase], at least float32.

    Args:
        model: from `matex.load`.
        pixels: [image, channel, height, width], as `model.prepare(film)` gives them for one image.
        token_ids: [phrase, token], as `model.batch([model.encode(text)])` gives them.

    Raises:
        InputError: anything but such tensors.

    Examples:
        >>> pixels, _ = model.prepare(film)
        >>> token_ids = model.batch([model.encode(text) for text in ("clear lungs", phrase)])
        >>> matex.score(model, pixels, token_ids).shape
        torch.Size([1, 2])
    """
    check_model(model)
    check_inputs(model, pixels, token_ids, paired=False)
    pixels, token_ids = pixels.to(model.device, model.dtype), token_ids.to(model.device)
    image, text = run(model.image, pixels).embedding, run(model.text, token_ids).embedding
    return image @ text.T


@dataclasses.dataclass(frozen=True, eq=False)
class _Subject:
    """One pair as it was read."""

    film: Film
    text: str
    phrase: Encoded
    context: ImageContext


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """Pairs that both towers have run over, ready for any number of methods.

    Args:
        model: two towers.
        trace: of the pairs.
        subjects: the pairs as they were read.
        resize: see `explain`.
    """

    model: Model
    trace: PairTrace
    subjects: tuple[_Subject, ...]
    resize: Resize

    def explain(self, method: str, parameters: Mapping[str, Any], progress: bool = False) -> list[Explanation]:
        """One method on every pair, in their order.

        Raises:
            UnknownName: no such method or parameter.
            ValueError: a parameter outside its range.
            UnsupportedModel: a model without what the method needs.
        """
        chosen = make(method, parameters)
        if progress and hasattr(chosen, "progress"):
            chosen = dataclasses.replace(chosen, progress=True)
        return _apply(self.model, method, chosen, self.trace, self.subjects, self.resize)


def trace_pairs(
    model: Model,
    pairs: Sequence[tuple[Any, str]],
    methods: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
) -> Traced:
    """Run both towers once over the different images and phrases, for methods that share what was seen.

    Args:
        pairs: images as in `explain`, each with a phrase; an image given twice is one object or one path.
        methods: names and parameters that will be asked for; a hint that says how far down gradients are needed. What
            is not announced works as well, and takes another pass where it reads further down.
        model, resize, domain, lung_mask: see `explain`; the mask is of every image.
    """
    check_choices(resize, domain)
    methods = list(methods)
    for name, parameters in methods:  # refused before anything is read
        make(name, parameters)
    images, image_of = _distinct([image for image, _ in pairs], identity)
    texts = [text for _, text in pairs]
    phrases = {text: model.encode(text) for text in dict.fromkeys(texts)}
    prepared = [prepare(model, read(image, side=READ_SIDE), resize, lung_mask) for image in images]
    numbered = list(zip(image_of, texts, strict=True))
    return trace_prepared(model, prepared, numbered, phrases, methods, resize=resize, domain=domain)


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A film as a model takes it.

    Args:
        film: as read.
        pixels: [1, channel, height, width], normalised.
        placement: of the model's pixels in the film.
        lung_mask: [height, width] of the film; None where the lungs are not known.
    """

    film: Film
    pixels: Tensor
    placement: Placement
    lung_mask: NDArray[np.generic] | None


def prepare(
    model: Model, film: Film, resize: Resize = "model", lung_mask: NDArray[np.generic] | None = None
) -> Prepared:
    """Preprocess one film for a model.

    Raises:
        InputError: a film that the model cannot take, or a lung mask of another size.
    """
    mask = None if lung_mask is None else check_mask(lung_mask, film)
    return Prepared(film, *model.prepare(film, resize), mask)


def check_choices(resize: str, domain: str) -> None:
    """Refuse an unknown way of resizing or an unknown domain.

    Raises:
        InputError: one of them is unknown.
    """
    for name, value, choices in (
        ("domain", domain, ("chest", "natural")),
        ("resize", resize, ("model", "squash", "pad", "crop")),
    ):
        if not isinstance(value, str) or value not in choices:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected {name} to be one of {', '.join(choices)}, got {shown(value)}.")


def trace_prepared(
    model: Model,
    prepared: Sequence[Prepared],
    pairs: Sequence[tuple[int, str]],
    phrases: Mapping[str, Encoded],
    methods: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
) -> Traced:
    """As `trace_pairs`, of films and phrases that are prepared already.

    Args:
        prepared: the different films.
        pairs: (number of the film, text).
        phrases: the texts as the model reads them.
        model, methods, resize, domain: see `trace_pairs`.
    """
    chosen = [make(name, parameters) for name, parameters in methods]
    texts, text_of = _distinct([text for _, text in pairs], lambda text: text)
    image_of = [image for image, _ in pairs]
    mentions = [parse(text) if domain == "chest" else () for text in texts]
    subjects = [
        _Subject(
            prepared[i].film,
            texts[t],
            phrases[texts[t]],
            ImageContext(mentions[t], prepared[i].placement, prepared[i].film.view, prepared[i].lung_mask, domain),
        )
        for i, t in zip(image_of, text_of, strict=True)
    ]
    trace = record(
        model,
        torch.cat([one.pixels for one in prepared]),
        model.batch([phrases[text] for text in texts]),
        list(zip(image_of, text_of, strict=True)),
        image_gradient_blocks=_blocks(chosen, model.image),
        text_gradient_blocks=_blocks(chosen, model.text),
        contexts=[subject.context for subject in subjects],
    )
    for side in (trace.image, trace.text):
        if _blocks(chosen, side.tower):
            side.gradient(-1)  # the one backward, before any method is timed
    return Traced(model, trace, tuple(subjects), resize)


def _explain(
    model: Model,
    pairs: Sequence[tuple[Any, str]],
    methods: Mapping[str, Mapping[str, Any]],
    resize: Resize,
    domain: Domain,
    lung_mask: NDArray[np.generic] | None = None,
    progress: bool = False,
) -> dict[str, list[Explanation]]:
    """Every method on every pair, over one trace."""
    traced = trace_pairs(model, pairs, methods.items(), resize=resize, domain=domain, lung_mask=lung_mask)
    return {name: traced.explain(name, parameters, progress) for name, parameters in methods.items()}


def _apply(
    model: Model, name: str, method: Any, trace: PairTrace, subjects: Sequence[_Subject], resize: Resize
) -> list[Explanation]:
    """One method on the traced pairs."""
    require(name, method, model.image)
    start = time.perf_counter()
    fused: Fused | None = method if isinstance(method, Fused) else None
    terms = fused.components(trace.image) if fused else {}
    grids = _shaped(name, fused.fuse(terms) if fused else method(trace.image), subjects, ("rows", "columns"))
    priors = fused.spatial_priors(trace.image) if fused else []
    strengths = fused.spatial_weights(trace.image) if fused and priors else None
    wordless = unserved(method, model.text)
    tokens = None if wordless else _shaped(name, method(trace.text), subjects, ("tokens",))
    reports = {}
    if isinstance(method, Reporting):
        sides = (trace.image,) if wordless else (trace.image, trace.text)
        reports = {side.tower.kind: method.report(side) for side in sides}
    seconds = time.perf_counter() - start
    made: list[Explanation] = []
    for i, subject in enumerate(subjects):
        components = {term: _array(values[i]) for term, values in terms.items()}
        saliency = SaliencyMap(_array(grids[i]), subject.context.placement)
        scored = _tokens(subject, _array(tokens[i])) if tokens is not None else ()
        notes = [note for note in (unseen_note(subject.context.placement),) if note]
        notes += [*subject.film.notes, *model.notes, *subject.phrase.notes]
        if not torch.isfinite(trace.image.score[i]):
            notes.append("the score is undefined: the model's embeddings are not finite, check its weights")
        known = subject.film.oriented or subject.film.mirrored
        if subject.context.domain == "chest" and subject.film.view is None and not known:
            notes.append("view and orientation unknown: taken as a frontal film in standard display")
        if getattr(method, "laterality", "patient") == "paper":
            notes.append("laterality 'paper': the patient's left is put on the image's left, as the paper prints it")
        if priors and priors[i].neutral:
            notes.append(f"spatial prior neutral: {priors[i].reason}")
        if wordless and "text" in method.towers:
            notes.append(f"no word scores: {wordless}")
        notes += [f"term {term!r} is constant" for term, grid in components.items() if np.ptp(grid) == 0]
        notes += [note for kind, rows in reports.items() if (note := incompleteness(kind, rows[i]))]
        if scored and not any(token.score for token in scored):
            notes.append("the text map is constant: it does not tell the words apart")
            scored = tuple(dataclasses.replace(token, score=float("nan")) for token in scored)
        if saliency.degenerate:
            notes.append("the map is constant: it says nothing about where")
        made.append(
            Explanation(
                film=subject.film,
                text=subject.text,
                method=name,
                parameters=method_parameters(method),
                score=float(trace.image.score[i]),
                image=saliency,
                tokens=scored,
                words=_words(subject, scored),
                components=components,
                weights=fused.weights() if fused else {},
                prior=_array(strengths[i]) if strengths is not None else None,
                regions=subject.context.mentions,
                notes=tuple(dict.fromkeys(notes)),
                provenance={
                    **_provenance(model, name, method, subject, resize, seconds / len(subjects)),
                    "report": {kind: rows[i] for kind, rows in reports.items()},
                },
            )
        )
    return made


def unseen_note(placement: Placement) -> str | None:
    """What a reader must know of a film that the model did not see whole; None where it misses less than .5 %."""
    edges = placement.unseen()
    seen_height, seen_width = (
        1 - sum(edges.get(edge, 0.0) for edge in pair) for pair in (("top", "bottom"), ("left", "right"))
    )
    share = 1 - seen_height * seen_width
    if share < 0.005:
        return None
    where = ", ".join(f"{edge} {part:.0%}" for edge, part in edges.items() if part >= 0.0005)
    return (
        f"the model never saw {share:.0%} of the film ({where}), which the centre crop cut off: nothing is known "
        'there. resize="pad" (--resize pad) shows it the whole film'
    )


def _shaped(name: str, made: Any, subjects: Sequence[_Subject], axes: Sequence[str]) -> Tensor:
    """What a method made, which may be somebody else's.

    Raises:
        InputError: not a tensor [pair, *axes].
    """
    if isinstance(made, Tensor) and made.ndim == 1 + len(axes) and len(made) == len(subjects):
        return made
    wanted = f"a tensor [{len(subjects)}, {', '.join(axes)}]"
    got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
    raise InputError(f"Expected {wanted} from the method {name!r}, got {got}. Mend its __call__.")


def _tokens(subject: _Subject, scores: NDArray[np.float32]) -> tuple[Token, ...]:
    """Content tokens with their scores; special tokens cover no characters and are left out."""
    return tuple(
        Token(subject.text[a:b], a, b, float(score))
        for (a, b), score in zip(subject.phrase.spans, scores[: len(subject.phrase.spans)], strict=True)
        if b > a
    )


def _words(subject: _Subject, tokens: Sequence[Token]) -> tuple[tuple[str, float], ...]:
    """The words of the phrase with their scores; none from a method without a text side."""
    return words(subject.text, [(t.start, t.end) for t in tokens], [t.score for t in tokens]) if tokens else ()


def _provenance(
    model: Model, name: str, method: Any, subject: _Subject, resize: Resize, seconds: float
) -> dict[str, Any]:
    """Everything needed to run the explanation again, as plain data."""
    film, placement, mask = subject.film, subject.context.placement, subject.context.lung_mask
    return {
        "matex": _version("matex"),
        "method": name,
        "parameters": method_parameters(method),
        "plugin": describe(type(method)),
        "model": {
            "name": model.name,
            "weights_sha256": model.weights_sha256,
            "preprocessing": model.preprocessing.describe() if model.preprocessing else None,
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(model.device),
            **model.record,
        },
        "image": {
            "name": film.name,
            "sha256": film.sha256,
            "height": film.size[0],
            "width": film.size[1],
            "read": list(film.pixels.shape[:2]),  # (height, width) of the pixels that were read, fewer if reduced
            "view": film.view,
            "mirrored": film.mirrored,
            "oriented": film.oriented,
        },
        "text": subject.text,
        "token_ids": list(subject.phrase.ids),
        "resize": resize,
        "placement": {**dataclasses.asdict(placement), "grid": placement.grid},
        "laterality": getattr(method, "laterality", None),
        "domain": subject.context.domain,
        "lung_mask": None if mask is None else hashlib.sha256(mask.astype(np.uint8).tobytes()).hexdigest(),
        "seed": getattr(method, "seed", None),
        "seconds": seconds,
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in ("torch", "transformers", "numpy", "pillow")},
        },
        "disclaimer": DISCLAIMER,
    }


def method_parameters(method: Any) -> dict[str, Any]:
    """All that the map depends on: a record is the same with and without a progress bar."""
    return {name: value for name, value in dataclasses.asdict(method).items() if name != "progress"}


def _blocks(methods: Sequence[Any], tower: Tower) -> int:
    """How many of a tower's last blocks any of the methods reads gradients of."""
    return max(0 if unserved(method, tower) else method.gradient_blocks(tower.kind) for method in methods)


def _distinct(values: Sequence[Any], key: Any) -> tuple[list[Any], list[int]]:
    """The different values in order of first appearance, and for each value its number among them."""
    number: dict[Any, int] = {}
    kept: list[Any] = []
    for value in values:
        if key(value) not in number:
            number[key(value)] = len(kept)
            kept.append(value)
    return kept, [number[key(value)] for value in values]


def identity(image: Any) -> Any:
    """What tells the images of a batch apart: the path, or which object it is."""
    return str(image) if isinstance(image, (str, Path)) else id(image)


def _array(values: Tensor) -> NDArray[np.float32]:
    """A copy, since a view would keep the values of the whole batch alive."""
    return values.detach().to("cpu", torch.float32, copy=True).numpy()


@functools.cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def check_request(model: Model, text: str, method: str) -> None:
    """Refuse arguments of another kind than `explain` takes, before anything is read.

    Raises:
        InputError: what was given instead, and what to write.
        UnknownName: no such method.
    """
    check_model(model)
    check_phrase(text)
    check_method(method)


def check_phrase(text: Any) -> None:
    """Refuse what is no phrase.

    Raises:
        InputError: a list of phrases, or anything else that is not text.
    """
    if isinstance(text, list | tuple):
        raise InputError(f"Expected one phrase, got {shown(text)}. Give explain_batch an (image, text) pair for each.")
    if not isinstance(text, str):
        raise InputError(f"Expected the phrase as text, got {shown(text)}. Write it in quotation marks.")


def check_method(method: Any) -> None:
    """Refuse what is no name of a method.

    Raises:
        InputError: several names, or anything else that is not text.
        UnknownName: no such method.
    """
    if not isinstance(method, str):
        raise InputError(
            f"Expected the name of one method, got {shown(method)}. matex.compare takes several methods; "
            "explain_batch takes pairs, list(zip(images, texts))."
        )
    METHODS[method]


def _chosen(methods: Any) -> Mapping[str, Mapping[str, Any]]:
    """Methods as `compare` takes them: a name, names, or parameters by name."""
    if isinstance(methods, str):
        methods = [methods]
    if isinstance(methods, Mapping):
        chosen: dict[Any, Any] = dict(methods)
    elif isinstance(methods, Iterable) and getattr(methods, "ndim", 1):  # an array of no dimension has no entries
        names = list(methods)
        for name in names:
            check_method(name)
        chosen = {name: {} for name in names}
    else:
        raise InputError(f"Expected names of methods, got {shown(methods)}. matex.methods() lists them.")
    if not chosen:
        raise InputError("Expected at least one method, got none. matex.methods() lists them.")
    for name, parameters in chosen.items():
        if not isinstance(parameters, Mapping):
            raise InputError(f"Expected parameters of {shown(name)} by name, got {shown(parameters)}.")
    return chosen


def check_inputs(model: Model, pixels: Tensor, token_ids: Tensor, paired: bool = True) -> None:
    """Refuse what is no batch of images and phrases for this model.

    Args:
        model: whose patches, tokens and context count.
        pixels: [image, channel, height, width].
        token_ids: [phrase, token].
        paired: as many phrases as images.

    Raises:
        InputError: other types, shapes, or values that the model cannot take.
    """
    for name, value, instead in (
        ("pixels", pixels, "model.prepare(matex.read(image))[0]"),
        ("token_ids", token_ids, "model.batch([model.encode(text)])"),
    ):
        if not isinstance(value, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(
                f"Expected {name} as a tensor, {instead}, got {shown(value, 60)}. "
                "matex.explain takes images and texts as they are."
            )
    if pixels.dim() != 4 or token_ids.dim() != 2 or not len(pixels) or not len(token_ids) or not token_ids.shape[1]:
        raise InputError(
            "Expected pixels [image, channel, height, width] and token_ids [phrase, token], got "
            f"{tuple(pixels.shape)} and {tuple(token_ids.shape)}."
        )
    if paired and len(pixels) != len(token_ids):
        raise InputError(
            "Expected pixels [1, channel, height, width] and token_ids [1, token], got "
            f"{tuple(pixels.shape)} and {tuple(token_ids.shape)}."
        )
    if pixels.shape[1] != 3 or pixels.shape[2] < model.patch[0] or pixels.shape[3] < model.patch[1]:
        raise InputError(
            f"Expected 3 channels and at least one patch of {model.patch[0]}x{model.patch[1]} pixels, "
            f"got {tuple(pixels.shape[1:])} (channel, height, width)."
        )
    if not pixels.is_floating_point() or not torch.isfinite(pixels).all():
        raise InputError("Expected finite floating-point pixels, got others. Check the preprocessing.")
    whole = not (token_ids.is_floating_point() or token_ids.is_complex() or token_ids.dtype == torch.bool)
    if not whole or not 1 <= token_ids.shape[1] <= model.context or token_ids.min() < 0:
        raise InputError(
            f"Expected whole token ids of 0 or more, at most {model.context} in a row, got "
            f"{token_ids.dtype} {tuple(token_ids.shape)}."
        )
    if int(token_ids.max()) >= model.vocabulary:
        raise InputError(f"Expected token ids below {model.vocabulary}, got {int(token_ids.max())}. Wrong tokenizer?")


def check_mask(mask: NDArray[np.generic], film: Film) -> NDArray[np.generic]:
    """A lung mask [height, width] that fits the film it is about: 0, 1 and 2, or booleans of both lungs.

    Raises:
        InputError: another shape or other values.
    """
    size = film.size
    try:
        found = np.asarray(mask)
    except (ValueError, TypeError):  # lists of different lengths, sparse tensors
        raise InputError(f"Expected a lung mask of shape {size}, got {shown(mask)}. Draw it on the film.") from None
    if found.shape != size:
        raise InputError(
            f"Expected a lung mask of shape {size} (height, width of the image), got {found.shape}. "
            "Draw it on the original image."
        )
    if found.dtype != np.bool_ and 255 in found and np.isin(found, (0, 255)).all():
        found = found == 255
    numeric = found.dtype.kind in "biuf"
    if not numeric or not np.isin(found, (0, 1, 2)).all():
        got = f"values {np.unique(found)[:5].tolist()}" if numeric else f"the type {found.dtype}"
        raise InputError(
            f"Expected a lung mask of shape {size} of 0, 1 (patient's right) and 2 (left), or of 0 and 255, got {got}. "
            "Draw it on the film."
        )
    return found
