"""Is a map about the model, or about the prior, the film, or nothing? The controls of one explanation, and a verdict.

The room is not called audit, since importing it would hide the function `matex.audit`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from matex.adapters.model import Model
from matex.adapters.randomise import randomised
from matex.attribution import make
from matex.attribution.shared.batching import batches
from matex.attribution.shared.input_gradients import encode
from matex.checks import as_path, count
from matex.dicom.view_position import is_frontal
from matex.errors import InputError, shown
from matex.geometry import Placement, Resize
from matex.images import READ_SIDE, Film, read
from matex.metrics.similarity import highest, spearman
from matex.phrases.swap_sides import other_side
from matex.pipeline import Domain, check_phrase, check_request, explain
from matex.priors.anatomy import Mention, parse
from matex.priors.atlas import LUNGS, REGIONS
from matex.priors.image_context import ImageContext
from matex.results import DISCLAIMER, Explanation, SaliencyMap
from matex.trace import record

State = Literal["pass", "warn", "fail", "skipped"]

LIMITS: Mapping[str, tuple[float, float]] = {
    "prior_share": (0.25, 0.5),
    "side": (0.1, 0.2),
    "side_ignored": (0.95, math.inf),
    "side_preference": (0.9, 0.1),
    "unrelated_phrase": (0.75, 0.95),
    "random_weights": (0.5, 0.8),
    "seeds": (0.9, 0.7),
    "deletion": (0.95, 0.8),
    "corners": (2.0, 4.0),
}
"""Where each check warns, and where it fails; docs/audit.md says what each number means."""

UNRELATED = {"chest": "the weather is fine today", "natural": "frontal chest radiograph"}
NO_CHEST = "The image is not said to be a chest film."
HIGHLIGHTED = 0.1  # share of what the model sees that counts as highlighted
PLATEAU = 0.25  # largest share of the film that is still compared with regions elsewhere
CORNER = 0.15  # of the film's sides: where side markers and labels sit
MODELS = 3  # draws of random weights


@dataclass(frozen=True)
class Check:
    """One question about the map, answered by a control.

    Args:
        question: in plain words.
        state: "pass", "warn", "fail", or "skipped" where the check does not apply, which is never a pass.
        answer: a sentence with the number that decided.
        values: the numbers.
        rule: when it warns, and when it fails.
    """

    question: str
    state: State
    answer: str
    values: Mapping[str, float | str | None]
    rule: str = ""


@dataclass(frozen=True, eq=False)
class Control:
    """Another map of the same film, to be held against the explanation's.

    Args:
        title: what was changed.
        text: the phrase it was made with.
        score: cosine similarity; of the randomised model where that was changed.
        image: the map.
        likeness: rank correlation with the reference; NaN where one of them is constant.
        stays: share of the reference's highlighted region that this map highlights too; chance is .1; NaN likewise.
        reference: the map that it is compared with: "map", the explanation's, or for controls without the prior
            "no_prior", the explanation's without its prior.
    """

    title: str
    text: str
    score: float
    image: SaliencyMap
    likeness: float
    stays: float
    reference: Literal["map", "no_prior"] = "map"


@dataclass(frozen=True, eq=False)
class Audit:
    """What the controls say about one explanation.

    Args:
        explanation: that was audited.
        checks: by name.
        controls: maps by name.
    """

    explanation: Explanation
    checks: Mapping[str, Check]
    controls: Mapping[str, Control]

    @property
    def verdict(self) -> Literal["pass", "warn", "fail"]:
        """The worst state among the checks that could be asked."""
        states = {check.state for check in self.checks.values()}
        return "fail" if "fail" in states else "warn" if "warn" in states else "pass"

    @property
    def summary(self) -> str:
        """The verdict in words."""
        against = [check.answer for check in self.checks.values() if check.state == self.verdict]
        if self.verdict == "fail":
            return " ".join(["This map should not be taken for what the model saw.", *against])
        if self.verdict == "warn":
            return " ".join(["Read this map with caution.", *against])
        made = sum(check.state != "skipped" for check in self.checks.values())
        skipped = len(self.checks) - made
        others = f" {skipped} did not apply." if skipped else ""
        return f"None of the {made} checks that apply speaks against this map.{others} That does not make it right."

    @property
    def prior_share(self) -> float:
        """Share of the map that the phrase's place made, whatever the model saw, in [0, 1]."""
        share = self.checks["prior_share"].values["prior_share"]
        return float(share) if isinstance(share, (int, float)) else math.nan

    def record(self) -> dict[str, Any]:
        """As plain values, for audit.json."""
        return {
            "format": "matex-audit/2",
            "disclaimer": DISCLAIMER,
            "verdict": self.verdict,
            "summary": self.summary,
            "text": self.explanation.text,
            "method": self.explanation.method,
            "score": self.explanation.score,
            "notes": list(self.explanation.notes),
            "checks": {name: dataclasses.asdict(check) for name, check in self.checks.items()},
            "controls": {
                name: {
                    "title": c.title,
                    "text": c.text,
                    "score": c.score,
                    "reference": c.reference,
                    "likeness": c.likeness,
                    "stays": c.stays,
                }
                for name, c in self.controls.items()
            },
            "provenance": dict(self.explanation.provenance),
        }

    def save(self, folder: str | Path) -> Path:
        """Write audit.json and audit.html into the folder, both or neither."""
        from matex.render.audit import save

        return save(self, as_path(folder, "a folder to write to"))


def audit(
    model: Model,
    image: Any,
    text: str,
    method: str = "matex",
    *,
    resize: Resize = "model",
    domain: Domain = "chest",
    lung_mask: NDArray[np.generic] | None = None,
    view: str | None = None,
    mirrored: bool | None = None,
    unrelated: str | None = None,
    regions: int = 40,
    repeats: int = 5,
    progress: bool = False,
    **parameters: Any,
) -> Audit:
    """Explain, and hold the map against controls: is it about the model, or about the prior, the film, or nothing?

    Args:
        unrelated: a phrase that has nothing to do with the image; a sentence about the weather for chest films.
        regions: how many random regions the highlighted one is compared with.
        repeats: how many seeds, for methods that draw random numbers.
        progress: show a progress bar.
        model, image, text, method, resize, domain, lung_mask, view, mirrored, **parameters: see `matex.explain`.

    Raises:
        InputError: as `matex.explain`, or fewer than 10 regions or 2 repeats, or an unrelated phrase that is the
            phrase itself.
        UnknownName: no such method or parameter.
        ValueError: a parameter outside its range.
    """
    check_request(model, text, method)
    count(regions, "regions", 10, 10_000)
    count(repeats, "repeats", 2, 1000)
    if unrelated is not None:
        check_phrase(unrelated)
    if unrelated is not None and unrelated.split() == text.split():
        raise InputError(f"Expected an unrelated phrase other than the phrase itself, got {shown(unrelated)} for both.")
    film = read(image, side=READ_SIDE).known_as(view, mirrored)
    given: dict[str, Any] = {"resize": resize, "domain": domain, "lung_mask": lung_mask}
    explanation = explain(model, film, text, method, **given, **parameters)
    subject = _Subject(model, explanation, lung_mask, UNRELATED[domain] if unrelated is None else unrelated)
    steps = {
        "phrases": subject.controls,
        "random weights": subject.random_weights,
        "seeds": lambda: subject.seeds(repeats),
        "deletion": lambda: subject.deletion(regions),
    }
    found: dict[str, Any] = {}
    for name, step in tqdm(steps.items(), desc="controls", disable=not progress):
        found[name] = step()
    controls = {**found["phrases"], **found["random weights"]}
    checks = {
        "map": _check_map(explanation),
        "prior_share": subject.check_prior(controls),
        "side": subject.check_side(controls),
        "unrelated_phrase": subject.check_unrelated(controls),
        "score": _check_score(explanation, controls),
        "random_weights": _check_random(controls),
        "seeds": found["seeds"],
        "deletion": found["deletion"],
        "lungs": subject.check_lungs(),
        "corners": subject.check_corners(),
    }
    return Audit(explanation, checks, controls)


@dataclass(frozen=True, eq=False)
class _Subject:
    """The explanation with what its controls need; maps are compared in model pixels."""

    model: Model
    explanation: Explanation
    lung_mask: NDArray[np.generic] | None
    unrelated: str

    @property
    def film(self) -> Film:
        return self.explanation.film

    @property
    def placement(self) -> Placement:
        return self.explanation.image.placement

    @property
    def chest(self) -> bool:
        return self.explanation.provenance["domain"] == "chest"

    @property
    def guided(self) -> bool:
        """Whether the phrase's place entered the map."""
        prior = self.explanation.prior
        return prior is not None and bool(np.ptp(prior) > 0)

    # ------------------------------------------------------------------------------------------------- controls

    def controls(self) -> dict[str, Control]:
        """The maps of other phrases and other priors, over one trace, and those of the mirrored film."""
        text = self.explanation.text
        other = other_side(text) if self.chest else None
        targets: dict[str, tuple[str, str, tuple[Mention, ...]]] = {}
        if self.guided:
            targets["no_prior"] = ("without the prior", text, ())
        if self.guided and other:
            targets["mirrored_prior"] = ("prior on the other side", text, parse(other))
        if other:
            targets["other_side"] = ("phrase with the other side", other, parse(other))
        if self.guided and other:
            targets["other_side_no_prior"] = ("other side, without the prior", other, ())
        targets["unrelated"] = ("unrelated phrase, without the prior", self.unrelated, ())
        grids, scores = self._maps(self.model, [(phrase, mentions) for _, phrase, mentions in targets.values()])
        found: dict[str, Control] = {}
        for (name, (title, phrase, _)), grid, score in zip(targets.items(), grids, scores, strict=True):
            reference = found.get("no_prior") if name in ("other_side_no_prior", "unrelated") else None
            found[name] = self._control(title, phrase, grid, score, reference)
        return found | (self._mirrored(text, other, found) if other and self._no_sides() is None else {})

    def _mirrored(self, text: str, other: str, found: Mapping[str, Control]) -> dict[str, Control]:
        """The maps of both sides' phrases on the mirrored film, without the prior, drawn back onto the film."""
        grids, scores = self._maps(self.model, [(text, ()), (other, ())], mirrored=True)
        titles = ("mirrored film", "mirrored film, other side")
        prior = ", without the prior" if self.guided else ""
        return {
            name: self._control(f"{title}{prior}", phrase, grid, score, found.get("no_prior"))
            for name, title, phrase, grid, score in zip(
                ("mirrored_film", "mirrored_film_other_side"), titles, (text, other), grids, scores, strict=True
            )
        }

    def random_weights(self) -> dict[str, Control]:
        """The map of the same question asked of models that learned nothing."""
        made: dict[str, Control] = {}
        for seed in range(MODELS):
            other = randomised(self.model, seed)
            (grid,), (score,) = self._maps(other, [(self.explanation.text, self.explanation.regions)])
            title = f"random weights, draw {seed + 1}"
            made[f"random_weights_{seed + 1}"] = self._control(title, self.explanation.text, grid, score)
        return made

    def seeds(self, repeats: int) -> Check:
        """How far the map depends on the random numbers that the method draws."""
        question = "Does the map depend on chance?"
        if "seed" not in self.explanation.parameters:
            return Check(question, "skipped", "The method draws no random numbers.", {"seeds": 0.0})
        targets = [(self.explanation.text, self.explanation.regions)]
        grids = [self._maps(self.model, targets, seed=seed)[0][0] for seed in range(repeats)]
        maps = [self._whole(SaliencyMap(grid, self.placement)) for grid in grids]
        pairs = [_likeness(a, b) for a, b in itertools.combinations(maps, 2)]
        lowest = min(pairs) if not any(math.isnan(value) for value in pairs) else math.nan
        values = {"seeds": float(repeats), "lowest_likeness": lowest, "mean_likeness": float(np.mean(pairs))}
        rule = _rule("seeds", "rank correlation of the least alike two", "below")
        if math.isnan(lowest):
            return Check(question, "skipped", "One of the maps is constant: they cannot be compared.", values, rule)
        state = _below(lowest, "seeds")
        says = "hardly changes" if state == "pass" else "changes"
        answer = f"Drawn again with {repeats} seeds the map {says}: the two least alike correlate at {lowest:.2f}."
        return Check(question, state, answer, values, rule)

    def deletion(self, regions: int) -> Check:
        """Whether the score depends more on the highlighted region than on others of the same shape."""
        question = "Does the model need the highlighted region?"
        rule = _rule("deletion", "share of random regions that matter less", "below")
        rule += " It also fails when the score does not fall."
        if self.explanation.image.degenerate:
            return Check(question, "skipped", "A constant map highlights nothing.", {}, rule)
        x, y = self.placement.fractions()
        rows, columns = (np.flatnonzero((z >= 0) & (z <= 1)) for z in (y, x))
        window = (..., slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))  # the film, without padding
        belongs = self._highlighted()[window]
        region = belongs > 0.5 if bool((belongs > 0.5).any()) else belongs > 0  # one plateau is the highest of all
        if float(region.double().mean()) > PLATEAU:
            why = "The map has its highest value in so much of the film that no such region lies elsewhere."
            return Check(question, "skipped", why, {}, rule)
        pixels, _ = self.model.prepare(self.film, self.explanation.provenance["resize"])
        masks = torch.stack([region, *elsewhere(region, regions)])[:, None].to(pixels.device)
        images = pixels.repeat(len(masks), 1, 1, 1)
        images[window] = torch.where(masks, pixels[window].mean(dim=(2, 3), keepdim=True), pixels[window])
        with torch.inference_mode(False), torch.no_grad():
            ids = torch.tensor([self.explanation.provenance["token_ids"]], device=self.model.device)
            target = encode(self.model.text, ids)[0]
            inputs = torch.cat([pixels, images])
            parts = batches(lambda a, b: encode(self.model.image, inputs[a:b]) @ target, len(inputs), 32)
            scores = torch.cat(list(parts)).double()
        drops = scores[0] - scores[1:]
        mine, others = float(drops[0]), drops[1:]
        quantile = float((others < mine).double().mean() + (others == mine).double().mean() / 2)
        values = {
            "drop": mine,
            "random_drop_median": float(others.median()),
            "random_drop_largest": float(others.max()),
            "quantile": quantile,
            "regions": float(regions),
        }
        if mine <= 0:
            answer = (
                f"Painting over the highlighted region does not lower the score (drop {mine:.3f}): it is not needed."
            )
            return Check(question, "fail", answer, values, rule)
        answer = (
            f"Painting over the highlighted region lowers the score by {mine:.3f}, more than painting over "
            f"{100 * quantile:.0f} % of {regions} regions of the same shape elsewhere."
        )
        return Check(question, _below(quantile, "deletion"), answer, values, rule)

    # --------------------------------------------------------------------------------------------------- checks

    def check_prior(self, controls: Mapping[str, Control]) -> Check:
        question = "How much of the map did the words alone make?"
        rule = _rule("prior_share", "share of the map that goes when the prior is off", "from")
        if not self.guided:
            why = "this method has no prior" if self.explanation.prior is None else "the prior is neutral here"
            return Check(question, "skipped", f"None of it: {why}.", {"prior_share": 0.0}, rule)
        without = controls["no_prior"]
        share = prior_share(self._whole(self.explanation.image), self._whole(without.image))
        values = {"prior_share": share, "stays_without_prior": without.stays}
        answer = (
            f"{100 * share:.0f} % of the map comes from the place that the phrase names, whatever the film shows; "
            f"without it {100 * without.stays:.0f} % of the highlighted region stays where it is."
        )
        if math.isnan(share):
            return Check(question, "skipped", "The map is constant: there is nothing to share out.", values, rule)
        return Check(question, _above(share, "prior_share"), answer, values, rule)

    def check_side(self, controls: Mapping[str, Control]) -> Check:
        """Whether the side of the map is the prior's, the word's, or the film's.

        The prior alone on the other side shows what the prior does. What the model sees is asked of its scores: a model
        that sees the finding on the named side prefers the phrase to the one with the other side, and prefers the
        other one when the film is mirrored. A model that follows the word does not turn with the film.
        """
        question = "Is the finding on the named side, or does the map follow the word or the prior?"
        rule = (
            "Warns when the prior alone on the other side moves the highlighted region by "
            f"{LIMITS['side'][0]:g} of the film's width or more, fails from {LIMITS['side'][1]:g}. Without the prior: "
            f"warns when {LIMITS['side_ignored'][0]:g} of the highlighted region or more stays with the other side in "
            "the phrase; passes when between the two phrases the model gives the named side "
            f"{LIMITS['side_preference'][0]:g} or more on the film and {LIMITS['side_preference'][1]:g} or less on the "
            "mirrored film, fails the other way round, and else warns."
        )
        if (why := self._no_sides()) is not None:
            return Check(question, "skipped", why, {}, rule)
        if "other_side" not in controls:
            return Check(question, "skipped", "The phrase names no side that could be exchanged.", {}, rule)
        here, there = self._across(self.explanation.image), self._across(controls["other_side"].image)
        named, other = self._without_prior(controls)
        apart = self._across(other.image) - self._across(named)
        stays = self._stays(named, other.image)
        values: dict[str, float | str | None] = {"across": here, "across_other_side": there, "shift": there - here}
        values |= {"shift_without_prior": apart, "stays_with_other_side_without_prior": stays}
        film = self._preference(self.explanation.score, controls["other_side"].score)
        turned = self._preference(controls["mirrored_film"].score, controls["mirrored_film_other_side"].score)
        values |= {"preference_for_named_side": film, "preference_on_mirrored_film": turned}
        if math.isnan(there - here) or math.isnan(apart):
            return Check(question, "skipped", "One of the maps is constant and has no side.", values, rule)
        states: list[State] = []
        sentences: list[str] = []
        if self.guided:
            alone = self._across(controls["mirrored_prior"].image) - here
            values["shift_by_prior_alone"] = alone
            states.append(_above(abs(alone), "side"))
            sentences.append(f"With the prior alone on the other side the highlighted region {_moved(alone)}.")
            if states[-1] in ("warn", "fail"):
                sentences.append("The side of this map is the prior's.")
        states.append(_above(stays, "side_ignored"))
        sentences.append(f"With the other side in the phrase, no prior in either map, it {_moved(apart)}.")
        if states[-1] == "warn":
            sentences.append("The map ignores left and right: it is the same for both.")
        high, low = LIMITS["side_preference"]
        sees = film >= high and turned <= low
        states.append("pass" if sees else "fail" if film <= low and turned >= high else "warn")
        seen = "named side" if sees else "other side" if states[-1] == "fail" else ""
        sentences.append(
            f"Between the two phrases the model gives the named side {100 * film:.0f} % on this film and "
            f"{100 * turned:.0f} % on the mirrored film: "
            + (f"it sees the finding on the {seen}." if seen else "what it prefers does not turn with the film, so")
            + ("" if seen else " that the map may follow the word wherever the finding is.")
        )
        state: State = "fail" if "fail" in states else "warn" if "warn" in states else "pass"
        return Check(question, state, " ".join(sentences), values, rule)

    def _without_prior(self, controls: Mapping[str, Control]) -> tuple[SaliencyMap, Control]:
        """The maps of the phrase and of that with the other side, neither with the prior."""
        if self.guided:
            return controls["no_prior"].image, controls["other_side_no_prior"]
        return self.explanation.image, controls["other_side"]

    def _preference(self, first: float, second: float) -> float:
        """Probability of the first of two phrases by the model's own temperature, from their cosines."""
        logit = max(-60.0, min(60.0, self.model.logit_scale * (first - second)))
        return 1 / (1 + math.exp(-logit))

    def check_unrelated(self, controls: Mapping[str, Control]) -> Check:
        """Compared without the prior, which says nothing for an unrelated phrase."""
        question = "Would another phrase have the same map?"
        rule = _rule("unrelated_phrase", "share of the highlighted region that stays, no prior in either map", "from")
        unrelated = controls["unrelated"]
        stays = unrelated.stays
        values = {"stays": stays, "phrase": unrelated.text}
        if math.isnan(stays):
            return Check(question, "skipped", "One of the two maps is constant.", values, rule)
        state = _above(stays, "unrelated_phrase")
        answer = (
            f"With “{unrelated.text}” instead, {100 * stays:.0f} % of the highlighted region stays; chance is 10 %."
        )
        if state in ("warn", "fail"):
            answer += " The map shows what stands out in the film more than what the phrase says."
        return Check(question, state, answer, values, rule)

    def check_lungs(self) -> Check:
        question = "Does the map lie in the lungs?"
        rule = "Warns when the share outside the lungs is at least that of a map that is the same everywhere."
        if (why := self._no_lungs()) is not None:
            return Check(question, "skipped", why, {}, rule)
        if any(m.weight > 0 and not REGIONS[m.region].inside for m in self.explanation.regions):
            return Check(question, "skipped", "The phrase names a place outside the lungs.", {}, rule)
        share, even = self._share(~self._lungs())
        by = "the atlas' average lungs" if self.lung_mask is None else "the lung mask"
        values = {"outside_lungs": share, "outside_lungs_of_an_even_map": even, "lungs_by": by}
        if even in (0, 1):
            many = "nothing" if even else "all"
            return Check(question, "skipped", f"By {by} {many} that the model sees is lung.", values, rule)
        if math.isnan(share):
            return Check(question, "skipped", "The map is nowhere above zero.", values, rule)
        answer = (
            f"{100 * share:.0f} % of the map lies outside the lungs by {by}; a map that is the same everywhere would "
            f"have {100 * even:.0f} % there."
        )
        return Check(question, "warn" if share >= even else "pass", answer, values, rule)

    def check_corners(self) -> Check:
        """Side markers and burnt-in labels sit in the corners: a model may read those."""
        question = "Does the map point at the corners, where markers sit?"
        rule = _rule("corners", "share of the map in the corners over their share of the film", "from")
        if not self.chest:
            return Check(question, "skipped", NO_CHEST, {}, rule)
        x, y = self.placement.fractions()
        edges = [(z < CORNER) | (z > 1 - CORNER) for z in (y, x)]
        share, even = self._share(np.logical_and.outer(*edges))
        values = {"corners": share, "corners_of_an_even_map": even, "times": share / even if even else math.nan}
        if math.isnan(share) or not even:
            return Check(
                question, "skipped", "The model sees no corners, or the map is nowhere above zero.", values, rule
            )
        answer = f"{100 * share:.0f} % of the map lies in the four corners, which are {100 * even:.0f} % of the film."
        return Check(question, _above(share / even, "corners"), answer, values, rule)

    # ------------------------------------------------------------------------------------------------ measuring

    def _maps(
        self, model: Model, targets: Sequence[tuple[str, tuple[Mention, ...]]], mirrored: bool = False, **changes: Any
    ) -> tuple[list[NDArray[np.float32]], list[float]]:
        """Raw grids and scores for phrases with the places that they are taken to name, over one trace.

        With `mirrored` the model sees the film mirrored, and its maps are mirrored back.
        """
        chosen = make(self.explanation.method, {**self.explanation.parameters, **changes})
        pixels, placement = model.prepare(self.film, self.explanation.provenance["resize"])
        phrases = [model.encode(text) for text, _ in targets]
        domain = self.explanation.provenance["domain"]
        trace = record(
            model,
            pixels.flip(-1) if mirrored else pixels,
            model.batch(phrases),
            [(0, number) for number in range(len(targets))],
            image_gradient_blocks=chosen.gradient_blocks("image"),
            contexts=[
                ImageContext(mentions, placement, self.film.view, self.lung_mask, domain) for _, mentions in targets
            ],
        ).image
        grids = chosen(trace).detach().to("cpu", torch.float32).numpy()
        return list(np.ascontiguousarray(grids[..., ::-1]) if mirrored else grids), trace.score.tolist()

    def _control(
        self, title: str, text: str, grid: NDArray[np.float32], score: float, reference: Control | None = None
    ) -> Control:
        """A control compared with the explanation's map, or with that of another control."""
        image = SaliencyMap(grid, self.placement)
        before = reference.image if reference else self.explanation.image
        likeness = _likeness(self._whole(before), self._whole(image))
        name = "no_prior" if reference else "map"
        return Control(title, text, score, image, likeness, self._stays(before, image), name)

    def _whole(self, image: SaliencyMap) -> Tensor:
        """The map in model pixels, float64 [height, width]."""
        grid = torch.from_numpy(np.asarray(image.grid, dtype=np.float64))[None, None]
        return F.interpolate(grid, size=self.placement.model, mode="bilinear", align_corners=False)[0, 0]

    def _seen(self) -> NDArray[np.bool_]:
        """Model pixels that show the film, not padding."""
        x, y = self.placement.fractions()
        return np.logical_and.outer((y >= 0) & (y <= 1), (x >= 0) & (x <= 1))

    def _highlighted(self, image: SaliencyMap | None = None) -> Tensor:
        """How much of each model pixel belongs to the highest tenth of what the model sees of the film."""
        seen = torch.from_numpy(self._seen())
        found = torch.zeros(seen.shape, dtype=torch.float64)
        found[seen] = highest(self._whole(image or self.explanation.image)[seen][None], HIGHLIGHTED)[0]
        return found

    def _stays(self, before: SaliencyMap, after: SaliencyMap) -> float:
        """Share of one map's highlighted region that the other highlights too."""
        if before.degenerate or after.degenerate:
            return math.nan
        here, there = self._highlighted(before), self._highlighted(after)
        return float((here * there).sum() / here.sum())

    def _across(self, image: SaliencyMap) -> float:
        """Where the highlighted region's centre lies from the patient's right (0) to the left (1)."""
        if image.degenerate:
            return math.nan
        region = self._highlighted(image).sum(dim=0).numpy()
        return float((region * self.placement.fractions()[0]).sum() / region.sum())

    def _share(self, where: NDArray[np.bool_]) -> tuple[float, float]:
        """Share of the map above zero that lies there, and of the film."""
        seen = self._seen()
        mass = np.where(seen, self._whole(self.explanation.image).clamp(min=0).numpy(), 0.0)
        share = float(mass[where].sum() / mass.sum()) if mass.sum() > 0 else math.nan
        return share, float((where & seen).sum() / seen.sum())

    def _no_sides(self) -> str | None:
        if not self.chest:
            return NO_CHEST
        if not is_frontal(self.film.view):
            return "Left and right lie beside each other on frontal films alone."
        return None

    def _no_lungs(self) -> str | None:
        if not self.chest:
            return NO_CHEST
        if self.lung_mask is None and not is_frontal(self.film.view):
            return "The atlas knows lungs on frontal films alone. Give a lung mask."
        return None

    def _lungs(self) -> NDArray[np.bool_]:
        """Lungs in model pixels, by the mask or by the atlas' mean boxes."""
        x, y = self.placement.fractions()
        if self.lung_mask is not None:
            mask = self.placement.to_standard(self.lung_mask)
            height, width = mask.shape
            rows = np.clip((y * height).astype(int), 0, height - 1)
            columns = np.clip((x * width).astype(int), 0, width - 1)
            return mask.astype(bool)[np.ix_(rows, columns)]
        boxes = [
            np.logical_and.outer((y >= y0) & (y <= y1), (x >= x0) & (x <= x1)) for x0, y0, x1, y1 in LUNGS.values()
        ]
        return np.logical_or.reduce(boxes)


def elsewhere(region: Tensor, count: int) -> list[Tensor]:
    """The region [height, width] moved at random, over the border to the other side, no more than half of it onto
    itself.

    Averaged over all moves a region meets itself in its own share of the image: up to a quarter of it, at least half
    of the moves will do.
    """
    generator = torch.Generator().manual_seed(0)
    found: list[Tensor] = []
    while len(found) < count:
        move = [int(torch.randint(side, (), generator=generator)) for side in region.shape]
        moved = region.roll(move, dims=(0, 1))
        if 2 * int((moved & region).sum()) <= int(region.sum()):
            found.append(moved)
    return found


def prior_share(whole: Tensor, without: Tensor) -> float:
    """Share of a map that goes when its prior is off, each map above its own lowest value; NaN for a constant map.

    Both maps are in the method's own units. A constant says nothing about where, so it is taken off first.
    """
    here, there = whole - whole.min(), without - without.min()
    total = float(here.sum())
    return min(1.0, float((here - there).abs().sum()) / total) if total > 0 else math.nan


def _check_map(explanation: Explanation) -> Check:
    question = "Is there a map at all?"
    if explanation.image.degenerate:
        return Check(question, "fail", "The map is constant: it says nothing about where.", {})
    return Check(question, "pass", "The map tells places apart.", {})


def _check_score(explanation: Explanation, controls: Mapping[str, Control]) -> Check:
    question = "Does the phrase fit the film better than its opposite?"
    rule = "Warns when the other side, or an unrelated phrase, scores as high or higher."
    others = {name: controls[name] for name in ("other_side", "unrelated") if name in controls}
    values: dict[str, float | str | None] = {"score": explanation.score}
    values |= {f"score_{name}": control.score for name, control in others.items()}
    better = [control.text for control in others.values() if control.score >= explanation.score]
    told = ", ".join(f"“{control.text}” {control.score:.3f}" for control in others.values())
    answer = f"The phrase scores {explanation.score:.3f}, {told}."
    if better:
        answer += f" To the model “{better[0]}” fits as well or better: no map can say why it would prefer the phrase."
    return Check(question, "warn" if better else "pass", answer, values, rule)


def _check_random(controls: Mapping[str, Control]) -> Check:
    question = "Does the map need what the model learned?"
    rule = _rule("random_weights", "share of the highlighted region that stays, on average", "from")
    stays = [control.stays for name, control in controls.items() if name.startswith("random_weights")]
    known = [value for value in stays if not math.isnan(value)]
    mean = float(np.mean(known)) if known else math.nan
    values = {"stays": mean, "models": float(len(stays)), "undefined": float(len(stays) - len(known))}
    if math.isnan(mean):
        return Check(question, "skipped", "The maps cannot be compared: one of each two is constant.", values, rule)
    answer = (
        f"With random weights {100 * mean:.0f} % of the highlighted region stays, on average of {len(known)} draws; "
        "chance is 10 %."
    )
    return Check(question, _above(mean, "random_weights"), answer, values, rule)


def _likeness(first: Tensor, second: Tensor) -> float:
    return float(spearman(first[None], second[None])[0])


def _above(value: float, name: str) -> State:
    warn, fail = LIMITS[name]
    return "skipped" if math.isnan(value) else "fail" if value >= fail else "warn" if value >= warn else "pass"


def _below(value: float, name: str) -> State:
    warn, fail = LIMITS[name]
    return "skipped" if math.isnan(value) else "fail" if value < fail else "warn" if value < warn else "pass"


def _rule(name: str, quantity: str, direction: Literal["from", "below"]) -> str:
    warn, fail = LIMITS[name]
    return f"{quantity[0].upper()}{quantity[1:]}: warns {direction} {warn:g}, fails {direction} {fail:g}."


def _moved(shift: float) -> str:
    """A shift in fractions of the film's width, as words."""
    if math.isnan(shift):
        return "has no place"
    if abs(shift) < 0.02:
        return "stays where it is"
    return f"moves by {100 * abs(shift):.0f} % of the film's width to the patient's {'left' if shift > 0 else 'right'}"
