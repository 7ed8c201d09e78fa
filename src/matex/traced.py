"""Pairs that both towers have run over, and the explanations that methods compute of them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from matex.adapters.inputs import stack_images
from matex.adapters.model import Encoded, Model, words
from matex.attribution import Fused, Method, Reporting, make, require
from matex.errors import InputError
from matex.geometry import Placement, Resize
from matex.notes import constant, film_notes, incompleteness, map_notes, objective_notes, term_notes, unseen_note
from matex.priors.spatial import SpatialPrior
from matex.protocols import on_side, require_objective, unserved, with_progress
from matex.queries import (
    Domain,
    Prepared,
    Query,
    Subject,
    check_choices,
    distinct,
    prepare,
    prepare_target,
    subjects_of,
)
from matex.raw_maps import gradient_blocks, raw_maps, trace_inputs
from matex.recording import PairTrace
from matex.registry import Parameters
from matex.results import Computation, Explanation, SaliencyMap, Token
from matex.serialise import method_parameters, provenance, version_of


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

    def explain(self, method: str, parameters: Parameters, progress: bool = False) -> list[Explanation]:
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
    pairs: Sequence[tuple[object, str]],
    methods: Iterable[tuple[str, Parameters]],
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


def trace_query(model: Model, query: Query, methods: Iterable[tuple[str, Parameters]]) -> Traced:
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
    methods: Iterable[tuple[str, Parameters]],
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
    """Results of one method for all pairs.

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
    """Explanation of one pair from a method's results, with the notes that its reader needs."""
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
    computation = Computation(version_of("matex"), model.name, model.weights_sha256, outputs.seconds)
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
    """Modality on one side ("image", "text") of the explained pair, such as "audio", or "second image"."""
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


def _shaped(name: str, values: object, pairs: int, axes: Sequence[str]) -> Tensor:
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


def identity(image: object) -> object:
    """Key that distinguishes the images of a batch: the path, or the object's identity."""
    return str(image) if isinstance(image, (str, Path)) else id(image)


def _array(values: Tensor) -> NDArray[np.float32]:
    """A copy, since a view would keep the values of the whole batch alive."""
    return values.detach().to("cpu", torch.float32, copy=True).numpy()
