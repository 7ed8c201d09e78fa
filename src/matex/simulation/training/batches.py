"""Batches of a training run: films drawn from the pool, augmented, with sentences and their truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from matex.simulation.phrases import FINDINGS, Claim, ClaimedSentence, all_canonical, sentence
from matex.simulation.training import objective
from matex.simulation.training.families import FAMILIES, MEAN, PATCH, STD
from matex.simulation.training.pool import MASK, SIZE, SLOTS, Simulator, SimulatorHere, TrainingFilm
from matex.simulation.training.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """Films and sentences of one step."""

    pixels: Tensor
    """Normalised grey values [film, 1, height, width]."""
    tokens: dict[str, Tensor]
    """Of all sentences, the films' own first, then the fixed ones; each [sentence, position]."""
    truth: Tensor
    """[film, sentence]; 1 true, 0 false, NaN unknown."""
    weights: Tensor
    """How much a true sentence counts [sentence]."""
    affirmed: Tensor
    """Whether a film's own sentence affirms a finding [film], bool."""
    coverage: Tensor
    """Share of each patch that a finding covers [film, slot, patch]."""
    meant: Tensor
    """1 for the findings that a sentence speaks of [film, sentence, slot]."""
    kinds: Tensor
    """1 for the name of the finding in a slot [film, slot, name]."""
    known: Tensor
    """Whether it is known where the film's findings lie [film], bool."""

    def to(self, device: torch.device) -> Batch:
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return Batch(**moved, tokens={name: value.to(device) for name, value in self.tokens.items()})


def fixed_sentences() -> tuple[list[ClaimedSentence], Tensor]:
    """Phrases used in every step, with their weights as positives."""
    claims = [(phrase, Claim(name, side, zone), 3.0) for phrase, name, side, zone in all_canonical()]
    claims += [(name, Claim(name), 0.5) for name in FINDINGS]
    claims += [("lung opacity", Claim("lung opacity"), 0.5), ("airspace opacity", Claim("lung opacity"), 0.5)]
    claims += [("pneumonia", Claim("pneumonia"), 0.5)]
    claims += [(text, Claim("abnormality", negated=True), 1.0) for text in ("no finding", "no acute abnormality")]
    claims += [("lungs are clear", Claim("lung abnormality", negated=True), 1.0)]
    claims += [(f"no {name}", Claim(name, negated=True), 0.1) for name in FINDINGS]
    claims += [("no lung opacity", Claim("lung opacity", negated=True), 0.3)]
    return [ClaimedSentence(text, (claim,)) for text, claim, _ in claims], torch.tensor([w for *_, w in claims])


def augment(images: Tensor, coverage: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift, scale and turn a little, change brightness, contrast and noise; never mirror.

    Args:
        images: [batch, SIZE, SIZE] in [0, 1].
        coverage: [batch, slot, MASK, MASK] in [0, 1].
        size: height and width of the result.
        generator: of all randomness.

    Returns:
        Normalised grey values [batch, 1, size, size]; coverage [batch, slot, rows * columns] on the patch grid.
    """
    count = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, zoom = uniform(-0.07, 0.07), uniform(0.9, 1.08)
    rows = [
        torch.stack([zoom * angle.cos() * uniform(0.95, 1.05), -zoom * angle.sin(), uniform(-0.06, 0.06)], 1),
        torch.stack([zoom * angle.sin(), zoom * angle.cos(), uniform(-0.06, 0.06)], 1),
    ]
    theta = torch.stack(rows, 1)
    grid = F.affine_grid(theta, [count, 1, size, size], align_corners=False)
    source = images[:, None]
    if size < SIZE:
        source = F.interpolate(source, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
    moved = F.grid_sample(source, grid, padding_mode="border", align_corners=False)
    fine = F.affine_grid(theta, [count, 1, MASK, MASK], align_corners=False)
    covered = F.grid_sample(coverage, fine, padding_mode="zeros", align_corners=False)
    # A nodule across four patches covers a quarter of each and is no less there.
    covered = (2.5 * F.adaptive_avg_pool2d(covered, size // PATCH).flatten(2)).clamp(max=1)
    gamma = torch.exp(uniform(-0.25, 0.25))[:, None, None, None]
    contrast = uniform(0.8, 1.2)[:, None, None, None]
    shift = uniform(-0.12, 0.12)[:, None, None, None]
    moved = (moved.clamp(1e-4, 1) ** gamma - 0.5) * contrast + 0.5 + shift
    noise = uniform(0, 0.015)[:, None, None, None] * torch.randn(moved.shape, generator=generator)
    moved = (moved + noise).clamp(0, 1)
    return (moved - MEAN) / STD, covered


class Films:
    """Draws batches from the simulated, normal and real films."""

    def __init__(
        self,
        real: Mapping[tuple[str, bool], list[TrainingFilm]],
        recipe: Recipe,
        simulator: Simulator | SimulatorHere,
        normals: Sequence[TrainingFilm],
    ) -> None:
        self._recipe = recipe
        self._simulator = simulator
        self._fresh = simulator.films()
        self._ring: list[TrainingFilm] = []
        self._next = 0
        self.simulated = 0
        self._normals = normals
        self._real = real

    def fill(self, count: int) -> None:
        while len(self._ring) < count:
            self._take()

    def _take(self) -> None:
        film = next(self._fresh)
        if len(self._ring) < self._recipe.films:
            self._ring.append(film)
        else:
            self._ring[self._next] = film
            self._next = (self._next + 1) % self._recipe.films
        self.simulated += 1

    def batch(self, rng: np.random.Generator) -> list[TrainingFilm]:
        for _ in range(min(self._simulator.ready(), self._recipe.fresh)):
            self._take()
        sizes = self._recipe.simulated, self._recipe.real
        films = [self._ring[int(i)] for i in rng.integers(len(self._ring), size=sizes[0])]
        groups = list(self._real.values())  # as many normal as abnormal films of each collection
        for index in range(sizes[1]):
            group = groups[index % len(groups)]
            films.append(group[int(rng.integers(len(group)))])
        left = self._recipe.batch - len(films)
        return films + [self._normals[int(i)] for i in rng.integers(len(self._normals), size=left)]


class Batches:
    """Makes batches of films, with a random stream of its own."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast, seed: Sequence[int]) -> None:
        self._recipe = recipe
        self._family = FAMILIES[recipe.family]
        self._tokenizer = tokenizer
        self._fixed, self._fixed_weights = fixed_sentences()
        self._truth = objective.Truth()
        self.draw_anew(seed)

    def draw_anew(self, seed: Sequence[int]) -> None:
        """Begin the random stream of this seed."""
        self.rng = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))

    def make(self, films: Sequence[TrainingFilm], progress: float) -> Batch:
        """The batch of these films at this share of the schedule."""
        own = [sentence(film.places, self.rng, film.complete) for film in films]
        sentences = own + self._fixed
        truth, meant = (torch.from_numpy(table) for table in self._truth.tables(films, sentences))
        affirmed = torch.tensor([not all(claim.negated for claim in one.claims) for one in own])
        blank = np.zeros((SLOTS, MASK, MASK), np.uint8)
        images = torch.from_numpy(np.stack([film.image for film in films])).float() / 255
        covers = np.stack([blank if film.coverage is None else film.coverage for film in films])
        size = 64 if progress < self._recipe.small else SIZE
        pixels, coverage = augment(images, torch.from_numpy(covers).float() / 255, size, self._generator)
        return Batch(
            pixels=pixels,
            tokens=self._family.tokens(self._tokenizer, [one.text for one in sentences]),
            truth=truth,
            # A denial is true of nearly every film and says little about any one.
            weights=torch.cat([torch.where(affirmed, 1.0, 0.3), self._fixed_weights]),
            affirmed=affirmed,
            coverage=coverage,
            meant=meant,
            kinds=_kinds(films),
            known=torch.tensor([film.coverage is not None for film in films]),
        )


def _kinds(films: Sequence[TrainingFilm]) -> Tensor:
    names = list(FINDINGS)
    kinds = torch.zeros(len(films), SLOTS, len(names))
    for row, film in enumerate(films):
        for slot, place in enumerate(film.places[:SLOTS]):
            if place.finding in FINDINGS:
                kinds[row, slot, names.index(place.finding)] = 1
    return kinds
