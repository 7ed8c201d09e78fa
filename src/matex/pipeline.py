"""The whole flow: image and text in, explanations out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from matex.adapters.black_box import BlackBox
from matex.adapters.encoder import Modality
from matex.adapters.inputs import stack_images
from matex.adapters.model import Encoded, Model, check_model, words
from matex.attribution import METHODS, Fused, Method, Reporting, make, require
from matex.checks import is_iterable, is_list, is_mapping
from matex.errors import InputError, UnsupportedModel, shown
from matex.explained_score import ExplainedScore, Labels
from matex.forward_pass import encode
from matex.geometry import Placement, Resize
from matex.notes import (
    constant,
    film_notes,
    incompleteness,
    map_notes,
    objective_notes,
    term_notes,
    unseen_note,
)
from matex.objectives import ClassScoreKind, Pooling
from matex.phrases import parse
from matex.priors.image_context import ImageContext
from matex.priors.spatial import SpatialPrior
from matex.protocols import on_side, require_objective, unserved, with_progress
from matex.queries import (
    Domain,
    Prepared,
    Query,
    Question,
    Subject,
    check_choices,
    distinct,
    gradient_blocks,
    is_input,
    prepare,
    prepare_target,
    raw_maps,
    subjects_of,
    trace_inputs,
)
from matex.results import Computation, Explanation, SaliencyMap, Token
from matex.serialise import method_parameters, provenance, version_of
from matex.trace import PairTrace
from matex.yardstick import yardstick as compare_score


def explain(
    model: Model,
    image: Any,
    text: str | None = None,
    method: str = "matex",
    *,
    against: str | None = None,
    labels: Labels | None = None,
    of: ClassScoreKind = "logit",
    pool: Pooling = "mean",
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
    view: str | None = None,
    mirrored: bool | None = None,
    yardstick: bool = False,
    progress: bool = False,
    **parameters: Any,
) -> Explanation:
    """Why the model gives this image and this phrase its score.

    Args:
        model: from `matex.load`.
        image: path, PIL image, array, or a `Film`; for a model with an audio encoder also a sound: the path of a file,
            or a recording of `matex.read_sound`.
        text: the phrase; for a model that compares images and sounds also one of these: a `pathlib.Path`, a `Film` of
            `matex.read` or a recording of `matex.read_sound`. With `labels` the class that is explained, None for the
            predicted one.
        method: a name of `matex.methods()`.
        against: another phrase; the score is then S(text) - S(against), of which perturbation methods read the values
            and all other methods the gradient, T(text) - T(against).
        labels: the classes: phrases, prompts by class, or the name of a prompt set (`matex.prompts.PROMPT_SETS`).
        of: with `labels`, what is explained: "logit", scale times the mean cosine of the class's prompts; "log-softmax"
            among the classes; "margin" over the highest other class. Gradients are those at this image.
        pool: "mean" or "max" over the prompts of a class.
        resize: "model" is the checkpoint's own preprocessing; "squash", "pad" or "crop" override it.
        domain: kind of image, whose regions the prior knows: "chest", another name of `matex domains`, the path of a
            pack (.toml), or "natural" for images without anatomy, where the prior is neutral.
        lung_mask: [height, width] of the original image, 1 the patient's right lung, 2 the left; places the prior's
            zones inside this patient's lungs; booleans of both lungs will do.
        view: the projection ("PA", "AP", "LATERAL", ...) where the file does not say it.
        mirrored: True when the image's left edge is the patient's left, where the file does not say it; the model
            then sees the film flipped, and the map lies on the film as it is.
        yardstick: score other phrases on this film too: mirrored, denied, unrelated, none, and chest findings; one more
            pass of the image and a batch of phrases.
        progress: show a progress bar, for methods that run the model many times.
        **parameters: of the method, see `matex.methods()`.

    Raises:
        InputError: an image or text that cannot be used.
        UnknownName: no such method, parameter or view.
        ValueError: a parameter outside its range.
        UnsupportedModel: a model without what the method needs; the message names methods that do work.

    Examples:
        >>> explanation = matex.explain(model, film, "opacity in the left lower lung")
        >>> explanation.image.values.shape == film.size
        True
        >>> [word for word, _ in explanation.words]
        ['opacity', 'in', 'the', 'left', 'lower', 'lung']
    """
    text = named_class(text, labels)
    check_request(model, text, method)
    question = Question.of(model, image, text)
    query = Query.of(question.source, question.text, resize, domain, view, mirrored, lung_mask, question.target)
    query = ExplainedScore(question.model, against, labels, of, pool).explained(query)
    explanation = trace_query(question.model, query, [(method, parameters)]).explain(method, parameters, progress)[0]
    if not yardstick or query.target is not None:
        return explanation
    return dataclasses.replace(explanation, yardstick=compare_score(question.model, query))


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
    text: str | None = None,
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]] = (
        "matex",
        "grad-eclip",
        "rollout",
        "raw-attention",
    ),
    *,
    against: str | None = None,
    labels: Labels | None = None,
    of: ClassScoreKind = "logit",
    pool: Pooling = "mean",
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
        model, image, text, against, labels, of, pool, resize, domain, lung_mask, view, mirrored: see `explain`.

    Examples:
        >>> comparison = matex.compare(model, film, phrase, ["rollout", "grad-eclip"])
        >>> list(comparison)
        ['rollout', 'grad-eclip']
        >>> comparison["rollout"].score == comparison["grad-eclip"].score
        True
    """
    chosen, text = _chosen(methods), named_class(text, labels)
    for name, parameters in chosen.items():
        check_request(model, text, name)
        make(name, parameters)
    question = Question.of(model, image, text)
    model = question.model
    query = Query.of(question.source, question.text, resize, domain, view, mirrored, lung_mask, question.target)
    query = ExplainedScore(model, against, labels, of, pool).explained(query)
    start = time.perf_counter()
    traced = trace_query(model, query, chosen.items())
    comparison = Comparison(time.perf_counter() - start)
    bar = tqdm(chosen.items(), disable=not progress or len(chosen) == 1, unit="method")
    for name, parameters in bar:
        bar.set_description(name)
        try:
            comparison[name] = traced.explain(name, parameters, progress)[0]
        except (UnsupportedModel, ImportError) as error:
            if not skip_unsupported:
                raise
            comparison.left_out[name] = unserved(make(name, parameters), model.image, model.text) or str(error)
    return comparison


def named_class(text: Any, labels: object) -> Any:
    """The text of a request, empty where the predicted class is to be explained.

    Raises:
        InputError: neither a text nor labels, or an empty text in place of a class.
    """
    if text is None and labels is None:
        raise InputError('Expected a phrase, or labels to explain the predicted class, got neither. Give text="...".')
    if labels is not None and isinstance(text, str) and not text.strip():
        raise InputError("Expected a class with labels, got an empty text. Leave it out for the predicted class.")
    return "" if text is None else text


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
    require(method, chosen, *((model.image, model.text) if tower == "image" else (model.text, model.image)))
    pixels, token_ids = pixels.to(model.device, model.dtype), token_ids.to(model.device)
    contexts: list[ImageContext] = []
    if text is not None:
        size = (pixels.shape[-2], pixels.shape[-1])
        placement = Placement(size, size, (0, 0), size, model.patch, cells=model.cells)
        spans = model.encode(text).spans if model.tokenizer is not None else ()
        context = ImageContext(parse(text), placement, spans=spans)
        contexts = [context] * len(pixels)
    pairs = [(number, number) for number in range(len(pixels))]
    traces = trace_inputs(model, pixels, token_ids, pairs, contexts, [chosen], (tower,))
    values, _ = raw_maps(on_side(chosen, tower), traces.image if tower == "image" else traces.text)
    return values[0] if len(values) == 1 else values


def score(model: Model, pixels: Tensor, token_ids: Tensor) -> Tensor:
    """Score of every image with every phrase, [image, phrase], at least float32: cosine similarity, or what a black box
    returns.

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
    if isinstance(model, BlackBox):
        return model.scores(pixels, token_ids)
    image, text = encode(model.image, pixels), encode(model.text, token_ids)
    return image @ text.T


@dataclasses.dataclass(frozen=True, eq=False)
class Traced:
    """Pairs that both towers have run over, ready for any number of methods.

    Args:
        model: two towers.
        trace: of the pairs.
        subjects: the pairs as they were read.
        target: of the image or sound that they are compared with; None for phrases.
    """

    model: Model
    trace: PairTrace
    subjects: tuple[Subject, ...]
    target: Placement | None = None

    def explain(self, method: str, parameters: Mapping[str, Any], progress: bool = False) -> list[Explanation]:
        """One method on every pair, in their order.

        Raises:
            UnknownName: no such method or parameter.
            ValueError: a parameter outside its range.
            UnsupportedModel: a model without what the method needs.
        """
        chosen = make(method, parameters)
        chosen = with_progress(chosen) if progress else chosen
        outputs = _compute(self, method, chosen)
        return [_explanation(self, method, chosen, outputs, pair) for pair in range(len(self.subjects))]


def trace_pairs(
    model: Model,
    pairs: Sequence[tuple[Any, str]],
    methods: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
) -> Traced:
    """Run both towers once over the different images and phrases, for methods that share what was recorded.

    Args:
        pairs: images as in `explain`, each with a phrase; an image given twice is one object or one path.
        methods: names and parameters that will be used; a hint that says how far down gradients are needed. A method
            that is not announced works as well, and takes another pass where it reads further down.
        model, resize, domain, lung_mask: see `explain`; the mask is of every image.
    """
    check_choices(resize, domain)
    methods = list(methods)
    for name, parameters in methods:  # refused before anything is read
        make(name, parameters)
    images, image_of = distinct([image for image, _ in pairs], identity)
    texts = [text for _, text in pairs]
    phrases = {text: model.encode(text) for text in dict.fromkeys(texts)}
    queries = [Query.of(image, "", resize, domain, lung_mask=lung_mask) for image in images]
    prepared = [prepare(model, query) for query in queries]
    return trace_prepared(model, prepared, list(zip(image_of, texts, strict=True)), phrases, methods)


def trace_query(model: Model, query: Query, methods: Iterable[tuple[str, Mapping[str, Any]]]) -> Traced:
    """Run both towers once over one film and phrase; see `trace_pairs`."""
    methods = list(methods)
    for name, parameters in methods:  # refused before the film is prepared
        make(name, parameters)
    if query.target is None:
        phrases = {query.text: model.encode(query.text)}
        return trace_prepared(model, [prepare(model, query)], [(0, query.text)], phrases, methods)
    chosen = [make(name, parameters) for name, parameters in methods]
    prepared, target = prepare(model, query), prepare_target(model, query.target)
    subjects = subjects_of([prepared], [(0, query.text)], {query.text: Encoded((), ())})
    return _traced(model, prepared.pixels, target.pixels, [(0, 0)], subjects, chosen, target)


def trace_prepared(
    model: Model,
    prepared: Sequence[Prepared],
    pairs: Sequence[tuple[int, str]],
    phrases: Mapping[str, Encoded],
    methods: Iterable[tuple[str, Mapping[str, Any]]],
) -> Traced:
    """As `trace_pairs`, of films and phrases that are prepared already.

    Args:
        prepared: the different films.
        pairs: (number of the film, text).
        phrases: the texts as the model reads them.
        model, methods: see `trace_pairs`.
    """
    chosen = [make(name, parameters) for name, parameters in methods]
    subjects = subjects_of(prepared, pairs, phrases)
    texts, text_of = distinct([text for _, text in pairs], lambda text: text)
    return _traced(
        model,
        stack_images([one.pixels[0] for one in prepared]),
        model.batch([phrases[text] for text in texts]),
        list(zip([image for image, _ in pairs], text_of, strict=True)),
        subjects,
        chosen,
    )


def _traced(
    model: Model,
    pixels: Tensor,
    others: Tensor,
    pairs: Sequence[tuple[int, int]],
    subjects: Sequence[Subject],
    methods: Sequence[Method],
    target: Prepared | None = None,
) -> Traced:
    """Run both towers, and the backward passes that the methods announce, before any of them is timed."""
    contexts = [subject.context for subject in subjects]
    others_of = () if target is None else [target.query.context(target.placement, ())]
    objective = subjects[0].query.objective  # the same for all subjects of a call
    trace = trace_inputs(model, pixels, others, pairs, contexts, methods, other_contexts=others_of, objective=objective)
    for side, other in ((trace.image, trace.text), (trace.text, trace.image)):
        if gradient_blocks(methods, side.tower, other.tower):
            side.run_backward()
    return Traced(model, trace, tuple(subjects), None if target is None else target.placement)


@dataclasses.dataclass(frozen=True, eq=False)
class _Outputs:
    """What one method computed for all pairs.

    Args:
        grids: raw maps, [pair, rows, columns].
        terms: of a fused method, each [pair, rows, columns].
        priors: what the text says about places, one per pair; empty for a method without a prior.
        strengths: M of eq. 5, [pair, rows, columns]; None for a method without a prior.
        tokens: raw token scores, [pair, token]; None where the text tower does not serve the method, or is none.
        target_grids: raw maps of the image or sound that is compared with, [pair, rows, columns]; None of a phrase.
        other_side: what the text tower is explained with, in words.
        wordless: why it is not, as half a sentence.
        reports: of methods that measure their own run, one mapping per pair for each tower.
        seconds: of one pair.
    """

    grids: Tensor
    terms: Mapping[str, Tensor]
    priors: Sequence[SpatialPrior]
    strengths: Tensor | None
    tokens: Tensor | None
    target_grids: Tensor | None
    other_side: str
    wordless: str | None
    reports: Mapping[str, Sequence[Mapping[str, float | None]]]
    seconds: float


def _compute(traced: Traced, name: str, method: Method) -> _Outputs:
    """Run one method over the trace of all pairs.

    Raises:
        UnsupportedModel: a model without what the method needs.
        InputError: a method that returns something else than maps.
    """
    model, trace, count = traced.model, traced.trace, len(traced.subjects)
    require(name, method, model.image, model.text)
    if traced.subjects[0].query.objective is not None:
        require_objective(name, method)
    start = time.perf_counter()
    fused = method if isinstance(method, Fused) else None
    values, terms = raw_maps(method, trace.image)
    grids = _shaped(name, values, count, _GRID)
    priors = fused.spatial_priors(trace.image) if fused else []
    strengths = fused.spatial_weights(trace.image) if fused and priors else None
    wordless = unserved(method, model.text, model.image)
    on_words = traced.target is None
    other = (
        None
        if wordless
        else _shaped(name, on_side(method, "text")(trace.text), count, ("tokens",) if on_words else _GRID)
    )
    tokens, target_grids = (other, None) if on_words else (None, other)
    other_side = "word scores" if on_words else "map of the other side"
    reports: dict[str, list[dict[str, float | None]]] = {}
    if isinstance(method, Reporting):
        reports = {"image": method.report(trace.image)}
        on_text = on_side(method, "text")
        if not wordless and isinstance(on_text, Reporting):
            reports["text"] = on_text.report(trace.text)
    seconds = (time.perf_counter() - start) / count
    return _Outputs(grids, terms, priors, strengths, tokens, target_grids, other_side, wordless, reports, seconds)


def _explanation(traced: Traced, name: str, method: Method, outputs: _Outputs, pair: int) -> Explanation:
    """What a method computed for one pair, with the notes that its reader needs."""
    model, subject = traced.model, traced.subjects[pair]
    query, placement, score = subject.query, subject.context.placement, float(traced.trace.image.score[pair])
    components = {term: _array(values[pair]) for term, values in outputs.terms.items()}
    image = SaliencyMap(_array(outputs.grids[pair]), placement)
    tokens = () if outputs.tokens is None else _tokens(subject, _array(outputs.tokens[pair]))
    notes = film_notes(query.film, placement, query.domain, [*model.notes, *subject.phrase.notes], score)
    notes += objective_notes(query.objective, name, isinstance(method, Fused), getattr(method, "phrase_blind", False))
    notes += [*_target_notes(traced, query), *_method_notes(method, outputs, pair), *term_notes(components)]
    errors = (incompleteness(_modality(model, kind), rows[pair]) for kind, rows in outputs.reports.items())
    notes += filter(None, errors)
    notes += map_notes(image, tokens)
    if tokens and constant(tokens):
        tokens = tuple(dataclasses.replace(token, score=float("nan")) for token in tokens)
    known = provenance(model, name, method, subject, outputs.seconds, traced.target)
    computation = Computation(version_of("matex"), model.name, known["model"]["weights_sha256"], outputs.seconds)
    return Explanation(
        query=query,
        token_ids=subject.phrase.ids,
        method=name,
        parameters=method_parameters(method),
        score=score,
        image=image,
        tokens=tokens,
        words=_words(subject, tokens),
        components=components,
        weights=method.weights() if isinstance(method, Fused) else {},
        prior=None if outputs.strengths is None else _array(outputs.strengths[pair]),
        regions=subject.context.mentions,
        notes=tuple(dict.fromkeys(notes)),
        computation=computation,
        provenance={
            **known,
            "report": {kind: rows[pair] for kind, rows in outputs.reports.items()},
        },
        target=None if outputs.target_grids is None else _target_map(traced, outputs.target_grids[pair]),
        probability=None if query.objective or query.target else model.similarity.probability(score),
    )


def _target_map(traced: Traced, grid: Tensor) -> SaliencyMap:
    assert traced.target is not None
    return SaliencyMap(_array(grid), traced.target)


def _target_notes(traced: Traced, query: Query) -> list[str]:
    """Notes on the image or sound that is compared with; none for a phrase."""
    if query.target is None or traced.target is None:
        return []
    found = filter(None, (unseen_note(traced.target), *query.target.notes))
    return [f"{query.target.name}: {note}" for note in found]


def _modality(model: Model, side: str) -> str:
    """What is on one side ("image", "text") of the explained pair, such as "audio", or "second image"."""
    first, second = model.sides
    if side == "image":
        return first
    return f"second {second}" if first == second else second


def _method_notes(method: Method, outputs: _Outputs, pair: int) -> list[str]:
    """Notes on how a method took the phrase."""
    notes: list[str] = []
    if getattr(method, "laterality", "patient") == "paper":
        notes.append("laterality 'paper': the patient's left is put on the image's left, as the paper prints it")
    if outputs.priors and outputs.priors[pair].neutral:
        on_words = outputs.target_grids is None
        reason = outputs.priors[pair].reason if on_words else "no phrase names a region"
        notes.append(f"spatial prior neutral: {reason}")
    if outputs.wordless and "text" in method.towers:
        notes.append(f"no {outputs.other_side}: {outputs.wordless}")
    return notes


_GRID = ("rows", "columns")


def _shaped(name: str, values: Any, pairs: int, axes: Sequence[str]) -> Tensor:
    """Check the output of a method, which may be a plug-in's.

    Raises:
        InputError: not a tensor [pair, *axes].
    """
    if isinstance(values, Tensor) and values.ndim == 1 + len(axes) and len(values) == pairs:
        return values
    wanted = f"a tensor [{pairs}, {', '.join(axes)}]"
    got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
    raise InputError(f"Expected {wanted} from the method {name!r}, got {got}. Fix its __call__.")


def _tokens(subject: Subject, scores: NDArray[np.float32]) -> tuple[Token, ...]:
    """Content tokens with their scores; special tokens cover no characters and are left out."""
    return tuple(
        Token(subject.query.text[a:b], a, b, float(score))
        for (a, b), score in zip(subject.phrase.spans, scores[: len(subject.phrase.spans)], strict=True)
        if b > a
    )


def _words(subject: Subject, tokens: Sequence[Token]) -> tuple[tuple[str, float], ...]:
    """The words of the phrase with their scores; none from a method without a text side."""
    return words(subject.query.text, [(t.start, t.end) for t in tokens], [t.score for t in tokens]) if tokens else ()


def identity(image: Any) -> Any:
    """What tells the images of a batch apart: the path, or which object it is."""
    return str(image) if isinstance(image, (str, Path)) else id(image)


def _array(values: Tensor) -> NDArray[np.float32]:
    """A copy, since a view would keep the values of the whole batch alive."""
    return values.detach().to("cpu", torch.float32, copy=True).numpy()


def check_request(model: Model, text: Any, method: str) -> None:
    """Refuse arguments of another kind than `explain` takes, before anything is read.

    Raises:
        InputError: what was given instead, and what to write.
        UnknownName: no such method.
    """
    check_model(model)
    if not is_input(text):
        check_phrase(text)
    check_method(method)


def check_phrase(text: Any) -> None:
    """Refuse what is no phrase.

    Raises:
        InputError: a list of phrases, or anything else that is not text.
    """
    if is_list(text):
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


def _chosen(methods: object) -> Mapping[str, Mapping[str, Any]]:
    """Methods as `compare` takes them: a name, names, or parameters by name."""
    if isinstance(methods, str):
        methods = [methods]
    if is_mapping(methods):
        chosen: dict[Any, Any] = dict(methods)
    elif is_iterable(methods) and getattr(methods, "ndim", 1):  # an array of no dimension has no entries
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
        token_ids: [phrase, token]; images or spectrograms where the model's pair has no text.
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
    on_words = model.sides[1] == "text"
    if not on_words:
        _check_on_grid(model, model.sides[1], token_ids)
    elif pixels.dim() != 4 or token_ids.dim() != 2 or not len(pixels) or not len(token_ids) or not token_ids.shape[1]:
        raise InputError(
            "Expected pixels [image, channel, height, width] and token_ids [phrase, token], got "
            f"{tuple(pixels.shape)} and {tuple(token_ids.shape)}."
        )
    if paired and len(pixels) != len(token_ids):
        raise InputError(
            "Expected pixels [1, channel, height, width] and token_ids [1, token], got "
            f"{tuple(pixels.shape)} and {tuple(token_ids.shape)}."
        )
    _check_on_grid(model, model.sides[0], pixels)
    if not on_words:
        return
    whole = not (token_ids.is_floating_point() or token_ids.is_complex() or token_ids.dtype == torch.bool)
    if not whole or not 1 <= token_ids.shape[1] <= model.context or token_ids.min() < 0:
        raise InputError(
            f"Expected whole token ids of 0 or more, at most {model.context} in a row, got "
            f"{token_ids.dtype} {tuple(token_ids.shape)}."
        )
    if int(token_ids.max()) >= model.vocabulary:
        raise InputError(f"Expected token ids below {model.vocabulary}, got {int(token_ids.max())}. Wrong tokenizer?")


def _check_on_grid(model: Model, modality: Modality, inputs: Tensor) -> None:
    """Refuse what is no batch of images or spectrograms.

    Raises:
        InputError: other shapes, or values that are not finite.
    """
    channels, (height, width) = 1 if modality == "audio" else 3, model.patch_of(modality)
    fits = inputs.dim() == 4 and inputs.shape[1] == channels
    if not fits or inputs.shape[2] < height or inputs.shape[3] < width:
        raise InputError(
            f"Expected {channels} channels and at least one patch of {height}x{width} pixels, "
            f"got {tuple(inputs.shape[1:])} (channel, height, width)."
        )
    if not inputs.is_floating_point() or not torch.isfinite(inputs).all():
        raise InputError("Expected finite floating-point pixels, got others. Check the preprocessing.")
