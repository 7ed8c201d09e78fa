"""Controls of a run, so that a good number can be distinguished from a flattering one.

A map may point at the right place because the phrase says where to look, because a finding stands out whatever the
phrase, or because most of the film is right. Each control has one of these reasons and nothing of the model's training.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from matex.attribution import make
from matex.benchmark.choices import MethodChoice, MetricChoice
from matex.benchmark.config import Config
from matex.errors import InputError, shown
from matex.explained_score import ScoreArguments
from matex.metrics import METRICS, make_metric
from matex.protocols import Ablatable, same, stochastic
from matex.results import Explanation, SaliencyMap

PRIOR = "atlas"  # shape of the regions in the prior's controls, MATEX's own default
DETERMINISTIC = -1  # in place of a seed
MAPS: Mapping[str, str] = {
    "control: uniform": "The same value everywhere: what a map that says nothing scores.",
    "control: random": "Independent random values on the patch grid: what noise scores.",
    "control: prior alone": "MATEX's spatial prior of the phrase, without image or model.",
    "control: mirrored prior": "The same prior with left and right exchanged.",
}


@dataclass(frozen=True)
class RunSpec:
    """One method or control with one seed, run on all samples of a data set with one model.

    Args:
        label: in results.
        kind: "method" for those of the configuration; controls are added to them.
        variant: how its maps are computed: by a method on the model, by a method on the model with random weights, by
            a method for the phrase with left and right exchanged, or as a map without a model.
        name: registered method; the label for maps.
        parameters: of the method, the seed included.
        seed: DETERMINISTIC where no random numbers are used.
        of: label of the method that a control belongs to; None for those that serve all.
        description: one sentence.
        score: arguments of `matex.explain` that choose the explained score; empty for that of the phrase.
    """

    label: str
    kind: Literal["method", "control"]
    variant: Literal["method", "random weights", "exchanged side", "map"]
    name: str
    parameters: Mapping[str, object]
    seed: int
    of: str | None
    description: str
    score: ScoreArguments = field(default_factory=ScoreArguments)


def run_specs(config: Config) -> tuple[RunSpec, ...]:
    """Expand a configuration into the methods and controls that are run on each sample, stochastic ones per seed.

    Uniform and random maps are always included. The prior alone, the mirrored prior, the model with random weights,
    the phrase with its sides exchanged and the ablations of the methods are included whenever a metric reads boxes or
    masks.

    Raises:
        InputError: a method's label that a control has.
    """
    methods = [spec for choice in config.methods for spec in _method_specs(choice, config.seeds)]
    names = list(MAPS)
    controls: list[RunSpec] = []
    if any(localises(metric) for metric in config.metrics):
        ablations = [spec for choice in config.methods for spec in _ablations(choice, config)]
        exchanged = [spec for choice in config.methods for spec in _exchanged_side(choice, config.seeds)]
        random = [spec for choice in config.methods for spec in _random_weights(choice, config.seeds)]
        controls = [*ablations, *exchanged, *random]
    else:
        names = names[:2]
    for name in names:
        seeds = config.seeds if name == "control: random" else (DETERMINISTIC,)
        controls += [RunSpec(name, "control", "map", name, {}, seed, None, MAPS[name]) for seed in seeds]
    labels = {spec.label for spec in methods}
    for spec in controls:
        if spec.label in labels:
            raise InputError(f"Expected labels of methods that no control has, got {spec.label!r}. Choose another.")
    return (*methods, *controls)


def localises(metric: MetricChoice) -> bool:
    """Whether a metric compares maps with boxes or masks."""
    return bool({"boxes", "other"} & set(METRICS[metric.name].needs))


def targets_prediction(metric: MetricChoice) -> bool:
    """Whether a metric is about the map of the class that the model predicts, not of the sample's own phrase."""
    return getattr(make_metric(metric.name, metric.parameters), "target", "truth") != "truth"


def applies(spec: RunSpec, metric: MetricChoice) -> bool:
    """Whether a metric is computed for a method or control.

    Every metric applies to methods. Those that need finished maps alone, single ones or all of a data set, apply to
    controls without a model; those of single maps apply to the other controls, but for random weights and the exchanged
    side only those of localisation: the other metrics score the phrase of the sample on the true model, and such a map
    explains neither. Metrics of the predicted class apply to methods and their maps on the true model alone: they are
    computed on maps of that class's phrase.
    """
    if targets_prediction(metric):
        return spec.variant == "method"
    kind = METRICS[metric.name]
    if spec.kind == "method":
        return True
    if spec.variant == "map":
        return not getattr(kind, "explains_again", False)
    if kind.dataset_level:
        return False
    return spec.variant == "method" or localises(metric)


def control_map(spec: RunSpec, like: Explanation, dataset: str, sample: str) -> Explanation:
    """A map without a model, for the film and phrase of an explanation.

    Args:
        spec: whose variant is "map".
        like: any explanation of the sample.
        dataset: label.
        sample: id; the random map depends on it, the data set and the seed, not on the order of the run.
    """
    placement = like.image.placement
    words = like.tokens
    if spec.name == "control: uniform":
        grid, words = np.ones(placement.grid, dtype=np.float32), ()
    elif spec.name == "control: random":
        digest = hashlib.sha256(f"{spec.seed}\n{dataset}\n{sample}".encode()).digest()
        rng = np.random.default_rng(list(digest))
        grid = rng.random(placement.grid, dtype=np.float32)
        words = tuple(dataclasses.replace(token, score=float(rng.random())) for token in words)
    else:
        grid, words = _prior(like, exchanged=spec.name == "control: mirrored prior"), ()
    return dataclasses.replace(
        like,
        method=spec.label,
        parameters={},
        image=SaliencyMap(grid, placement),
        tokens=words,
        words=(),
        components={},
        weights={},
        prior=None,
        notes=(),
    )


def is_stochastic(name: str, parameters: Mapping[str, object]) -> bool:
    """Whether the map depends on the method's seed; some methods use it in one of their settings only."""
    return stochastic(make(name, parameters))


def _method_specs(choice: MethodChoice, seeds: Sequence[int]) -> list[RunSpec]:
    """A method of the configuration, once per seed if it is stochastic."""
    about = (type(make(choice.name, choice.parameters)).__doc__ or "").partition("\n")[0]
    if choice.score:
        about += f" Of another score: {', '.join(f'{name} {shown(value)}' for name, value in choice.score.items())}."
    return [
        RunSpec(choice.label, "method", "method", choice.name, parameters, seed, None, about, choice.score)
        for seed, parameters in _seeded(choice.name, choice.parameters, seeds)
    ]


def _random_weights(choice: MethodChoice, seeds: Sequence[int]) -> list[RunSpec]:
    """The same method on a model with random weights."""
    label, about = f"{choice.label} (random weights)", f"{choice.label} on the same architecture with random weights."
    specs: list[RunSpec] = []
    for seed in seeds:
        parameters = {**choice.parameters, **({"seed": seed} if is_stochastic(choice.name, choice.parameters) else {})}
        specs.append(
            RunSpec(
                label, "control", "random weights", choice.name, parameters, seed, choice.label, about, choice.score
            )
        )
    return specs


def _exchanged_side(choice: MethodChoice, seeds: Sequence[int]) -> list[RunSpec]:
    """The same method for the phrase with left and right exchanged, compared with the true place.

    On a model that distinguishes sides a map follows the word even on a normal film. What a method scores above this
    control depends on the word; what it shares with it does not.
    """
    label = f"{choice.label} (exchanged side)"
    about = f"{choice.label} for the phrase with left and right exchanged, measured where the finding truly is."
    return [
        RunSpec(label, "control", "exchanged side", choice.name, parameters, seed, choice.label, about, choice.score)
        for seed, parameters in _seeded(choice.name, choice.parameters, seeds)
    ]


def _ablations(choice: MethodChoice, config: Config) -> list[RunSpec]:
    """The method without its prior or gate; empty where it has none or the configuration lists that already."""
    method = make(choice.name, choice.parameters)
    ablation = method.ablation() if isinstance(method, Ablatable) else None
    if ablation is None:
        return []
    parameters = {**choice.parameters, **ablation.changes}
    if any(
        other.score == choice.score and same(make(other.name, other.parameters), make(choice.name, parameters))
        for other in config.methods
    ):
        return []
    label, about = f"{choice.label} ({ablation.name})", f"{choice.label} {ablation.description}"
    return [
        RunSpec(label, "control", "method", choice.name, seeded, seed, choice.label, about, choice.score)
        for seed, seeded in _seeded(choice.name, parameters, config.seeds)
    ]


def _seeded(name: str, parameters: Mapping[str, object], seeds: Sequence[int]) -> list[tuple[int, dict[str, object]]]:
    """(seed, parameters) for every run of a method; a seed that the configuration fixes is the only one."""
    if not is_stochastic(name, parameters):
        return [(DETERMINISTIC, dict(parameters))]
    if isinstance(seed := parameters.get("seed"), int):
        return [(seed, dict(parameters))]
    return [(seed, {**parameters, "seed": seed}) for seed in seeds]


def _prior(like: Explanation, exchanged: bool) -> NDArray[np.float32]:
    """The spatial prior of the phrase on the patch grid; uniform where it names no place.

    Args:
        like: an explanation of the sample.
        exchanged: take the patient's left for the right.
    """
    placement = like.image.placement
    found = like.query.context(placement, like.regions, exchanged).prior(PRIOR, "patient")
    return np.ones(placement.grid, np.float32) if found.neutral else found.values.astype(np.float32)
