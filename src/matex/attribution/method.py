"""What a method is: a frozen dataclass whose fields are its parameters and whose call is its formula over a trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from matex.adapters.model import Tower, UnsupportedModel
from matex.errors import InputError, shown
from matex.priors.spatial import SpatialPrior
from matex.registry import Registry, build
from matex.trace import Trace

# What a method may need of a tower. A tower says in `missing` which of these it does not have, and why.
NEEDS: Mapping[str, str] = {
    "readout": "a readout token (CLS, the end token, a pooling query)",
    "attention": "query, key and value over all tokens in every block",
    "gradient": "gradients through the tower",
    "relu": "ReLU activations",
    "joint tokens": "tokens that the readout's own norm and projection carry to the joint space",
    "black box": "scores of other inputs, nothing from inside",
}


class Method(Protocol):
    """An attribution method.

    The constants below are literals, since `matex.catalog` reads them without running the file.

    `towers` names the towers it is defined on ("image", "text"). `source` is the paper with its equations. A method
    may further declare: `needs`, what it asks of a tower, keys of `NEEDS`; `passes`, what a map costs in forwards and
    backwards; `equation`, the formula; `errors`, known errors and gaps of the source, each with what is done about it;
    and, when it has a `seed`, `draws`: what the seed draws.
    """

    towers: ClassVar[tuple[str, ...]]
    source: ClassVar[str]

    def gradient_blocks(self, kind: str) -> int:
        """How many of the last blocks of the "image" or "text" tower it reads gradients of; a hint for the forward.

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
        """What the text says about places, one per pair; empty on the text tower."""
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


METHODS: Registry[type[Any]] = Registry("method")


def make(name: str, parameters: Mapping[str, Any]) -> Any:
    """The registered method with these parameters, each as the type that its field is annotated with.

    Whole numbers become floats and lists tuples where those are asked for, so that a record of the parameters and the
    key of what a trace keeps do not depend on how they were given.

    Raises:
        UnknownName: no such method or parameter; the message lists the known ones.
        InputError: a parameter of another type or outside its range.
    """
    return build(METHODS, name, parameters, "matex.methods() shows them")


def unserved(method: Any, tower: Tower) -> str | None:
    """Why a tower cannot serve a method, as half a sentence; None when it can."""
    if tower.kind not in method.towers:
        return f"it explains the {' and '.join(method.towers)} tower alone"
    for need in getattr(method, "needs", ()):
        if need in tower.missing:
            return f"it needs {NEEDS[need]}, and {tower.missing[need]}"
    return None


def require(name: str, method: Any, tower: Tower) -> None:
    """Refuse a method that a tower cannot serve, naming those that it can.

    Raises:
        InputError: a method that is not defined on this kind of tower.
        UnsupportedModel: a tower that lacks what the method needs.
    """
    why = unserved(method, tower)
    if why is None:
        return
    others = [other for other, kind in METHODS.items() if unserved(kind, tower) is None]
    refusal = InputError if tower.kind not in method.towers else UnsupportedModel
    raise refusal(f"Expected a method for this {tower.kind} tower, got {name!r}: {why}. There are {', '.join(others)}.")


def minmax(values: Tensor, among: Tensor | None = None) -> Tensor:
    """Scale [pair, token] to [0, 1] by the extremes among the chosen tokens of each pair; zeros where those are equal.

    Equal is what differs by no more than rounding. Tokens outside `among` are scaled alike and may leave [0, 1].
    """
    among = torch.ones_like(values, dtype=torch.bool) if among is None else among
    low = values.masked_fill(~among, torch.inf).amin(dim=-1, keepdim=True)
    high = values.masked_fill(~among, -torch.inf).amax(dim=-1, keepdim=True)
    span = high - low
    largest = torch.maximum(low.abs(), high.abs()).clamp(min=1e-12)
    constant = ~(span > max(1e-12, 4 * torch.finfo(values.dtype).eps) * largest)
    return torch.where(constant, torch.zeros_like(values), (values - low) / span.masked_fill(constant, 1.0))


def check(ok: bool, name: str, expected: str, value: Any) -> None:
    """Raise a one-line InputError for a parameter outside its range."""
    if not ok:
        raise InputError(f"Expected {name} {expected}, got {shown(value)}.")


def check_seed(seed: int) -> None:
    """Raise a one-line InputError for a seed that not every generator takes."""
    check(0 <= seed < 2**32, "seed", "from 0 to 4294967295", seed)
