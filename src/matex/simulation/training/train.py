"""Training loop of the bundled model: a CLIP from scratch, with auxiliary heads that are dropped at the end."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, PreTrainedTokenizerFast

from matex.simulation.phrases import FINDINGS, ClaimedSentence, all_canonical, sentence
from matex.simulation.training import objective
from matex.simulation.training.batches import Batch, Batches
from matex.simulation.training.families import FAMILIES, Family
from matex.simulation.training.muon import StackedMuon
from matex.simulation.training.pool import SIZE, Place, TrainingFilm
from matex.simulation.training.recipe import Recipe
from matex.simulation.training.source import PreparedElsewhere, SimulatedElsewhere, Source
from matex.simulation.training.vocabulary import radiology_words, read_tokenizer, save_tokenizer, train_tokenizer

log = logging.getLogger(__name__)


def make_tokenizer(seed: int, family: Family) -> PreTrainedTokenizerFast:
    """The tokenizer of the grammar and the radiology words."""
    rng = np.random.default_rng([seed, 2])
    texts = [one.text for one in _examples(rng, 8000)] + radiology_words() * 3
    return train_tokenizer(texts, 4000, family.length, family.bos)


def _examples(rng: np.random.Generator, count: int) -> Iterator[ClaimedSentence]:
    places = [Place(name, side, zone) for _, name, side, zone in all_canonical()]
    for _ in range(count):
        chosen = rng.choice(len(places), size=int(rng.integers(3)), replace=False)
        yield sentence([places[int(i)] for i in chosen], rng)


class Heads(nn.Module):
    """Auxiliary readouts that speed up early training and are discarded at its end."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patch = nn.Linear(width, len(FINDINGS))
        self.readout = nn.Linear(width, len(all_canonical()))
        self.scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-4.0))


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


class Trainer:
    """State of a training run, as stored in a checkpoint."""

    def __init__(
        self, recipe: Recipe, out: Path, tokenizer: PreTrainedTokenizerFast | None = None, device: str = "cpu"
    ) -> None:
        if recipe.family != "clip" and recipe.supervision == "place":
            raise ValueError(f"Expected supervision 'film' for a {recipe.family}: its patches have no embedding.")
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.out = out
        self.device = torch.device(device)
        self.family = FAMILIES[recipe.family]
        self.tokenizer = tokenizer or make_tokenizer(recipe.seed, self.family)
        # Eager attention: on a CPU its backward pass is faster than the fused one's, measured.
        self.model = self.family.model(self.tokenizer)
        self.model.set_attn_implementation("eager")
        # Large relative to the patch embeddings: otherwise the model locates nothing for hundreds of steps.
        nn.init.normal_(self.model.vision_model.embeddings.position_embedding.weight, std=0.2)
        self.heads = Heads(self.family.width)
        self.model.to(self.device)
        self.heads.to(self.device)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        named = [*self.model.named_parameters(), *self.heads.named_parameters()]
        blocks = [p for name, p in named if ".layers." in name and p.ndim == 2]
        others = [p for name, p in named if not (".layers." in name and p.ndim == 2)]
        groups = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": recipe.decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ]
        # In tensors: reading a number back from a GPU at every step would make it wait.
        self._rate = torch.zeros((), device=self.device)
        self._fade = torch.zeros((), device=self.device)
        self._pull = torch.zeros((), device=self.device)  # of the average towards the weights
        self.optimizers: list[torch.optim.Optimizer] = [
            StackedMuon(blocks, self._rate, recipe.decay),
            torch.optim.AdamW(groups, lr=self._rate, betas=(0.9, 0.98), fused=True),
        ]
        self.batches = Batches(recipe, self.tokenizer, [recipe.seed, 3])
        self.step = 0
        self.seconds = 0.0
        self.begun = (0, 0.0)  # step and seconds at the start of this schedule
        self.first: dict[str, Tensor] = {}  # weights of the model that the run started from
        self.phrases = len(all_canonical())

    def progress(self) -> float:
        step, seconds = self.begun
        if self.recipe.steps is not None:
            return (self.step - step) / self.recipe.steps
        return (self.seconds - seconds) / (60 * self.recipe.minutes)

    def train_step(self, films: Sequence[TrainingFilm]) -> dict[str, Tensor]:
        """One update with these films; returns the losses."""
        return self.update(self.batches.make(films, self.progress()))

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One update; returns the losses."""
        recipe, progress = self.recipe, self.progress()
        warm = (
            min(1.0, progress / recipe.warmup) if recipe.steps is None else min(1.0, (self.step - self.begun[0]) / 100)
        )
        self._rate.fill_(recipe.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))))
        self._fade.fill_(recipe.auxiliary * max(0.0, 1 - progress))
        self._pull.fill_(1 - min(recipe.average, (1 + self.step) / (10 + self.step)))
        losses = self._compute(batch)
        self.step += 1
        return {**losses, "rate": self._rate.clone()}

    def _compute(self, batch: Batch) -> dict[str, Tensor]:
        """Losses, gradients, new weights and their average."""
        batch = batch.to(self.device)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        losses = self._film_losses(batch) if self.recipe.supervision == "film" else self._place_losses(batch)
        torch.stack(list(losses.values())).sum().backward()
        norm = nn.utils.clip_grad_norm_([*self.model.parameters(), *self.heads.parameters()], 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            self.family.clamp(self.model)
            for mean, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(current, self._pull)
        return {name: value.detach() for name, value in losses.items()} | {"norm": norm}

    def _texts(self, batch: Batch) -> Tensor:
        """Unit embeddings [text, dim]; without a graph while the text tower is frozen."""
        frozen = self.progress() < self.recipe.frozen_text
        with torch.set_grad_enabled(not frozen), self._half():
            return self.family.texts(self.model, batch.tokens)

    def _half(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    def _readout(self, class_logits: Tensor, batch: Batch) -> Tensor:
        """Loss of predicting the true canonical phrases of a film from its readout token."""
        first = len(batch.affirmed)
        return 2 * self._fade * objective.balanced(class_logits, batch.truth[:, first : first + self.phrases], 10.0)

    def _film_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a run without localisation supervision."""
        texts = self._texts(batch)
        with self._half():
            image, readout = self.family.images(self.model, batch.pixels.expand(-1, 3, -1, -1))
            class_logits = self.heads.readout(readout).float()
        losses = self.family.losses(self.model, image, texts, batch.truth, batch.weights)
        if self.recipe.auxiliary > 0:
            losses["readout"] = self._readout(class_logits, batch)
        return losses

    def _place_losses(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of a run with localisation supervision: those of `_film_losses` and those of the covered patches."""
        recipe = self.recipe
        texts = self._texts(batch)
        with self._half():
            image, patches, hidden, attention = encode_images(self.model, batch.pixels.expand(-1, 3, -1, -1))
            class_logits = self.heads.readout(hidden[:, 0]).float()
            patch_logits = self.heads.patch(hidden[:, 1:]).float()
        losses = self.family.losses(self.model, image, texts, batch.truth, batch.weights)
        films = len(batch.pixels)
        own = slice(0, films)  # the films' own sentences; the fixed ones would double the cost
        usable = batch.known[:, None] & batch.affirmed & ~torch.isnan(batch.truth[:, own])
        near = self.heads.scale.exp() * torch.einsum("ind,pd->ipn", patches, texts[own]) + self.heads.bias
        losses["local"] = recipe.local * objective.local(near, batch.coverage, batch.meant[:, own], usable)
        canonical = slice(films, films + self.phrases)
        similarity = self.model.logit_scale.exp() * patches @ texts[canonical].T
        named = objective.named(similarity, batch.coverage, batch.meant[:, canonical])
        losses["patches"] = recipe.local * named
        guide = recipe.guide * max(0.0, 1 - self.progress() / 0.9)
        if guide > 0:
            losses["guide"] = guide * objective.guide(attention, batch.coverage.amax(dim=1))
        if recipe.auxiliary > 0:
            losses["readout"] = self._readout(class_logits, batch)
            losses |= self._patch_losses(batch, patch_logits)
        return losses

    def _patch_losses(self, batch: Batch, patch_logits: Tensor) -> dict[str, Tensor]:
        target = torch.einsum("isf,isn->inf", batch.kinds, batch.coverage).clamp(max=1)
        there = batch.known[:, None] & (target.sum(dim=-1) > 0.2)
        target = target.masked_fill(~batch.known[:, None, None], torch.nan)
        kind = F.cross_entropy(patch_logits[there], target[there].argmax(dim=-1))
        return {
            "patch": 2 * self._fade * objective.balanced(patch_logits, target, 20.0),
            "kind": 0.5 * self._fade * kind,
        }

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
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
            for group in optimizer.param_groups:
                group["lr"] = self._rate
        self.step, self.seconds = state["step"], state["seconds"]
        self.begun = state["begun"]
        if state["first"]:
            self._begin_with(state["first"])
        self.batches.draw_anew([self.recipe.seed, 3, self.step])

    def load_model(self, folder: Path) -> list[dict[str, Any]]:
        """Take the weights of a finished model, for a schedule of its own; returns its curves so far."""
        self._begin_with(CLIPModel.from_pretrained(folder, dtype=torch.float32).state_dict())
        self.model.load_state_dict(self.first)
        self.average.load_state_dict(self.first)
        curves = json.loads((folder / "training.json").read_text(encoding="utf-8"))["curves"]
        self.step, self.seconds = curves[-1]["step"], 60 * curves[-1]["minutes"]
        self.begun = (self.step, self.seconds)
        self.batches.draw_anew([self.recipe.seed, 3, self.step])
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
        theirs = read_tokenizer(folder).get_vocab()
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

    def export(self) -> None:
        """Write the averaged weights in half precision, with tokenizer and image processor, as Hugging Face does."""
        self.out.mkdir(parents=True, exist_ok=True)
        shipped = copy.deepcopy(self.average).cpu()
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
    workers: int = 1,
    device: str = "cpu",
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
        workers: processes that simulate films; for a GPU they also prepare the batches.
        device: where the model is trained, "cpu" or "cuda".
    """
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(threads)
    trainer = _start(recipe, out, work, resume, start, text_from, device)
    if device == "cuda":
        source: Source = PreparedElsewhere(data, trainer.recipe, work / "tokenizer", workers)
    else:
        source = SimulatedElsewhere(data, trainer.recipe, trainer.batches, workers)
    with source:
        _loop(trainer, source, work)
    trainer.save(work / "checkpoint.pt")
    trainer.export()


def _start(
    recipe: Recipe,
    out: Path,
    work: Path,
    resume: bool,
    start: Path | None,
    text_from: Path | None = None,
    device: str = "cpu",
) -> Trainer:
    """A new trainer, or the one of the checkpoint or the model with the tokenizer it has learned with."""
    words, curves = work / "tokenizer", work / "curves.jsonl"
    if resume and (work / "checkpoint.pt").exists():
        trainer = Trainer(recipe, out, read_tokenizer(words), device)
        trainer.load(work / "checkpoint.pt")
        log.info("resumed at step %d", trainer.step)
    elif start:
        trainer = Trainer(recipe, out, read_tokenizer(start), device)
        rows = trainer.load_model(start)
        curves.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        save_tokenizer(trainer.tokenizer, words)
    elif text_from:
        tokenizer = read_tokenizer(text_from)
        if recipe.family != "clip":  # another kind begins and ends its texts otherwise
            tokenizer = make_tokenizer(0, FAMILIES[recipe.family])
        trainer = Trainer(recipe, out, tokenizer, device)
        trainer.take_text(text_from)
        save_tokenizer(trainer.tokenizer, words)
    else:
        trainer = Trainer(recipe, out, device=device)
        save_tokenizer(trainer.tokenizer, words)
    return trainer


def _loop(trainer: Trainer, source: Source, work: Path) -> None:
    saved = time.monotonic()
    sums: dict[str, Tensor] = {}
    since = trainer.step  # rows average over the steps since the last row
    with (work / "curves.jsonl").open("a", encoding="utf-8") as curves:
        (work / "recipe.json").write_text(json.dumps(asdict(trainer.recipe)))
        batch = source.next(trainer.progress())
        clock = time.monotonic()  # from the first batch on: before it, films are simulated to begin with
        while trainer.progress() < 1:
            for name, value in trainer.update(batch).items():
                sums[name] = sums[name] + value if name in sums else value
            batch = source.next(trainer.progress())
            trainer.seconds, clock = trainer.seconds + time.monotonic() - clock, time.monotonic()
            if trainer.step % 50 == 0:
                row: dict[str, Any] = {"step": trainer.step, "minutes": round(trainer.seconds / 60, 2)}
                row |= {"simulated": source.simulated}
                row |= {name: round(value.item() / (trainer.step - since), 5) for name, value in sums.items()}
                curves.write(json.dumps(row) + "\n")
                curves.flush()
                log.info("%s", row)
                sums, since = {}, trainer.step
            if time.monotonic() - saved > 240:
                trainer.save(work / "checkpoint.pt")
                trainer.export()
                saved = time.monotonic()
