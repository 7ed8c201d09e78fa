"""What stands beside the methods of a run, so that a good number can be told from a flattering one.

A map may point at the right place because the phrase says where to look, because a finding stands out whatever the
phrase, or because most of the film is right. Each control has one of these reasons and nothing of the model's training.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from matex.attribution import make
from matex.benchmark.config import Config, MethodChoice, MetricChoice
from matex.errors import InputError
from matex.metrics import METRICS, make_metric
from matex.priors.image_context import ImageContext
from matex.protocols import Ablatable, stochastic
from matex.results import Explanation, SaliencyMap

PRIOR = "atlas"  # shape of the regions in the prior's controls, MATEX's own default
DETERMINISTIC = -1  # the seed of what draws nothing

MAPS: Mapping[str, str] = {
    "control: uniform": "The same value everywhere: what a map that says nothing scores.",
    "control: random": "Independent random values on the patch grid: what noise scores.",
    "control: prior alone": "MATEX's spatial prior of the phrase, without image or model.",
    "control: mirrored prior": "The same prior with left and right exchanged.",
}


@dataclass(frozen=True)
class RunSpec:
    """One method or control as it is run: with one seed, on all samples of a data set with one model.

    Args:
        label: in results.
        kind: "method" is what the configuration asks for; controls come by themselves.
        made: how: by a method on the model, by a method on the model with random weights, by a method for the phrase
            with left and right exchanged, or as a map without a model.
        name: registered method; the label for maps.
        parameters: of the method, the seed included.
        seed: DETERMINISTIC where nothing is drawn.
        of: label of the method that a control belongs to; None for those that serve all.
        description: one sentence.
    """

    label: str
    kind: Literal["method", "control"]
    made: Literal["method", "random weights", "exchanged side", "map"]
    name: str
    parameters: Mapping[str, Any]
    seed: int
    of: str | None
    description: str


def run_specs(config: Config) -> tuple[RunSpec, ...]:
    """Everything that a configuration runs on each sample, once per seed where numbers are drawn.

    Uniform and random maps always come along. The prior alone, the mirrored prior, the model with random weights, the
    phrase with its sides exchanged and the methods without their prior or gate come along whenever a metric reads
    boxes or masks.

    Raises:
        InputError: a method's label that a control has.
    """
    methods = [cell for choice in config.methods for cell in _runs(choice, config.seeds)]
    names = list(MAPS)
    controls: list[RunSpec] = []
    if any(localises(metric) for metric in config.metrics):
        without = [cell for choice in config.methods for cell in _without(choice, config)]
        exchanged = [cell for choice in config.methods for cell in _exchanged_side(choice, config.seeds)]
        random = [cell for choice in config.methods for cell in _random_weights(choice, config.seeds)]
        controls = [*without, *exchanged, *random]
    else:
        names = names[:2]
    for name in names:
        seeds = config.seeds if name == "control: random" else (DETERMINISTIC,)
        controls += [RunSpec(name, "control", "map", name, {}, seed, None, MAPS[name]) for seed in seeds]
    labels = {cell.label for cell in methods}
    for cell in controls:
        if cell.label in labels:
            raise InputError(f"Expected labels of methods that no control has, got {cell.label!r}. Choose another.")
    return (*methods, *controls)


def localises(metric: MetricChoice) -> bool:
    """Whether a metric compares maps with places that are known."""
    return bool({"boxes", "other"} & set(METRICS[metric.name].needs))


def targets_prediction(metric: MetricChoice) -> bool:
    """Whether a metric's target is another class than that of the sample's own phrase, which is what a run explains."""
    return getattr(make_metric(metric.name, metric.parameters), "target", "truth") != "truth"


def measured(cell: RunSpec, metric: MetricChoice) -> bool:
    """Whether a metric is taken of a cell.

    Methods get every metric. Controls without a model get those that judge finished maps, one or all of them; the
    others those that judge a map by itself, and maps made with random weights or for the exchanged side only those of
    place: the other metrics score the phrase of the sample on the true model, and such a map explains neither.
    """
    kind = METRICS[metric.name]
    if cell.kind == "method":
        return True
    if cell.made == "map":
        return not getattr(kind, "explains_again", False)
    if kind.dataset_level:
        return False
    return cell.made == "method" or localises(metric)


def control_map(cell: RunSpec, like: Explanation, dataset: str, sample: str) -> Explanation:
    """A map without a model, for the film and phrase of an explanation.

    Args:
        cell: whose `made` is "map".
        like: any explanation of the sample.
        dataset: label, and
        sample: id: the random map depends on them and the seed, not on the order of the run.
    """
    placement = like.image.placement
    words = like.tokens
    if cell.name == "control: uniform":
        grid, words = np.ones(placement.grid, dtype=np.float32), ()
    elif cell.name == "control: random":
        digest = hashlib.sha256(f"{cell.seed}\n{dataset}\n{sample}".encode()).digest()
        rng = np.random.default_rng(list(digest))
        grid = rng.random(placement.grid, dtype=np.float32)
        words = tuple(dataclasses.replace(token, score=float(rng.random())) for token in words)
    else:
        grid, words = _prior(like, exchanged=cell.name == "control: mirrored prior"), ()
    return dataclasses.replace(
        like,
        method=cell.label,
        parameters={},
        image=SaliencyMap(grid, placement),
        tokens=words,
        words=(),
        components={},
        weights={},
        prior=None,
        notes=(),
    )


def draws(name: str, parameters: Mapping[str, Any]) -> bool:
    """Whether the map depends on the method's seed; some methods read theirs in one of their settings only."""
    return stochastic(make(name, parameters))


def _runs(choice: MethodChoice, seeds: Sequence[int]) -> list[RunSpec]:
    """A method of the configuration, once or once per seed."""
    about = (type(make(choice.name, choice.parameters)).__doc__ or "").partition("\n")[0]
    return [
        RunSpec(choice.label, "method", "method", choice.name, parameters, seed, None, about)
        for seed, parameters in _seeded(choice.name, choice.parameters, seeds)
    ]


def _random_weights(choice: MethodChoice, seeds: Sequence[int]) -> list[RunSpec]:
    """The same method asked of a model whose weights are drawn anew."""
    label, about = f"{choice.label} (random weights)", f"{choice.label} on the same architecture with random weights."
    made: list[RunSpec] = []
    for seed in seeds:
        parameters = {**choice.parameters, **({"seed": seed} if draws(choice.name, choice.parameters) else {})}
        made.append(RunSpec(label, "control", "random weights", choice.name, parameters, seed, choice.label, about))
    return made


def _exchanged_side(choice: MethodChoice, seeds: Sequence[int]) -> list[RunSpec]:
    """The same method asked about the phrase with left and right exchanged, measured against the true place.

    On a model that knows sides a map goes where the word says even on a normal film. What a method scores above this
    control depends on the word; what it shares with it does not.
    """
    label = f"{choice.label} (exchanged side)"
    about = f"{choice.label} for the phrase with left and right exchanged, measured where the finding truly is."
    return [
        RunSpec(label, "control", "exchanged side", choice.name, parameters, seed, choice.label, about)
        for seed, parameters in _seeded(choice.name, choice.parameters, seeds)
    ]


def _without(choice: MethodChoice, config: Config) -> list[RunSpec]:
    """The method without its prior or gate; nothing where it has none or the configuration lists that already."""
    method = make(choice.name, choice.parameters)
    ablation = method.ablation() if isinstance(method, Ablatable) else None
    if ablation is None:
        return []
    parameters = {**choice.parameters, **ablation.changes}
    if any(make(other.name, other.parameters) == make(choice.name, parameters) for other in config.methods):
        return []
    label, about = f"{choice.label} ({ablation.name})", f"{choice.label} {ablation.description}"
    return [
        RunSpec(label, "control", "method", choice.name, with_seed, seed, choice.label, about)
        for seed, with_seed in _seeded(choice.name, parameters, config.seeds)
    ]


def _seeded(name: str, parameters: Mapping[str, Any], seeds: Sequence[int]) -> list[tuple[int, dict[str, Any]]]:
    """(seed, parameters) for every run of a method; a seed that the configuration fixes is the only one."""
    if not draws(name, parameters):
        return [(DETERMINISTIC, dict(parameters))]
    if "seed" in parameters:
        return [(int(parameters["seed"]), dict(parameters))]
    return [(seed, {**parameters, "seed": seed}) for seed in seeds]


def _prior(like: Explanation, exchanged: bool) -> NDArray[np.float32]:
    """What the phrase says about places, on the patch grid; the same everywhere where it says nothing.

    Args:
        like: an explanation of the sample.
        exchanged: take the patient's left for the right.
    """
    placement, domain = like.image.placement, like.provenance["domain"]
    context = ImageContext(like.regions, placement, like.film.view, None, domain, exchanged)
    found = context.prior(PRIOR, "patient")
    return np.ones(placement.grid, np.float32) if found.neutral else found.values.astype(np.float32)
