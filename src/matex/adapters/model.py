"""Interface of a model: encoders with a joint space, how their embeddings become a score, preprocessing, a tokenizer.

Everything specific to a third-party model library (attribute paths, token layout, pooling) stays in the file of its
family, next to this one.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol, TypedDict

import torch
from torch import Tensor, nn

from matex.adapters.encoder import Encoder, Modality
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.sensor import SensorPreprocessing
from matex.adapters.sound import SoundPreprocessing
from matex.adapters.unread import describe, unread_words
from matex.audio.sound import Sound
from matex.checks import MAX_PHRASE
from matex.errors import InputError, UnsupportedModel, shown
from matex.geometry import Placement, Resize, Size
from matex.images import Film
from matex.registry import Registry
from matex.sensors.reading import SensorFilm


class Encoded(NamedTuple):
    """Token ids of a phrase and the character span of each token (equal ends for special tokens).

    `notes` names the words that the model cannot have understood.
    """

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    notes: tuple[str, ...] = ()


class TokenIds(TypedDict):
    """A phrase as a tokenizer returns it: ids, and the characters of each, (start, end)."""

    input_ids: Sequence[int]
    offset_mapping: Sequence[tuple[int, int]]


class Tokenizer(Protocol):
    """Part of the interface of a fast Hugging Face tokenizer that matex uses."""

    @property
    def all_special_ids(self) -> Sequence[int]: ...

    def convert_ids_to_tokens(self, ids: int) -> str | list[str]: ...

    def __call__(self, text: str, **options: bool) -> TokenIds: ...


MODELS: Registry[Callable[..., Model]] = Registry("model")


@dataclass(frozen=True)
class Options:
    """Options of `matex.load` about a checkpoint; each family accepts those that its format leaves unspecified.

    Args:
        preset: activation and normalisation of an OpenAI-format file, by name.
        tokenizer: folder or hub id.
        heads: attention heads of the image and of the text tower.
        activation: of the feed-forward parts, as transformers names it.
        cached_only: do not contact the model hub.
    """

    preset: str | None = None
    tokenizer: str | None = None
    heads: tuple[int, int] | None = None
    activation: str | None = None
    cached_only: bool = False

    def refuse(self, family: str, owner: str, *names: str) -> None:
        """Refuse options that do not apply to a family.

        Raises:
            InputError: one of them was given.
        """
        for name in names:
            if (value := getattr(self, name)) is not None:
                raise InputError(f"Expected no {name} with {family}, got {shown(value)}. It belongs to {owner}.")


@dataclass(frozen=True)
class Similarity:
    """Conversion of the cosine of two embeddings to the logit of a model's training.

    Args:
        scale: factor on the cosine, the inverse temperature.
        bias: added to the scaled cosine.
        kind: "softmax" over a batch or a set of phrases (CLIP), "sigmoid" of each pair by itself (SigLIP), or "score"
            where a model of which only scores are known does not say.
    """

    scale: float = 100.0
    bias: float = 0.0
    kind: Literal["softmax", "sigmoid", "score"] = "softmax"

    def probability(self, cosine: float) -> float | None:
        """That a pair belongs together, by the model; None where it only compares phrases with each other."""
        if self.kind != "sigmoid":
            return None
        logit = self.scale * cosine + self.bias
        smaller = math.exp(-abs(logit))  # never overflows
        return (smaller if logit < 0 else 1.0) / (1 + smaller)


class Preparation(NamedTuple):
    """Preprocessing of one modality's inputs.

    Args:
        preprocessing: films, sounds or readings of sensors to the encoder's input.
        patch: (height, width) of one patch in that input, or the distance of two where they overlap.
        cells: see `Placement`; None where the last grid is that of complete patches.
    """

    preprocessing: Preprocessing | SoundPreprocessing | SensorPreprocessing
    patch: Size
    cells: Size | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """Encoders with a joint embedding space, preprocessing and a tokenizer.

    A model explains a pair of its encoders: image and text, or what `between` names.

    Args:
        name: as given to `matex.load`.
        module: the network whose parts the encoders call.
        encoders: by modality.
        patch: (height, width) of one patch, model pixels.
        preprocessing: films to pixels; None when the checkpoint has none.
        tokenizer: a fast Hugging Face tokenizer; None when the checkpoint has none.
        context: longest token sequence, special tokens included.
        vocabulary: number of token ids.
        similarity: what the model makes of a cosine.
        missing: what `explain` needs and the checkpoint does not contain, as one line each.
        record: further facts for the provenance (preset, activation, training record).
        notes: remarks on the model's files that belong to every explanation.
        cells: see `Placement`; None where the last grid is that of whole patches.
        sides: modalities of the pair that is explained: whose map is a picture, and what it is compared with.
        preparations: by modality, of a model with more than images and texts.
        scales: by modality, of such a model: the scale of a pair is the product of its sides'.
    """

    name: str
    module: nn.Module
    encoders: Mapping[str, Encoder]
    patch: Size
    preprocessing: Preprocessing | SoundPreprocessing | SensorPreprocessing | None
    tokenizer: Tokenizer | None
    context: int
    vocabulary: int
    similarity: Similarity = Similarity()
    missing: tuple[str, ...] = ()
    record: Mapping[str, object] = field(default_factory=dict[str, object])
    notes: tuple[str, ...] = ()
    cells: Size | None = None
    sides: tuple[Modality, Modality] = ("image", "text")
    preparations: Mapping[Modality, Preparation] = field(default_factory=dict[Modality, Preparation])
    scales: Mapping[Modality, float] = field(default_factory=dict[Modality, float])
    _hashes: dict[Hashable, str] = field(default_factory=dict[Hashable, str], repr=False)

    def __repr__(self) -> str:
        """One line: name, patch, longest phrase, device."""
        rows, columns = self.patch
        return f"Model({self.name!r}, patch {rows}x{columns}, {self.context} tokens, on {self.device})"

    @property
    def image(self) -> Encoder:
        """The side whose map is a picture: the image, or the sound of a pair that `between` made."""
        return self.encoders[self.sides[0]]

    @property
    def text(self) -> Encoder:
        """The other side: the words, or the image or sound that is compared with."""
        return self.encoders[self.sides[1]]

    def between(self, mapped: Modality, target: Modality) -> Model:
        """The same model, of which another pair of encoders is explained.

        Args:
            mapped: of the input that gets a map.
            target: of what it is compared with.

        Raises:
            UnsupportedModel: an encoder that the model does not have, or text as the first side.

        Examples:
            >>> model.between("image", "text") is model
            True
        """
        if (mapped, target) == self.sides:
            return self
        for modality in (mapped, target):
            if modality not in self.encoders:
                owners = "imagebind: models and CLAP have one" if modality == "audio" else "imagebind: models have one"
                advice = "" if modality in ("image", "text") else f" {owners}."
                raise UnsupportedModel(
                    f"Expected a model with an encoder of {modality}, got {self.name!r} with "
                    f"{', '.join(self.encoders)}.{advice}"
                )
        if mapped == "text":
            raise UnsupportedModel(
                "Expected an image or a sound as the first side, whose map is a picture, got text. Exchange the sides."
            )
        similarity = self.similarity
        if self.scales:
            similarity = replace(similarity, scale=self.scales[mapped] * self.scales[target])
        return replace(
            self,
            sides=(mapped, target),
            similarity=similarity,
            preprocessing=self.preprocessing_of(mapped),
            patch=self.patch_of(mapped),
            cells=self.cells_of(mapped),
        )

    def preprocessing_of(self, modality: Modality) -> Preprocessing | SoundPreprocessing | SensorPreprocessing | None:
        """Preprocessing of a modality; None where the checkpoint does not state it."""
        known = self.preparations.get(modality)
        return self.preprocessing if known is None else known.preprocessing

    def patch_of(self, modality: Modality) -> Size:
        """(height, width) of one patch of a modality's encoder, or the distance of two where they overlap."""
        known = self.preparations.get(modality)
        return self.patch if known is None else known.patch

    def cells_of(self, modality: Modality) -> Size | None:
        """(rows, columns) of a grid that covers the input of a modality's encoder evenly; see `Placement`."""
        known = self.preparations.get(modality)
        return self.cells if known is None else known.cells

    def overlap_of(self, modality: Modality) -> Size:
        """(height, width) that neighbouring patches of a modality's encoder share."""
        preprocessing = self.preprocessing_of(modality)
        return preprocessing.overlap if isinstance(preprocessing, SoundPreprocessing) else (0, 0)

    @property
    def logit_scale(self) -> float:
        """Factor on the cosine similarity, the inverse temperature."""
        return self.similarity.scale

    @property
    def device(self) -> torch.device:
        return next((weight.device for weight in self.module.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        return next((weight.dtype for weight in self.module.parameters()), torch.float32)

    def prepare(self, film: Film, resize: Resize = "model") -> tuple[Tensor, Placement]:
        """Preprocess a film or sound: [1, channel, height, width] on the model's device, and their Placement.

        Raises:
            InputError: the checkpoint has no preprocessing; a sound where the encoder reads images.
        """
        if self.preprocessing is None:
            raise InputError(self._without("preprocessing"))
        if isinstance(film, SensorFilm) and film.modality != self.sides[0]:
            raise InputError(f"Expected {self.sides[0]} as the input, got {film.modality}. See `Model.between`.")
        if isinstance(film, Sound) and self.sides[0] != "audio":
            raise InputError(
                "Expected an image, got the spectrogram of a sound. matex.explain and compare take sounds."
            )
        pixels, placement = self.preprocessing(film, self.patch, resize)
        return pixels.to(self.device, self.dtype), replace(placement, cells=self.cells)

    def encode(self, text: str) -> Encoded:
        """Tokenize a phrase, special tokens included, without padding.

        Raises:
            InputError: no tokenizer, an empty phrase, one above `MAX_PHRASE` characters or longer than the model reads,
                or a tokenizer with ids that the model has no embedding for.
        """
        if self.tokenizer is None:
            raise InputError(self._without("tokenizer"))
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected a phrase as a string, got {type(text).__name__}.")
        if len(text) > MAX_PHRASE:  # before the tokenizer, whose run time grows with the length
            raise InputError(
                f"Expected a phrase of at most {MAX_PHRASE} characters, got {len(text)}. Shorten it, or explain a "
                "whole report sentence by sentence (matex explain --report FILE)."
            )
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise InputError("Expected a phrase in valid Unicode, got bytes that are none. Check its encoding.")
        if all(unicodedata.category(letter)[0] in "PZC" for letter in text):  # punctuation, spaces, controls
            got = "an empty text" if not text.strip() else f"a text without words: {shown(text)}"
            raise InputError(f"Expected a phrase such as 'opacity in the left lower lung', got {got}.")
        encoded = self.tokenizer(text, return_offsets_mapping=True)
        ids = tuple(int(i) for i in encoded["input_ids"])
        unknown: int | None = getattr(self.tokenizer, "unk_token_id", None)
        ends = {ids[0], ids[-1]} if ids else set[int]()
        special = (set(self.tokenizer.all_special_ids) - ({unknown} - ends)) & set(ids[1:-1])
        if special:
            token = shown(self.tokenizer.convert_ids_to_tokens(min(special)))
            raise InputError(
                f"Expected plain words, got {token}, which the model reads as a special token. Leave it out."
            )
        if len(ids) > self.context:
            raise InputError(
                f"Expected a phrase of at most {self.context} tokens, got {len(ids)}. Shorten it, or explain a whole "
                "report sentence by sentence (matex explain --report FILE)."
            )
        if ids and max(ids) >= self.vocabulary:
            raise InputError(
                f"Expected token ids below {self.vocabulary}, which the model has embeddings for, got {max(ids)}. "
                "The tokenizer is another model's: give the model's own."
            )
        spans = tuple((int(a), int(b)) for a, b in encoded["offset_mapping"])
        unread = unread_words(text, ids, spans, unknown)
        return Encoded(ids, spans, (describe(unread),) if unread else ())

    def batch(self, phrases: Sequence[Encoded]) -> Tensor:
        """Stack token ids of several phrases into [phrase, token], padded as the model was trained."""
        return self.text.collate([phrase.ids for phrase in phrases]).to(self.device)

    @property
    def weights_sha256(self) -> str | None:
        """Hash of the names and values of all weights, independent of the file format; None for a black box."""
        weights = sorted(self.module.state_dict().items())
        if not weights:
            return None
        # Hashing reads every weight: reused until a tensor is changed in place (_version) or replaced (data_ptr).
        state = tuple((name, tensor.data_ptr(), tensor._version) for name, tensor in weights)
        if state not in self._hashes:
            digest = hashlib.sha256()
            for name, tensor in weights:
                digest.update(name.encode())
                digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
            self._hashes.clear()
            self._hashes[state] = digest.hexdigest()
        return self._hashes[state]

    def _without(self, what: str) -> str:
        lacking = [line for line in self.missing if what in line] or [f"no {what}"]
        return f"Cannot explain with {self.name!r}: {'; '.join(lacking)}. matex.attribute takes prepared inputs."


def check_model(model: object) -> None:
    """Refuse anything but a loaded model, naming the call that loads it.

    Raises:
        InputError: a name, a module of another library, or an object of another type.
    """
    if isinstance(model, Model):
        return
    if isinstance(model, str):
        raise InputError(f"Expected a model, got its name. Load it first: matex.load({shown(model)}).")
    advice = "matex.load(module)" if isinstance(model, nn.Module) else 'matex.load("tiny")'
    raise InputError(f"Expected a model that matex.load returned, got {type(model).__name__}. Write {advice}.")


WORD = re.compile(r"\w+(?:[-/'.]\w+)*")
"""A word of a phrase; punctuation alone is none."""


def words(text: str, spans: Sequence[tuple[int, int]], scores: Sequence[float]) -> tuple[tuple[str, float], ...]:
    """Sum token scores over the words of the phrase, in reading order."""
    totals: list[tuple[str, float]] = []
    for match in WORD.finditer(text):
        inside = [s for (a, b), s in zip(spans, scores, strict=True) if a < match.end() and b > match.start()]
        totals.append((match.group(), float(sum(inside))))
    return tuple(totals)
