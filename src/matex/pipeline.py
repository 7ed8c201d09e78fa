"""The complete flow: image and text in, explanations out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from matex.adapters.black_box import BlackBox
from matex.adapters.model import Model, check_model
from matex.attribution import make, require
from matex.encoder_choice import Question, Target
from matex.errors import InputError, UnsupportedModel, shown
from matex.explained_score import ExplainedScore, Labels
from matex.forward_pass import encode
from matex.geometry import Placement, Resize
from matex.objectives import ClassScoreKind, Pooling
from matex.phrases import parse
from matex.priors.image_context import ImageContext
from matex.protocols import on_side, unserved
from matex.queries import Domain, Query
from matex.raw_maps import raw_maps, trace_inputs
from matex.registry import Parameters
from matex.request_checks import check_inputs, check_method, check_phrase, check_request, methods_by_name, named_class
from matex.results import Explanation
from matex.traced import trace_query
from matex.yardstick import yardstick as compare_score


def explain(
    model: Model,
    image: object,
    text: Target | None = None,
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
    **parameters: object,
) -> Explanation:
    """Explain the score of an image and a phrase: a map in original pixels, word scores, notes and provenance.

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
    target = named_class(text, labels)
    check_request(model, target, method)
    question = Question.of(model, image, target)
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
    image: object,
    text: Target | None = None,
    methods: Sequence[str] | Mapping[str, Parameters] = (
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
    chosen, target = methods_by_name(methods), named_class(text, labels)
    for name, parameters in chosen.items():
        check_request(model, target, name)
        make(name, parameters)
    question = Question.of(model, image, target)
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


def attribute(
    model: Model,
    pixels: Tensor,
    token_ids: Tensor,
    method: str = "grad-eclip",
    tower: Literal["image", "text"] = "image",
    text: str | None = None,
    **parameters: object,
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
