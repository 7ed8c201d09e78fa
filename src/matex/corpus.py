"""Many pairs: films decoded in advance by threads, explained in batches, and dropped after use."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence, Sized
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from matex.adapters.model import Model
from matex.errors import InputError
from matex.explained_score import ExplainedScore, Labels
from matex.geometry import Resize
from matex.objectives import ClassScoreKind, Pooling
from matex.pair_stream import OnError, Pair, PairLike, PairStream, Skipped, image_key
from matex.queries import Domain
from matex.results import Explanation


@overload
def explain_each(
    model: Model,
    pairs: Iterable[PairLike],
    method: str = ...,
    *,
    on_error: Literal["stop"] = ...,
    **settings: Any,
) -> Generator[Explanation]: ...
@overload
def explain_each(
    model: Model,
    pairs: Iterable[PairLike],
    method: str = ...,
    *,
    on_error: OnError,
    **settings: Any,
) -> Generator[Explanation | Skipped]: ...
def explain_each(
    model: Model,
    pairs: Iterable[PairLike],
    method: str = "matex",
    *,
    on_error: OnError = "stop",
    against: str | None = None,
    labels: Labels | None = None,
    of: ClassScoreKind = "logit",
    pool: Pooling = "mean",
    resize: Resize = "model",
    domain: Domain = "chest",
    view: str | None = None,
    mirrored: bool | None = None,
    lung_mask: NDArray[np.generic] | None = None,
    batch_size: int = 8,
    workers: int = 2,
    progress: bool = False,
    **parameters: object,
) -> Generator[Explanation | Skipped]:
    """Explain a stream of pairs: one result per pair, in their order, with memory that does not grow.

    Films are decoded and preprocessed in threads while the model works on those before. At most two batches of films
    are held, so `pairs` may be a generator over any number of them; an explanation holds its film as long as the
    caller keeps the explanation. Texts of one image share its pass where they stand in the same batch. Images and
    sounds may be mixed where the model reads both; a batch holds one kind.

    Args:
        model: from `matex.load`.
        pairs: (image, text), or `Pair` with the view, mirroring or lung mask of one image; images as in `explain`.
        method: a name of `matex.methods()`.
        on_error: "stop" raises at the first pair that cannot be explained, with its number in the message; "skip"
            yields a `Skipped` in its place, logs a warning, and goes on. What is wrong with the request as a whole (an
            unknown method, a model that cannot serve it) is raised in either case, and so is an error of `pairs`.
        against, labels, of, pool, resize, domain: see `explain`. With `labels` films that have a class in common share
            a pass.
        view, mirrored, lung_mask: see `explain`; of every image whose own `Pair` does not give it.
        batch_size: different images run at once.
        workers: threads that decode.
        progress: show a progress bar.
        **parameters: of the method.

    Returns:
        A generator. Closing it, or leaving a `for` loop over it, ends the threads.

    Raises:
        InputError: a setting outside its range, at once; a pair that cannot be explained, when it is reached.
        UnknownName, UnsupportedModel: see `explain`; at once.

    Examples:
        >>> pairs = [(path, phrase), (path, "clear lungs"), ("missing.png", "nodule")]
        >>> for result in matex.explain_each(model, pairs, on_error="skip"):
        ...     print(type(result).__name__)
        Explanation
        Explanation
        Skipped
    """
    shared = Pair(None, "", view, mirrored, lung_mask)
    score = ExplainedScore(model, against, labels, of, pool)
    stream = PairStream(model, method, parameters, on_error, score, resize, domain, shared, batch_size, workers)
    _check_pairs(pairs)
    total = len(pairs) if isinstance(pairs, Sized) else None
    return stream.results(enumerate(pairs), total, progress)


@overload
def explain_batch(
    model: Model,
    pairs: Iterable[PairLike],
    method: str = ...,
    *,
    on_error: Literal["stop"] = ...,
    **settings: Any,
) -> list[Explanation]: ...
@overload
def explain_batch(
    model: Model,
    pairs: Iterable[PairLike],
    method: str = ...,
    *,
    on_error: OnError,
    **settings: Any,
) -> list[Explanation | Skipped]: ...
def explain_batch(
    model: Model,
    pairs: Iterable[PairLike],
    method: str = "matex",
    *,
    on_error: OnError = "stop",
    against: str | None = None,
    labels: Labels | None = None,
    of: ClassScoreKind = "logit",
    pool: Pooling = "mean",
    resize: Resize = "model",
    domain: Domain = "chest",
    view: str | None = None,
    mirrored: bool | None = None,
    lung_mask: NDArray[np.generic] | None = None,
    batch_size: int = 8,
    workers: int = 2,
    progress: bool = False,
    **parameters: object,
) -> Sequence[Explanation | Skipped]:
    """Explain many pairs; an image with several texts is read and run through its tower once, wherever they stand.

    Args:
        model: from `matex.load`.
        pairs: (image, text), or `Pair`; images as in `explain`.
        method: a name of `matex.methods()`.
        on_error, against, labels, of, pool: see `explain_each`.
        resize, domain, view, mirrored, lung_mask, batch_size, workers, progress: likewise.
        **parameters: of the method.

    Returns:
        An explanation for each pair, in their order; with on_error="skip" a `Skipped` where there is none.

    Raises:
        InputError, UnknownName, UnsupportedModel: see `explain_each`.

    Examples:
        >>> pairs = [(film, "opacity in the left lower lung"), (film, "clear lungs")]
        >>> [explanation.text for explanation in matex.explain_batch(model, pairs, "grad-eclip")]
        ['opacity in the left lower lung', 'clear lungs']
    """
    shared = Pair(None, "", view, mirrored, lung_mask)
    score = ExplainedScore(model, against, labels, of, pool)
    stream = PairStream(model, method, parameters, on_error, score, resize, domain, shared, batch_size, workers)
    _check_pairs(pairs)
    numbered = list(enumerate(pairs))
    # Pairs are put in the order of the batches that their images fill, so that each image falls into one batch.
    image_number: dict[Hashable, int] = {}
    batch_of = [image_number.setdefault(image_key(given), len(image_number)) // batch_size for _, given in numbered]
    order = sorted(numbered, key=lambda pair: (stream.modality(pair[1]), batch_of[pair[0]]))
    results = dict(zip((index for index, _ in order), stream.results(order, len(order), progress), strict=True))
    return [results[index] for index, _ in numbered]


def _check_pairs(pairs: object) -> None:
    """Refuse what holds no pairs.

    Raises:
        InputError: one text, path, film or array, or nothing that can be gone through.
    """
    got = type(pairs).__name__
    if isinstance(pairs, str | bytes | np.ndarray | Mapping) or not isinstance(pairs, Iterable):
        raise InputError(f"Expected pairs, such as [(image, text), (image, text)], got {got}. Put them in a list.")
