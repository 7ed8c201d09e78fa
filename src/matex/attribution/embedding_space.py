"""Embedding-space XAI: attribution of each coordinate of the embedding, weighted by the other side's embedding."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from matex.attribution.attn_lrp import AttnLrp
from matex.attribution.gradcam import GradCam
from matex.attribution.gradient import Gradient, add_up, raw, score_elements
from matex.attribution.gradient_shap import GradientShap
from matex.attribution.integrated_gradients import IntegratedGradients
from matex.attribution.kernel_shap import KernelShap
from matex.attribution.occlusion import Occlusion
from matex.attribution.rise import Rise
from matex.attribution.shared.input_gradients import stack_targets
from matex.attribution.shared.path_integral import Begin, completeness
from matex.checks import check, check_once, check_seed
from matex.errors import InputError, shown
from matex.protocols import METHODS, Method, make, with_progress
from matex.trace import FROM_INPUT, Trace

_AT_ONCE = 64  # coordinates per run of a gradient operator; bounds the memory of their maps


class Operator(Protocol):
    """An attribution of any linear function of the embedding."""

    def elements(self, trace: Trace, targets: Tensor, unit: bool = True) -> Tensor:
        """Attributions for targets [target, item, joint], [target, item, ...]; channels or dimensions still apart."""
        ...


@runtime_checkable
class PathOperator(Operator, Protocol):
    """An operator that follows a path from a baseline, so that its attributions sum to a change of the scalar."""

    def begin(self, trace: Trace) -> Begin:
        """Starting points of the paths."""
        ...


@dataclass(frozen=True)
class MapOperator:
    """A method that gives finished maps, as an operator on coordinates.

    Args:
        method: run on pairs whose targets are the coordinates.
    """

    method: Method

    def elements(self, trace: Trace, targets: Tensor, unit: bool = True) -> Tensor:
        """Maps for targets [target, item, joint], [target, item, ...]; the embedding has unit norm."""
        item = torch.arange(targets.shape[1], device=targets.device).repeat(len(targets))
        maps = self.method(trace.retargeted(item, targets.flatten(0, 1)))
        return torch.unflatten(maps, 0, targets.shape[:2])


OPERATORS: Mapping[str, type[Method]] = {
    "gradient": Gradient,
    "integrated-gradients": IntegratedGradients,
    "gradient-shap": GradientShap,
    "occlusion": Occlusion,
    "rise": Rise,
    "kernel-shap": KernelShap,
    "gradcam": GradCam,
    "attn-lrp": AttnLrp,
}
MAPS = ("rise", "kernel-shap", "gradcam", "attn-lrp")  # whose results are maps, without channels
_AT_ONE_RUN = ("occlusion", "rise", "kernel-shap")  # which run the model once, however many coordinates there are


def _parameter(given: str) -> tuple[str, object]:
    """NAME=VALUE as a name and a plain value: a number, true, false, or text.

    Raises:
        InputError: no equals sign.
    """
    name, sign, text = given.partition("=")
    if not sign:
        raise InputError(f"Expected operator_parameters such as 'baseline=white', got {shown(given)}.")
    try:
        return name.strip(), json.loads(text)
    except ValueError:
        return name.strip(), text.strip()


@METHODS("embedding-space")
@dataclass(frozen=True)
class EmbeddingSpace:
    """Attributions of every coordinate of the embedding, weighed by the other side's embedding and added up.

    With signed attributions this is the operator applied to the score itself, since every operator here is linear in
    what it explains: one backward instead of one per coordinate, and the same map as the plain method. It differs where
    absolute values are taken per coordinate, as captum's Saliency does by default.

    Args:
        operator: "gradient", "integrated-gradients", "gradient-shap", "occlusion", "rise", "kernel-shap", "gradcam" or
            "attn-lrp" (layer-wise relevance propagation). The completeness error of the second and third is reported
            for signed attributions. The ReLU of "gradcam" is applied to the map of each coordinate.
        operator_parameters: of the operator, as "baseline=white"; its own defaults otherwise.
        per_dimension: "signed", or "absolute" for the absolute attribution of each coordinate and channel.
        embed: explain the "normalized" embedding, whose product with the text's is the score, or the "raw" projection.
        prompts: further prompts of the class that the phrase is one of. The image map is then the average of the maps
            of all of them, which is the map of the mean of their embeddings. The words explained, and the score given,
            remain those of the phrase; the mean score of the set is in the report.
        keep_maps: work with the maps of all coordinates, signed ones too, and keep them with the trace, so that every
            further set of prompts on it costs no run: joint x height x width numbers per image, 103 MB for a ViT-B/32.
        seed: of gradient-shap.
        batch_size: inputs run at once by operators that run many.
        progress: show a bar.

    Source:
        "Embedding-space XAI" on MedCLIP; METHODS 3. Its constant temperature is left out. The maps of all coordinates
        are computed once per image, however many phrases of a batch there are.
    """

    operator: Literal[
        "gradient", "integrated-gradients", "gradient-shap", "occlusion", "rise", "kernel-shap", "gradcam", "attn-lrp"
    ] = "gradient"
    operator_parameters: tuple[str, ...] = ()
    per_dimension: Literal["signed", "absolute"] = "signed"
    embed: Literal["normalized", "raw"] = "normalized"
    prompts: tuple[str, ...] = ()
    keep_maps: bool = False
    seed: int = 0
    batch_size: int = 8
    progress: bool = False

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("gradient",)
    passes: ClassVar[str] = "1 forward, 1 backward (as the operator where another is chosen)"
    source: ClassVar[str] = "embedding-space XAI on MedCLIP"
    equation: ClassVar[str] = (
        "A = sum_c T_c M(I_c): an operator M on every coordinate c of the embedding, weighed by the other side's "
        "embedding T"
    )
    errors: ClassVar[tuple[str, ...]] = (
        "With a signed operator the sum over 512 maps is that operator on the score, so it is not another "
        "method. One backward is run; per_dimension='absolute' is where it differs.",
        "It does not say whether its gradients are guided or absolute, nor which embedding is meant. Signed "
        "gradients of the normalised embedding; options for the others.",
        "Its evaluation is by eye.",
    )
    draws: ClassVar[str] = "the positions of operator='gradient-shap', the masks of 'rise' and 'kernel-shap'"

    def __post_init__(self) -> None:
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)
        check_once("one of prompts", self.prompts)
        check(
            self.embed == "normalized" or self.operator not in MAPS,
            "embed",
            f"'normalized' with the operator {self.operator}",
            self.embed,
        )
        self._operator()

    @property
    def stochastic(self) -> bool:
        return self.operator in ("gradient-shap", "rise", "kernel-shap")

    def gradient_blocks(self, kind: str) -> int:
        return FROM_INPUT if self._of_the_score else 0

    def __call__(self, trace: Trace) -> Tensor:
        if self._of_the_score:
            target = self._target(trace) if self.prompts else None
            return raw(trace, add_up(trace, score_elements(trace, target)))
        return raw(trace, self._values(trace))

    def _values(self, trace: Trace) -> Tensor:
        """Attributions [pair, height, width] or [pair, token], computed once per trace."""
        return trace.memo(("values", self), lambda: self._weigh(trace))

    def _weigh(self, trace: Trace) -> Tensor:
        """Attributions of the coordinates, weighed with the target of each pair and added up."""
        targets, backward = stack_targets(trace, self._target(trace))
        if self.keep_maps:
            maps = self.coordinates(trace)
            return torch.einsum("qij,ji...->qi...", targets.to(maps), maps)[backward, trace.item]
        if self.per_dimension == "signed" and self.operator != "gradcam":  # linear in the target
            return self._places(trace, self._elements(trace, targets))[backward, trace.item]
        total: Tensor | None = None
        for some, maps in self._by_coordinate(trace):
            part = torch.einsum("qij,ji...->qi...", targets[..., some].to(maps), maps)
            total = part if total is None else total + part
        assert total is not None
        return total[backward, trace.item]

    def coordinates(self, trace: Trace) -> Tensor:
        """The map of every coordinate of the embedding, F of METHODS 3.1; computed once per trace.

        Returns:
            [joint, item, height, width], or [joint, item, token] on the text tower.
        """
        maps = (maps for _, maps in self._by_coordinate(trace))
        return trace.memo(("coordinates", replace(self, prompts=())), lambda: torch.cat(list(maps)))

    def report(self, trace: Trace) -> list[dict[str, float | None]]:
        """`mean_score` of the image and all prompts of a set; the completeness error of signed attributions along a
        path, see `completeness`; per pair.
        """
        target = self._target(trace)
        rows: list[dict[str, float | None]] = [{} for _ in trace.item]
        if self.prompts and trace.grid:
            rows = [{"mean_score": float(score)} for score in (trace.embedding * target).sum(-1)]
        operator = self._operator()
        if self.per_dimension == "absolute" or not isinstance(operator, PathOperator):
            return rows
        errors = completeness(
            trace, self._values(trace), target, operator.begin(trace), self.embed == "normalized", self.batch_size
        )
        return [{**row, **error} for row, error in zip(rows, errors, strict=True)]

    @property
    def _of_the_score(self) -> bool:
        """Whether the map is the plain gradient of a score, for which the trace's own pass will do."""
        plain = self.operator == "gradient" and self.per_dimension == "signed" and self.embed == "normalized"
        return plain and not self.keep_maps and not self.operator_parameters

    def _target(self, trace: Trace) -> Tensor:
        """Weights of the coordinates: the mean embedding of the set of prompts, [pair, joint]."""
        if not self.prompts or not trace.grid:
            return trace.target
        if trace.objective is not None:
            raise InputError("Expected either prompts of embedding-space or against and labels, got both. Use labels.")
        further = torch.stack([trace.embed_text(prompt) for prompt in self.prompts]).to(trace.target)
        return (trace.target + further.sum(0)) / (1 + len(self.prompts))

    def _by_coordinate(self, trace: Trace) -> Iterator[tuple[Tensor, Tensor]]:
        """Some coordinates at a time with their maps, [coordinate] and [coordinate, item, ...]."""
        joint, items = trace.target.shape[-1], len(trace.inputs)
        every = torch.eye(joint, device=trace.target.device, dtype=trace.target.dtype)
        at_once = joint if self.operator in _AT_ONE_RUN else _AT_ONCE
        for some in torch.split(torch.arange(joint, device=every.device), at_once):
            elements = self._elements(trace, every[some, None].expand(-1, items, -1))
            yield some, self._places(trace, elements.abs() if self.per_dimension == "absolute" else elements)

    def _elements(self, trace: Trace, targets: Tensor) -> Tensor:
        return self._operator().elements(trace, targets, self.embed == "normalized")

    def _operator(self) -> Operator:
        kind = OPERATORS[self.operator]
        own = {"batch_size": self.batch_size, "seed": self.seed}
        known = {field.name for field in fields(kind)}
        settings = {name: value for name, value in own.items() if name in known}
        method = make(self.operator, {**settings, **dict(map(_parameter, self.operator_parameters))})
        method = with_progress(method) if self.progress else method
        return MapOperator(method) if self.operator in MAPS else cast(Operator, method)

    def _places(self, trace: Trace, elements: Tensor) -> Tensor:
        """Channels or embedding dimensions added up; occlusion and operators that give maps have none."""
        return elements if self.operator == "occlusion" or self.operator in MAPS else add_up(trace, elements)
