"""The protocol of a method: a frozen dataclass whose fields are its parameters, called on a trace.

`Method` is what every method has. The other protocols are optional declarations; whoever needs one asks with
isinstance, so that no part of the package knows methods by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from matex.adapters.encoder import Attentive, Encoder, JointTokens, Staged
from matex.checks import is_object
from matex.errors import InputError, UnknownName, UnsupportedModel, shown
from matex.priors.spatial import SpatialPrior
from matex.registry import Parameterised, Parameters, Registry, build
from matex.trace import Trace

# What a method may need of an encoder. An encoder says in `missing` which of these it does not have, and why.
NEEDS: Mapping[str, str] = {
    "readout": "one token (CLS, the end token) whose own stream is read",
    "attention": "query, key and value over all tokens in every block",
    "gradient": "gradients through the encoder",
    "features": "features of single places or words behind a stage",
    "relu": "ReLU activations",
    "joint tokens": "single tokens that can be read in the joint space",
    "black box": "scores of other inputs, nothing from inside",
}
_PROTOCOLS: Mapping[str, type] = {
    "readout": Attentive,
    "attention": Attentive,
    "gradient": Staged,
    "features": Staged,
    "relu": Staged,
    "joint tokens": JointTokens,
    "black box": Encoder,
}

RESERVED = frozenset(
    [
        *("model", "image", "text", "method", "methods", "resize", "domain", "lung_mask", "view", "mirrored"),
        *("pixels", "token_ids", "tower", "pairs", "on_error", "workers", "skip_unsupported"),
        *("unrelated", "regions", "repeats", "text_parameters"),
        *("against", "labels", "of", "pool", "yardstick"),
        *("seeds", "noise", "noise_level", "paraphrases"),
    ]
)
"""Arguments of matex.explain and its relatives, which a field of the same name would hide."""


class Method(Parameterised, Protocol):
    """An attribution method.

    The constants below are literals, since `matex.catalog` reads them without running the file.

    `towers` names the towers it is defined on ("image", "text"). `source` is the paper with its equations. A method
    may further declare: `needs`, what it asks of a tower, keys of `NEEDS`; `other_needs`, what it asks of the other
    side's tower; `passes`, what a map costs in forwards and backwards; `phrase_blind`, that its image map does not
    depend on the phrase; `equation`, the formula; `errors`, known errors and gaps of the source, each with what is done
    about it; and, when it has a `seed`, `draws`: what depends on the seed.
    """

    towers: ClassVar[tuple[str, ...]]
    source: ClassVar[str]

    def gradient_blocks(self, kind: str) -> int:
        """Number of last blocks of the "image" or "text" tower whose gradients it reads; a hint for the forward.

        `matex.trace.FROM_INPUT` when it reads those at what enters the tower.
        """
        ...

    def __call__(self, trace: Trace) -> Tensor:
        """Raw, signed attribution: [pair, rows, columns], or [pair, token] on the text tower."""
        ...


@runtime_checkable
class Fused(Method, Protocol):
    """A method that adds up weighted terms, one of them under the text's spatial prior; kept apart in explanations."""

    def components(self, trace: Trace) -> dict[str, Tensor]:
        """Terms before their weights, each shaped as the map."""
        ...

    def weights(self) -> dict[str, float]:
        """Weight of each term."""
        ...

    def fuse(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the terms."""
        ...

    def spatial_priors(self, trace: Trace) -> list[SpatialPrior]:
        """Spatial priors of the texts, one per pair; empty on the text tower."""
        ...

    def spatial_weights(self, trace: Trace) -> Tensor:
        """M of eq. 5, [pair, rows, columns]; 1 is neutral."""
        ...


@runtime_checkable
class Reporting(Method, Protocol):
    """A method that measures its own run: what a reader of the map should know goes into the provenance."""

    def report(self, trace: Trace) -> list[dict[str, float | None]]:
        """Names to plain numbers, one mapping per pair; None for what is undefined."""
        ...


@runtime_checkable
class Stochastic(Method, Protocol):
    """A method with a seed that only some of its settings read."""

    @property
    def stochastic(self) -> bool:
        """Whether the map depends on the seed with these parameters."""
        ...


class Ablation(NamedTuple):
    """A method without one of its parts, as a control.

    Args:
        name: what is gone, such as "no prior".
        changes: parameters that take the part out.
        description: as the name of the method goes on, such as "without its gate, which is Grad-ECLIP."
    """

    name: str
    changes: Parameters
    description: str


@runtime_checkable
class Ablatable(Method, Protocol):
    """A method that consists of parts, one of which can be taken out."""

    def ablation(self) -> Ablation | None:
        """The method without its prior or gate; None where these parameters have none."""
        ...


def _check_fields(name: str, kind: type[Method]) -> None:
    """Refuse a field that an argument of `matex.explain` would hide.

    Raises:
        InputError: a reserved name.
    """
    for field in dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ():
        if field.name in RESERVED:
            raise InputError(
                f"Expected the method {name!r} to have parameters whose names matex.explain and its relatives leave "
                f"free, got {field.name!r}. Choose another name."
            )


METHODS: Registry[type[Method]] = Registry("method", _check_fields)


def make(name: str, parameters: Parameters) -> Method:
    """The registered method with these parameters, each as the type that its field is annotated with.

    Whole numbers become floats and lists tuples where the field says so, so that a record of the parameters and the
    key of what a trace keeps do not depend on how they were given.

    Args:
        name: of the method.
        parameters: of both sides; "text.layer" is the layer on the text alone, as is `text_parameters` with "layer".

    Raises:
        UnknownName: no such method or parameter; the message lists the known ones.
        InputError: a parameter of another type or outside its range, or one of the text for a method without it.
    """
    shared = {key: value for key, value in parameters.items() if not _of_text(key)}
    text = {key.removeprefix(TEXT): value for key, value in parameters.items() if key.startswith(TEXT)}
    given: object = parameters.get("text_parameters") or {}
    if not is_object(given):
        raise InputError(f"Expected text_parameters as a mapping of names to values, got {shown(given)}.")
    text = {**text, **given}
    method = build(METHODS, name, shared, _LISTED)
    if text:
        if "text" not in method.towers:
            raise InputError(
                f"Expected no parameters of the text, since {name} explains the image alone, got {min(text)}."
            )
        fields = tuple(field.name for field in dataclasses.fields(method))
        if unknown := sorted(set(text) - set(fields)):
            raise UnknownName(f"parameter of {name}", f"{TEXT}{unknown[0]}", fields)
        object.__setattr__(method, "_text", (build(METHODS, name, {**shared, **text}, _LISTED), tuple(sorted(text))))
    return method


TEXT = "text."  # before a parameter: of the text side alone
_LISTED = "matex.methods() shows them"


def _of_text(key: str) -> bool:
    return key.startswith(TEXT) or key == "text_parameters"


def on_side(method: Method, side: str) -> Method:
    """The method with the parameters of one side; the same on both unless the text has its own."""
    own: tuple[Method, tuple[str, ...]] | None = getattr(method, "_text", None)
    return own[0] if side == "text" and own else method


def text_settings(method: Method) -> dict[str, object]:
    """The parameters that were given for the text side alone, by name with "text." before it."""
    own: tuple[Method, tuple[str, ...]] | None = getattr(method, "_text", None)
    return {f"{TEXT}{name}": getattr(own[0], name) for name in own[1]} if own else {}


def same(first: Method, second: Method) -> bool:
    """Whether two methods have the same parameters on both sides."""
    return first == second and on_side(first, "text") == on_side(second, "text")


def with_progress(method: Method) -> Method:
    """The method with a progress bar where it has one."""
    if not hasattr(method, "progress"):
        return method
    shown_one = dataclasses.replace(method, progress=True)
    own: tuple[Method, tuple[str, ...]] | None = getattr(method, "_text", None)
    if own:
        object.__setattr__(shown_one, "_text", (dataclasses.replace(own[0], progress=True), own[1]))
    return shown_one


def stochastic(method: Method) -> bool:
    """Whether the map of a method depends on its seed."""
    return method.stochastic if isinstance(method, Stochastic) else hasattr(method, "seed")


def side(encoder: Encoder) -> Literal["image", "text"]:
    """Kind of an encoder's maps: places on a grid ("image", also of a sound), or scores of words ("text")."""
    return "text" if encoder.modality == "text" else "image"


def unserved(method: Method | type[Method], tower: Encoder, other: Encoder) -> str | None:
    """Reason that an encoder cannot serve a method, as half a sentence; None when it can.

    Args:
        method: or its class.
        tower: the encoder that is explained.
        other: the encoder of the other side.
    """
    if side(tower) not in method.towers:
        return f"it explains the {' and '.join(method.towers)} tower alone"
    for encoder, needs in ((tower, "needs"), (other, "other_needs")):
        for need in getattr(method, needs, ()):
            of = "" if encoder is tower else f" of the {other.modality} side"
            if need in encoder.missing:
                return f"it needs {NEEDS[need]}{of}, and {encoder.missing[need]}"
            if not _answers(encoder, _PROTOCOLS[need]):
                return f"it needs {NEEDS[need]}{of}, which this {encoder.modality} encoder does not have"
    return None


_ANSWERS: dict[tuple[type, type], bool] = {}


def _answers(encoder: Encoder, protocol: type) -> bool:
    """Whether an encoder has a protocol, remembered for its class: before Python 3.12 each check reads every member."""
    key = (type(encoder), protocol)
    if key not in _ANSWERS:
        _ANSWERS[key] = isinstance(encoder, protocol)
    return _ANSWERS[key]


def attends_to_phrase(method: Method | type[Method]) -> bool:
    """Whether a method reads the tokens of one phrase, so that it cannot explain a score of several."""
    return bool(getattr(method, "other_needs", ()))


def require_objective(name: str, method: Method) -> None:
    """Refuse a method that reads the tokens of one phrase where the score depends on several.

    Raises:
        UnsupportedModel: such a method.
    """
    if attends_to_phrase(method):
        raise UnsupportedModel(
            f"Expected a method that explains scores of several phrases for against or labels, got {name!r}, which "
            "attends to the tokens of a single phrase. Use m2ib, or explain each phrase on its own."
        )


def require(name: str, method: Method, tower: Encoder, other: Encoder) -> None:
    """Refuse a method that an encoder cannot serve, naming those that it can.

    Raises:
        InputError: a method that is not defined on this kind of encoder.
        UnsupportedModel: an encoder that lacks what the method needs.
    """
    why = unserved(method, tower, other)
    if why is None:
        return
    served = [known for known, kind in METHODS.items() if unserved(kind, tower, other) is None]
    refusal = InputError if side(tower) not in method.towers else UnsupportedModel
    raise refusal(
        f"Expected a method for this {tower.modality} tower, got {name!r}: {why}. There are {', '.join(served)}."
    )
