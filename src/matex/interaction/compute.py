"""`interactions`: words against places by one of several methods."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from matex.adapters.encoder import staged
from matex.adapters.model import Model, check_model
from matex.errors import InputError, UnknownName
from matex.forward_pass import run
from matex.geometry import Placement, Resize, Size
from matex.interaction.methods import INTERACTION_METHODS, Found, InteractionMethod, Pair, WordMaps
from matex.interaction.result import Interactions
from matex.interaction.sides import word_groups
from matex.interaction.units import Units, read_units
from matex.notes import film_notes
from matex.protocols import METHODS, Method, make, require
from matex.queries import Domain, Query, prepare
from matex.registry import Parameters, build
from matex.request_checks import check_phrase
from matex.serialise import method_parameters, version_of


def interactions(
    model: Model,
    image: object,
    text: str,
    method: str = "second-order",
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    view: str | None = None,
    mirrored: bool | None = None,
    units: ArrayLike | int | None = None,
    **parameters: object,
) -> Interactions:
    """Attribute the score to pairs of a word and a place: a matrix of a phrase's words against an image's places.

    Args:
        model: from `matex.load`; both encoders must give embeddings.
        image: path, array or PIL image, as `matex.explain` takes it.
        text: the phrase.
        method: "second-order" (integrated, with a closed form), "banzhaf" or "shapley" (parts are removed), or the name
            of an attribution method, whose map is made for each word.
        resize, domain, view, mirrored: see `matex.explain`; interactions have no anatomical prior.
        units: parts of the film that words are related to, in `Interactions.units`: masks, bool [unit, height,
            width] in pixels of the film, or about how many superpixels. Games cover them, and all outside them, in the
            place of cells; maps of other methods are summed over them.
        **parameters: of the method: `layer`, `text_layer`, `nodes`; `cells`, `masks`, `text_masks`, `chance`, `seed`;
            or those of the attribution method.

    Raises:
        InputError: an image or phrase that cannot be read, a parameter outside its range, or a method that knows no
            phrase, such as rollout.
        UnknownName: no such method, parameter or view.
        UnsupportedModel: a model without what the method needs.

    Examples:
        >>> found = matex.interactions(model, film, "opacity in the left lung")
        >>> found.words, found.values.shape
        (('opacity', 'in', 'the', 'left', 'lung'), (5, 14, 14))
        >>> abs(found.report["closed_form_error"]) < 0.02
        True
    """
    check_model(model)
    check_phrase(text)
    chosen = _method(method, parameters, model)
    query = Query.of(image, text, resize, domain, view, mirrored)
    prepared = prepare(model, query)
    phrase = model.encode(text)
    token_ids = model.batch([phrase])
    words, groups = word_groups(text, phrase.spans, token_ids.shape[1])
    parts = None if units is None else read_units(units, prepared.pixels, prepared.placement)
    seen, read = run(staged(model.image), prepared.pixels), run(staged(model.text), token_ids)
    found = chosen(Pair(model, seen, read, words, groups, parts))
    values = found.values.detach().cpu().float().numpy()
    score = float((seen.embedding @ read.embedding.T)[0, 0])
    known = [*model.notes, *phrase.notes]
    return Interactions(
        query=query,
        words=words,
        values=values,
        units=None if parts is None else _of_units(parts, found, values, prepared.placement),
        placement=prepared.placement if found.cell is None else _in_cells(prepared.placement, found.cell),
        score=score,
        method=method,
        parameters=_settings(chosen),
        notes=tuple(dict.fromkeys(film_notes(query.film, prepared.placement, query.domain, known, score))),
        report=found.report,
        provenance={
            "matex": version_of("matex"),
            "model": {"name": model.name, "weights_sha256": model.weights_sha256},
            "image": {"name": query.film.name, "sha256": query.film.sha256},
            "text": text,
            "resize": resize,
            "domain": domain,
        },
    )


def _of_units(parts: Units, found: Found, values: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Values of words and units: those of the method itself, or its maps summed over them."""
    return parts.pooled(values, placement) if found.units is None else found.units.cpu().float().numpy()


def _in_cells(placement: Placement, cell: Size) -> Placement:
    """The placement of a grid of cells that are not the model's patches."""
    return replace(placement, patch=cell, cells=None, overlap=(0, 0))


def _method(name: str, parameters: Parameters, model: Model) -> InteractionMethod:
    """The method of this name with these parameters.

    Raises:
        UnknownName: no such method of interactions or of attribution, or a parameter that it does not have.
        UnsupportedModel: a model that cannot serve the method.
    """
    if name in INTERACTION_METHODS:
        return build(INTERACTION_METHODS, name, parameters, "matex interactions --help shows them")
    check_name(name)
    own = {key: parameters[key] for key in ("text_layer", "nodes") if key in parameters}
    method = make(name, {key: value for key, value in parameters.items() if key not in own})
    require(name, method, model.image, model.text)
    return WordMaps(method, **own)


def check_name(name: str) -> None:
    """Refuse what is no method of interactions.

    Raises:
        InputError: a method whose map is the same for every phrase.
        UnknownName: no such method; the message lists those that serve.
    """
    if name in INTERACTION_METHODS:
        return
    serving = [known for known, kind in METHODS.items() if not _phrase_blind(kind) and "image" in kind.towers]
    if name not in METHODS:
        raise UnknownName("method of interactions", name, tuple(dict.fromkeys([*INTERACTION_METHODS, *serving])))
    if _phrase_blind(METHODS[name]):
        raise InputError(
            f"Expected a method whose map depends on the phrase, got {name!r}, which gives every word the same map. "
            "second-order, grad-eclip and maskclip are three that do."
        )


def _phrase_blind(kind: type[Method]) -> bool:
    return bool(getattr(kind, "phrase_blind", False))


def _settings(method: InteractionMethod) -> dict[str, object]:
    """The parameters of a method of interactions, with those of the attribution method that it runs."""
    settings = {field.name: getattr(method, field.name) for field in fields(method) if field.name != "progress"}
    inner = settings.pop("method", None)
    return settings if inner is None else {**method_parameters(inner), **settings}
