"""CLAP of transformers: a Swin over spectrograms (HTSAT) and RoBERTa, read as sound and text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from matex.adapters.checkpoint import scale_of, unwrap, without_buffers
from matex.adapters.grid import GridEncoder, no_attention
from matex.adapters.library import LibraryConfig, Network, build_as
from matex.adapters.model import Model, Preparation, Similarity, Tokenizer
from matex.adapters.relatives import RobertaEncoder
from matex.adapters.sound import SoundPreprocessing, Spectrograms
from matex.audio.clap import FRAMES, ClapSpectrogram
from matex.errors import CheckpointError, InputError, UnsupportedModel, shown
from matex.geometry import Size

_MEAN_ALONE = "its projection is not linear and was trained with the mean of the tokens alone"
_SETTINGS = {
    "feature_size": 64,
    "sampling_rate": 48_000,
    "hop_length": 480,
    "max_length_s": 10,
    "fft_window_size": 1024,
}
_LOWEST = (0, 50)  # Hz, of the mel filters that `matex.audio.kinds` holds


@dataclass(frozen=True, eq=False)
class Htsat:
    """The stages of CLAP's audio encoder over grids of (frequency, time).

    The library folds a long spectrogram into a square image, `fold` pieces of time on top of each other; here grids are
    unfolded after every stage, so that rows are frequencies from the lowest on and columns are times.

    Args:
        encoder: transformers' ClapAudioEncoder.
        projection: from the mean of the last stage's tokens to the joint space.
    """

    encoder: Network
    projection: nn.Module

    @property
    def depth(self) -> int:
        return len(self.encoder.layers)

    @property
    def fold(self) -> int:
        """Pieces of time on top of each other in the library's image."""
        return self.encoder.freq_ratio

    def grid(self, size: Size) -> Size:
        rows, columns = self.encoder.input_resolutions[-1]
        return (rows // self.fold, columns * self.fold)

    def start(self, pixels: Tensor) -> Tensor:
        """Spectrograms [item, 1, bin, frame] to the first stage's input."""
        # The library has time before frequency, and norms each bin.
        normed = self.encoder.batch_norm(pixels.transpose(1, 2)).permute(0, 2, 3, 1)
        image = self.encoder.reshape_mel2img(normed)
        return self._unfolded(self.encoder.patch_embed(image), self.encoder.input_resolutions[0])

    def stage(self, layer: int, hidden: Tensor) -> Tensor:
        """Run one stage: merging of the stage below, then the blocks."""
        size = self.encoder.input_resolutions[layer]
        tokens = self._folded(hidden)
        if layer:
            tokens = self.encoder.layers[layer - 1].downsample(tokens, self.encoder.input_resolutions[layer - 1])
        for block in self.encoder.layers[layer].blocks:
            tokens = block(tokens, size)[0]
        return self._unfolded(tokens, size)

    def pool(self, hidden: Tensor) -> Tensor:
        return self.projection(self.encoder.norm(hidden).mean(dim=(1, 2)))

    def parts(self) -> dict[str, list[nn.Module]]:
        layers = self.encoder.layers
        blocks = {
            f"block {layer}": [layers[layer].blocks, *([layers[layer - 1].downsample] if layer else [])]
            for layer in reversed(range(self.depth))
        }
        below = [self.encoder.patch_embed, self.encoder.batch_norm]
        return {"projection": [self.projection], "norm": [self.encoder.norm], **blocks, "embeddings": below}

    def _unfolded(self, tokens: Tensor, size: Size) -> Tensor:
        """Tokens of the library's image [item, token, dim] as a grid [item, frequency, time, dim]."""
        image = torch.unflatten(tokens, 1, (self.fold, size[0] // self.fold, size[1]))
        return image.transpose(1, 2).flatten(2, 3)

    def _folded(self, hidden: Tensor) -> Tensor:
        """The inverse of `_unfolded`."""
        return torch.unflatten(hidden, 2, (self.fold, -1)).transpose(1, 2).flatten(1, 3)


@dataclass(frozen=True, eq=False)
class AudioEncoder(Spectrograms, GridEncoder):
    """CLAP's audio encoder; windows of a Swin have no attention over the whole spectrogram."""

    silence: float = -100.0
    modality: Literal["audio"] = "audio"  # pyright: ignore[reportIncompatibleVariableOverride]


def adapt(
    module: Network,
    name: str,
    *,
    preprocessing: SoundPreprocessing | None,
    tokenizer: Tokenizer | None,
    missing: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> Model:
    """Wrap transformers' ClapModel as a `Model` without changing it.

    Raises:
        UnsupportedModel: feature fusion, a text encoder with another activation than GELU, or a model in training mode.
        CheckpointError: a scale that is no finite number above 0.
    """
    config, encoder = module.config, module.audio_model.audio_encoder
    if encoder.enable_fusion:
        raise UnsupportedModel(
            f"Expected a CLAP without feature fusion (clap-htsat-unfused), got {name!r} with it: it reads random parts "
            "of a recording."
        )
    if module.training:  # the norm of the bins would learn from what is explained
        raise UnsupportedModel(f"Expected {name!r} in evaluation mode, got training mode. Call eval() first.")
    if config.text_config.hidden_act != "gelu":
        raise UnsupportedModel(f"Expected a text encoder with GELU, got {shown(config.text_config.hidden_act)}.")
    network = Htsat(encoder, module.audio_projection)
    size, cells = (config.audio_config.num_mel_bins, FRAMES), network.grid((0, 0))
    patch = (size[0] // cells[0], size[1] // cells[1])
    needs = {
        **no_attention("a Swin transformer", "spectrogram"),
        "relu": "this encoder's activation is gelu",
        "joint tokens": _MEAN_ALONE,
    }
    audio = AudioEncoder(network, size, patch, needs)
    text = module.text_model
    words = RobertaEncoder(
        text,
        nn.Sequential(text.pooler.dense, text.pooler.activation, module.text_projection),
        "first",
        padding=config.text_config.pad_token_id,
        first=config.text_config.pad_token_id + 1,
    )
    prepared = preprocessing or SoundPreprocessing(ClapSpectrogram(), size)
    return Model(
        name=name,
        module=module,
        encoders={"audio": audio, "text": words},
        patch=patch,
        preprocessing=preprocessing,
        tokenizer=tokenizer,
        context=config.text_config.max_position_embeddings - config.text_config.pad_token_id - 1,
        vocabulary=config.text_config.vocab_size,
        similarity=Similarity(scale_of(module.logit_scale_a, name, "logit_scale_a")),
        missing=tuple(missing),
        notes=tuple(notes),
        cells=cells,
        sides=("audio", "text"),
        preparations={"audio": Preparation(prepared, patch, cells)},
    )


def build(config: Mapping[str, object], tensors: Mapping[str, object], source: str) -> nn.Module:
    """Build transformers' ClapModel with these weights.

    Raises:
        CheckpointError: weights that do not fit the configuration.
    """
    names = unwrap(tensors, "audio_projection.linear1.weight", source)
    counted = {name: one for name, one in without_buffers(names).items() if not name.endswith("token_type_ids")}
    return build_as("ClapModel", config, counted, source)


def prepare(settings: Mapping[str, object], module: Network) -> SoundPreprocessing:
    """Read the settings of a ClapFeatureExtractor.

    Raises:
        InputError: another spectrogram than that of the published checkpoints without fusion.
    """
    lowest, highest = settings.get("frequency_min", 0), settings.get("frequency_max", 14_000)
    for name, wanted in _SETTINGS.items():
        if settings.get(name, wanted) != wanted:
            raise InputError(f"Expected {name} {wanted} of a CLAP feature extractor, got {shown(settings[name])}.")
    if settings.get("padding", "repeatpad") != "repeatpad" or settings.get("truncation") != "rand_trunc":
        raise InputError(
            "Expected padding 'repeatpad' and truncation 'rand_trunc' of a CLAP without fusion, got "
            f"{shown(settings.get('padding'))} and {shown(settings.get('truncation'))}."
        )
    if lowest not in _LOWEST or highest != 14_000:
        raise InputError(f"Expected mel filters from 0 or 50 to 14000 Hz, got {shown(lowest)} to {shown(highest)} Hz.")
    return SoundPreprocessing(ClapSpectrogram(int(lowest)), (module.config.audio_config.num_mel_bins, FRAMES))


def refuse_other_ends(tokenizer: Tokenizer, config: LibraryConfig, source: str) -> None:
    """Raise when the tokenizer does not begin and end phrases as RoBERTa was trained.

    Raises:
        CheckpointError: the tokenizer belongs to another model.
    """
    ids, text = [int(number) for number in tokenizer("a")["input_ids"]], config.text_config
    if not ids or max(ids) >= text.vocab_size:
        return  # refused by `Model.encode`, which can name the phrase
    if (ids[0], ids[-1]) != (text.bos_token_id, text.eos_token_id):
        raise CheckpointError(
            f"Expected a tokenizer that puts phrases between the ids {text.bos_token_id} and {text.eos_token_id}, as "
            f"{shown(source)} was trained, got {ids[0]} and {ids[-1]}. Give the model's own tokenizer."
        )
