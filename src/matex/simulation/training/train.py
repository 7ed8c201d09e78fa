"""Training loop of the bundled model: a CLIP from scratch, with auxiliary heads that are dropped at the end."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, PreTrainedTokenizerFast

from matex.simulation.phrases import FINDINGS, Claim, ClaimedSentence, all_canonical, sentence
from matex.simulation.training import objective
from matex.simulation.training.families import FAMILIES, MEAN, PATCH, STD, Family, Name
from matex.simulation.training.pool import (
    MASK,
    SIZE,
    SLOTS,
    Place,
    Simulator,
    TrainingFilm,
    read_normals,
    read_real,
    squash,
)
from matex.simulation.training.vocabulary import radiology_words, save_tokenizer, train_tokenizer

log = logging.getLogger(__name__)

Supervision = Literal["place", "film"]


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run."""

    seed: int = 0
    minutes: float = 172.0
    """Length of the schedule in minutes of training, resumed ones included."""
    steps: int | None = None
    """Length of the schedule in steps, instead of minutes."""
    batch: int = 32
    simulated: int = 22
    """Films of a batch with simulated findings; with `real` and plain normal films they fill the batch."""
    real: int = 7
    rate: float = 1e-3
    decay: float = 0.05
    warmup: float = 0.03
    average: float = 0.998
    """Decay of the moving average of the weights, which is what ships."""
    local: float = 1.0
    auxiliary: float = 1.0
    """Weight of the auxiliary heads at the start; it falls to nothing at the end."""
    guide: float = 0.4
    """Weight of the readout's attention on the findings at the start; it falls to nothing at 90 %."""
    small: float = 0.25
    """Share of the schedule at 64 px instead of 112."""
    first: int = 4000
    """Simulated films to begin with."""
    films: int = 12000
    """Simulated films kept to draw from; new ones replace the oldest."""
    fresh: int = 12
    """Most new ones per step, so that the simulator leaves the processor to the training."""
    keep: float = 0.0
    """Share that a model which the run started from keeps in what ships (WiSE-FT, arXiv:2109.01903)."""
    family: Name = "clip"
    """Kind of model, see `families`."""
    supervision: Supervision = "place"
    """"place": the losses also say where in the film a finding lies; "film": only whether it is in the film."""
    frozen_text: float = 0.0
    """Share of the schedule during which a text tower taken from another model stays as it is."""


def make_tokenizer(seed: int, family: Family) -> PreTrainedTokenizerFast:
    """The tokenizer of the grammar and the radiology words."""
    rng = np.random.default_rng([seed, 2])
    texts = [one.text for one in _examples(rng, 8000)] + radiology_words() * 3
    return train_tokenizer(texts, 4000, family.length, family.bos)


def _examples(rng: np.random.Generator, count: int) -> Iterator[ClaimedSentence]:
    places = [Place(name, side, zone) for _, name, side, zone in all_canonical()]
    for _ in range(count):
        chosen = rng.choice(len(places), size=int(rng.integers(3)), replace=False)
        yield sentence([places[i] for i in chosen], rng)


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


class Heads(nn.Module):
    """Auxiliary readouts that speed up early training and are discarded at its end."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch = nn.Linear(width, len(FINDINGS))
        self.readout = nn.Linear(width, len(all_canonical()))
        self.scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-4.0))


def augment(images: Tensor, coverage: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift, scale and turn a little, change brightness, contrast and noise; never mirror.

    Args:
        images: [batch, SIZE, SIZE] in [0, 1].
        coverage: [batch, slot, MASK, MASK] in [0, 1].
        size: height and width of the result.
        generator: of all randomness.

    Returns:
        Normalised pixels [batch, 3, size, size]; coverage [batch, slot, rows * columns] on the patch grid.
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
    return ((moved - MEAN) / STD).expand(-1, 3, -1, -1), covered


def encode_images(model: CLIPModel, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Joint embeddings of films, with the activations that the auxiliary losses read.

    Returns:
        Unit embeddings of the images [batch, dim] and of their patches [batch, patch, dim], hidden states after the
        last block [batch, token, width], and the readout's attention to the patches in the upper half of the
        blocks, heads averaged [batch, block, patch].
    """
    vision = model.vision_model
    resized = pixels.shape[-1] != SIZE
    output = vision(pixels, interpolate_pos_encoding=resized, output_attentions=True)
    hidden = output.last_hidden_state
    joint = F.normalize(model.visual_projection(vision.post_layernorm(hidden)).float(), dim=-1)
    upper = output.attentions[len(output.attentions) // 2 :]
    attention = torch.stack([weights[:, :, 0, 1:].float().mean(dim=1) for weights in upper], dim=1)
    return joint[:, 0], joint[:, 1:], hidden, attention


class Films:
    """Draws batches from the simulated, normal and real films."""

    def __init__(self, data: Path, recipe: Recipe, simulator: Simulator, normals: Sequence[np.ndarray]) -> None:
        self._recipe = recipe
        self._simulator = simulator
        self._fresh = simulator.films()
        self._ring: list[TrainingFilm] = []
        self._next = 0
        self.simulated = 0
        blank = np.zeros((SLOTS, MASK, MASK), np.uint8)
        self._normals = [TrainingFilm(squash(one), (), True, blank) for one in normals]
        self._real = read_real(data, "train")

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
        films = [self._ring[i] for i in rng.integers(len(self._ring), size=sizes[0])]
        groups = list(self._real.values())  # as many normal as abnormal films of each collection
        for index in range(sizes[1]):
            group = groups[index % len(groups)]
            films.append(group[int(rng.integers(len(group)))])
        left = self._recipe.batch - len(films)
        return films + [self._normals[i] for i in rng.integers(len(self._normals), size=left)]


class Trainer:
    """State of a training run, as stored in a checkpoint."""

    def __init__(self, recipe: Recipe, out: Path, tokenizer: PreTrainedTokenizerFast | None = None) -> None:
        if recipe.family != "clip" and recipe.supervision == "place":
            raise ValueError(f"Expected supervision 'film' for a {recipe.family}: its patches have no embedding.")
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.out = out
        self.family = FAMILIES[recipe.family]
        self.tokenizer = tokenizer or make_tokenizer(recipe.seed, self.family)
        # Eager attention: on a CPU its backward pass is faster than the fused one's, measured.
        self.model = self.family.model(self.tokenizer)
        self.model.set_attn_implementation("eager")
        # Large relative to the patch embeddings: otherwise the model locates nothing for hundreds of steps.
        nn.init.normal_(self.model.vision_model.embeddings.position_embedding.weight, std=0.2)
        self.heads = Heads(self.family.width)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        named = [*self.model.named_parameters(), *self.heads.named_parameters()]
        blocks = [p for name, p in named if ".layers." in name and p.ndim == 2]
        others = [p for name, p in named if not (".layers." in name and p.ndim == 2)]
        groups = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": recipe.decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(blocks, recipe.rate, recipe.decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), fused=True),
        ]
        self.fixed, fixed_weights = fixed_sentences()
        self.fixed_weights = fixed_weights
        self.truth = objective.Truth()
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.rng = np.random.default_rng([recipe.seed, 3])
        self.step = 0
        self.seconds = 0.0
        self.begun = (0, 0.0)  # step and seconds at the start of this schedule
        self.first: dict[str, Tensor] = {}  # weights of the model that the run started from
        self.canonical = [phrase for phrase, *_ in all_canonical()]

    def progress(self) -> float:
        step, seconds = self.begun
        if self.recipe.steps is not None:
            return (self.step - step) / self.recipe.steps
        return (self.seconds - seconds) / (60 * self.recipe.minutes)

    def train_step(self, films: Sequence[TrainingFilm]) -> dict[str, float]:
        """One update; returns the losses."""
        recipe, progress = self.recipe, self.progress()
        warm = (
            min(1.0, progress / recipe.warmup) if recipe.steps is None else min(1.0, (self.step - self.begun[0]) / 100)
        )
        rate = recipe.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = rate
        sentences = [sentence(film.places, self.rng, film.complete) for film in films] + self.fixed
        true, meant = (torch.from_numpy(table) for table in self.truth.tables(films, sentences))
        blank = np.zeros((SLOTS, MASK, MASK), np.uint8)
        images = torch.from_numpy(np.stack([film.image for film in films])).float() / 255
        covers = np.stack([blank if film.coverage is None else film.coverage for film in films])
        size = 64 if progress < recipe.small else SIZE
        pixels, coverage = augment(images, torch.from_numpy(covers).float() / 255, size, self.generator)
        texts = self._texts([one.text for one in sentences])
        affirmed = torch.tensor([not all(claim.negated for claim in one.claims) for one in sentences[: len(films)]])
        if recipe.supervision == "film":
            losses = self._film_losses(pixels, texts, affirmed, true)
        else:
            losses = self._place_losses(films, pixels, coverage, texts, affirmed, true, meant)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        norm = nn.utils.clip_grad_norm_([*self.model.parameters(), *self.heads.parameters()], 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            self.family.clamp(self.model)
            keep = min(recipe.average, (1 + self.step) / (10 + self.step))
            for mean, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(current, 1 - keep)
        self.step += 1
        return {name: value.item() for name, value in losses.items()} | {"norm": norm.item(), "rate": rate}

    def _texts(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings [text, dim]; without a graph while the text tower is frozen."""
        frozen = self.progress() < self.recipe.frozen_text
        with torch.set_grad_enabled(not frozen), torch.autocast("cpu", torch.bfloat16):
            return self.family.texts(self.model, self.tokenizer, texts)

    def _contrastive(self, image: Tensor, texts: Tensor, affirmed: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Contrastive loss of films against sentences, in both directions."""
        # A denial is true of nearly every film and says little about any one.
        weights = torch.cat([torch.where(affirmed, 1.0, 0.3), self.fixed_weights])
        return self.family.losses(self.model, image, texts, true, weights)

    def _readout(self, class_logits: Tensor, true: Tensor) -> Tensor:
        """Loss of predicting the true canonical phrases of a film from its readout token."""
        columns = true[:, self.recipe.batch : self.recipe.batch + len(self.canonical)]
        known = ~torch.isnan(columns)
        return objective.balanced(class_logits[known], columns[known], 10.0)

    def _fade(self) -> float:
        """Weight of the auxiliary heads now."""
        return self.recipe.auxiliary * max(0.0, 1 - self.progress())

    def _film_losses(self, pixels: Tensor, texts: Tensor, affirmed: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Losses of a run without localisation supervision."""
        with torch.autocast("cpu", torch.bfloat16):
            image, readout = self.family.images(self.model, pixels)
            class_logits = self.heads.readout(readout).float()
        losses = self._contrastive(image, texts, affirmed, true)
        if (fade := self._fade()) > 0:
            losses["readout"] = 2 * fade * self._readout(class_logits, true)
        return losses

    def _place_losses(
        self,
        films: Sequence[TrainingFilm],
        pixels: Tensor,
        coverage: Tensor,
        texts: Tensor,
        affirmed: Tensor,
        true: Tensor,
        meant: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of a run with localisation supervision: those of `_film_losses` and those of the covered patches."""
        recipe = self.recipe
        with torch.autocast("cpu", torch.bfloat16):
            image, patches, hidden, attention = encode_images(self.model, pixels)
            class_logits = self.heads.readout(hidden[:, 0]).float()
            patch_logits = self.heads.patch(hidden[:, 1:]).float()
        losses = self._contrastive(image, texts, affirmed, true)
        known = torch.tensor([film.coverage is not None for film in films])
        own = slice(0, len(films))  # the films' own sentences; the fixed ones would double the cost
        usable = known[:, None] & affirmed & ~torch.isnan(true[:, own])
        near = self.heads.scale.exp() * torch.einsum("ind,pd->ipn", patches, texts[own]) + self.heads.bias
        losses["local"] = recipe.local * objective.local(near, coverage, meant[:, own], usable)
        canonical = slice(len(films), len(films) + len(self.canonical))
        scale = self.model.logit_scale.exp()
        losses["patches"] = recipe.local * objective.named(
            scale * patches @ texts[canonical].T, coverage, meant[:, canonical]
        )
        guide = recipe.guide * max(0.0, 1 - self.progress() / 0.9)
        if guide > 0:
            losses["guide"] = guide * objective.guide(attention, coverage.amax(dim=1))
        if (fade := self._fade()) > 0:
            losses["readout"] = 2 * fade * self._readout(class_logits, true)
            self._patch_losses(losses, fade, films, known, coverage, patch_logits)
        return losses

    def _patch_losses(
        self,
        losses: dict[str, Tensor],
        fade: float,
        films: Sequence[TrainingFilm],
        known: Tensor,
        coverage: Tensor,
        patch_logits: Tensor,
    ) -> None:
        names = list(FINDINGS)
        kinds = torch.zeros(len(films), SLOTS, len(names))
        for row, film in enumerate(films):
            for slot, place in enumerate(film.places[:SLOTS]):
                if place.finding in FINDINGS:
                    kinds[row, slot, names.index(place.finding)] = 1
        target = torch.einsum("isf,isn->inf", kinds, coverage).clamp(max=1)
        losses["patch"] = 2 * fade * objective.balanced(patch_logits[known], target[known], 20.0)
        shown = known[:, None] & (target.sum(dim=-1) > 0.2)
        kind = target[shown].argmax(dim=-1)
        losses["kind"] = 0.5 * fade * F.cross_entropy(patch_logits[shown], kind)

    def save(self, path: Path) -> None:
        """Write a checkpoint to resume from, atomically."""
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "begun": self.begun,
            "first": self.first,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds = state["step"], state["seconds"]
        self.begun = state["begun"]
        if state["first"]:
            self._begin_with(state["first"])
        self._draw_anew()

    def load_model(self, folder: Path) -> list[dict[str, Any]]:
        """Take the weights of a finished model, for a schedule of its own; returns its curves so far."""
        self._begin_with(CLIPModel.from_pretrained(folder, dtype=torch.float32).state_dict())
        self.model.load_state_dict(self.first)
        self.average.load_state_dict(self.first)
        curves = json.loads((folder / "training.json").read_text(encoding="utf-8"))["curves"]
        self.step, self.seconds = curves[-1]["step"], 60 * curves[-1]["minutes"]
        self.begun = (self.step, self.seconds)
        self._draw_anew()
        return curves

    def take_text(self, folder: Path) -> None:
        """Take the text tower of a finished CLIP; its tokenizer must have this trainer's words.

        A tower of another kind takes the blocks and the first positions; its own readout begins at random.

        Raises:
            KeyError: a word of this trainer's tokenizer that the other one does not have.
        """
        weights = CLIPModel.from_pretrained(folder, dtype=torch.float32).state_dict()
        position, word = (f"text_model.embeddings.{name}_embedding.weight" for name in ("position", "token"))
        weights[position] = weights[position][: self.family.length]
        theirs = PreTrainedTokenizerFast.from_pretrained(folder).get_vocab()
        own_ids = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        weights[word] = weights[word][[theirs[token] for token, _ in own_ids]]
        for model in (self.model, self.average):
            own = model.state_dict()
            taken = {
                name: value
                for name, value in weights.items()
                if name.startswith(("text_model.", "text_projection.")) and name in own
            }
            model.load_state_dict(taken, strict=False)

    def _begin_with(self, weights: dict[str, Tensor]) -> None:
        self.first = weights
        # The auxiliary heads of a finished model are gone: new ones would only disturb it.
        self.recipe = replace(self.recipe, auxiliary=0.0)

    def _draw_anew(self) -> None:
        self.rng = np.random.default_rng([self.recipe.seed, 3, self.step])
        self.generator.manual_seed(self.recipe.seed + self.step)

    def export(self) -> None:
        """Write the averaged weights in half precision, with tokenizer and image processor, as Hugging Face does."""
        self.out.mkdir(parents=True, exist_ok=True)
        shipped = copy.deepcopy(self.average)
        weights = shipped.state_dict()
        for name, first in self.first.items():
            weights[name].lerp_(first, self.recipe.keep)
        shipped.half().save_pretrained(self.out)
        save_tokenizer(self.tokenizer, self.out)
        self.family.processor().save_pretrained(self.out)


def train(
    data: Path,
    out: Path,
    recipe: Recipe,
    work: Path,
    resume: bool = False,
    start: Path | None = None,
    text_from: Path | None = None,
    threads: int = 2,
) -> None:
    """Train, leaving checkpoints and curves in `work` and the model in `out`.

    Args:
        data: folder with `normals`, `nih` and `kermany`, each with a manifest.
        out: where the model goes, in Hugging Face format.
        recipe: what to do.
        work: folder for `checkpoint.pt` and `curves.jsonl`.
        resume: go on from `work/checkpoint.pt` where it exists.
        start: a finished model with its training record, to begin with instead of random weights.
        text_from: a finished model whose text tower and tokenizer are taken; the image tower begins at random.
        threads: of torch.
    """
    work.mkdir(parents=True, exist_ok=True)
    normals = read_normals(data, "train")
    log.info("%d normal films", len(normals))
    with Simulator(normals, recipe.seed) as simulator:
        torch.set_num_threads(threads)
        trainer = _start(recipe, out, work, resume, start, text_from)
        simulator.progress.value = trainer.progress()
        films = Films(data, recipe, simulator, normals)
        films.fill(recipe.first)
        _loop(trainer, films, simulator, work)
    trainer.save(work / "checkpoint.pt")
    trainer.export()


def _start(
    recipe: Recipe, out: Path, work: Path, resume: bool, start: Path | None, text_from: Path | None = None
) -> Trainer:
    """A new trainer, or the one of the checkpoint or the model with the tokenizer it has learned with."""
    words, curves = work / "tokenizer", work / "curves.jsonl"
    if resume and (work / "checkpoint.pt").exists():
        trainer = Trainer(recipe, out, PreTrainedTokenizerFast.from_pretrained(words))
        trainer.load(work / "checkpoint.pt")
        log.info("resumed at step %d", trainer.step)
    elif start:
        trainer = Trainer(recipe, out, PreTrainedTokenizerFast.from_pretrained(start))
        rows = trainer.load_model(start)
        curves.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        save_tokenizer(trainer.tokenizer, words)
    elif text_from:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(text_from)
        if recipe.family != "clip":  # another kind begins and ends its texts otherwise
            tokenizer = make_tokenizer(0, FAMILIES[recipe.family])
        trainer = Trainer(recipe, out, tokenizer)
        trainer.take_text(text_from)
        save_tokenizer(trainer.tokenizer, words)
    else:
        trainer = Trainer(recipe, out)
        save_tokenizer(trainer.tokenizer, words)
    return trainer


def _loop(trainer: Trainer, films: Films, simulator: Simulator, work: Path) -> None:
    saved = time.monotonic()
    sums: dict[str, float] = {}
    since = trainer.step  # rows average over the steps since the last row
    with (work / "curves.jsonl").open("a", encoding="utf-8") as curves:
        (work / "recipe.json").write_text(json.dumps(asdict(trainer.recipe)))
        while trainer.progress() < 1:
            start = time.monotonic()
            losses = trainer.train_step(films.batch(trainer.rng))
            trainer.seconds += time.monotonic() - start
            simulator.progress.value = trainer.progress()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value
            if trainer.step % 50 == 0:
                row: dict[str, Any] = {"step": trainer.step, "minutes": round(trainer.seconds / 60, 2)}
                row |= {"simulated": films.simulated} | {
                    name: round(value / (trainer.step - since), 5) for name, value in sums.items()
                }
                curves.write(json.dumps(row) + "\n")
                curves.flush()
                log.info("%s", row)
                sums, since = {}, trainer.step
            if time.monotonic() - saved > 240:
                trainer.save(work / "checkpoint.pt")
                trainer.export()
                saved = time.monotonic()
