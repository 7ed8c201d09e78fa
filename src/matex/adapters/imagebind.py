"""ImageBind: the state dict `imagebind_huge.pth`, complete or with some of its modalities, as a `Model`.

The trunks are in `imagebind_network.py`, their encoders in `imagebind_encoders.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from matex.adapters.checkpoint import Tensors, fit, prefixes, read_tensors, refuse_incomplete, refuse_not_finite, unwrap
from matex.adapters.encoder import Encoder, Modality
from matex.adapters.imagebind_encoders import encoder_of
from matex.adapters.imagebind_network import (
    HUGE,
    MODALITIES,
    ImageBind,
    ImageBindConfig,
    ImuConfig,
    PatchConfig,
    TextConfig,
    config_of,
)
from matex.adapters.model import MODELS, Model, Options, Preparation, Similarity, Tokenizer
from matex.adapters.openai import find_clip_tokenizer
from matex.adapters.preprocessing import CLIP_MEAN, CLIP_STD, Preprocessing
from matex.adapters.sensor import SensorPreprocessing
from matex.adapters.sound import SoundPreprocessing
from matex.audio.imagebind import ImageBindSpectrogram
from matex.errors import CheckpointError, InputError, shown
from matex.sensors.reading import MODALITIES as SENSORS
from matex.sensors.reading import SensorModality

LICENCE = "CC BY-NC-SA 4.0"
PARTS = ("modality_preprocessors", "modality_trunks", "modality_heads", "modality_postprocessors")
MASK = "modality_preprocessors.text.mask"
"""The causal mask, which the published file stores next to the weights; it is checked and dropped."""
FAMILY = "ImageBind"
_EXPLAINED: tuple[Modality, ...] = ("image", "audio", "depth", "thermal", "imu", "text")


@MODELS("imagebind:")
def load_imagebind(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load ImageBind from its state dict (.pth, .pt, .safetensors), read with weights_only.

    Args:
        source: the file.
        name: shown in outputs; the source otherwise.
        options: tokenizer, folder or hub id with CLIP's tokenizer. Without it the checkpoint's own folder, an installed
            open_clip and the hub's cache are tried.

    Raises:
        CheckpointError: see `load_state`; another tokenizer than CLIP's.
    """
    options = options or Options()
    options.refuse("imagebind: files", "openai: files", "preset", "heads", "activation")
    path = Path(os.path.expanduser(source))
    loaded = load_state(path)
    tokenizer = find_clip_tokenizer(options, path.parent) if "text" in loaded.network.modalities else None
    return adapt(loaded.network, name or f"imagebind:{path.name}", tokenizer=tokenizer, notes=loaded.notes)


def adapt(network: ImageBind, name: str, *, tokenizer: Tokenizer | None = None, notes: Sequence[str] = ()) -> Model:
    """Wrap the trunks of a network as a `Model`, of which image and text are explained until `between` is called.

    Where one of these is absent, the pair is of the first two among image, audio, depth, thermal, imu and text.

    Raises:
        CheckpointError: another tokenizer than CLIP's, or fewer than two modalities.
    """
    encoders: dict[str, Encoder] = {
        _public(trunk): encoder_of(network, trunk, _public(trunk)) for trunk in network.modalities
    }
    pair: list[Modality] = [modality for modality in _EXPLAINED if modality in encoders]
    if len(pair) < 2:
        raise CheckpointError(
            f"Expected weights of at least two modalities in {name!r}, got "
            f"{', '.join(network.modalities)}. A map needs an input and what it is compared with."
        )
    config = network.config
    if tokenizer is not None:
        refuse_other_tokenizer(tokenizer, config.text)
    preparations: dict[Modality, Preparation] = {}
    if "image" in encoders:
        preparations["image"] = _images(config.vision)
    if "audio" in encoders:
        preparations["audio"] = _sounds(config.audio)
    preparations |= {sensor: _readings(sensor, config) for sensor in SENSORS if sensor in encoders}
    mapped, target = pair[0], "text" if "text" in pair else pair[1]
    scales: dict[Modality, float] = {_public(trunk): network.scale(trunk) for trunk in network.modalities}
    return Model(
        name=name,
        module=network,
        encoders=encoders,
        patch=preparations[mapped].patch,
        preprocessing=preparations[mapped].preprocessing,
        tokenizer=tokenizer,
        context=config.text.context,
        vocabulary=config.text.vocabulary,
        similarity=Similarity(scales[mapped] * scales[target]),
        missing=() if tokenizer else ("it has no tokenizer (give tokenizer= a folder with CLIP's tokenizer)",),
        record={"licence": LICENCE},
        notes=tuple(notes),
        sides=(mapped, target),
        preparations=preparations,
        scales=scales,
    )


def _public(trunk: str) -> Modality:
    """The modality of a trunk as matex names it."""
    return "image" if trunk == "vision" else cast(Modality, trunk)


def _images(config: PatchConfig) -> Preparation:
    preprocessing = Preprocessing(config.size, "crop", "bicubic", 1 / 255, CLIP_MEAN, CLIP_STD)
    return Preparation(preprocessing, (config.kernel, config.kernel))


def _sounds(config: PatchConfig) -> Preparation:
    shared = config.kernel - config.stride
    return Preparation(
        SoundPreprocessing(ImageBindSpectrogram(), config.size, (shared, shared)), (config.stride, config.stride)
    )


def _readings(sensor: SensorModality, config: ImageBindConfig) -> Preparation:
    size = config_of(config, sensor)
    if isinstance(size, PatchConfig):
        return Preparation(SensorPreprocessing(sensor, size.size), (size.stride, size.stride))
    assert isinstance(size, ImuConfig)
    return Preparation(SensorPreprocessing(sensor, (1, size.samples)), (1, size.kernel))


@dataclass(frozen=True)
class Loaded:
    """A network with the weights of a file.

    Args:
        network: holds the modalities that were loaded.
        absent: modalities that the file has no weights of.
        notes: what a reader must know of it: which modalities there are, when not all.
    """

    network: ImageBind
    absent: tuple[str, ...]
    notes: tuple[str, ...]


def load_state(
    path: Path,
    modalities: Iterable[str] | None = None,
    dtype: torch.dtype = torch.float32,
    config: ImageBindConfig | None = None,
) -> Loaded:
    """The trunks of a state dict as `imagebind_huge.pth` has it, without running code from the file.

    A file may hold some modalities only; each of these must be complete.

    Args:
        path: of the file (.pth, .pt, .safetensors).
        modalities: which to load; all that the file holds where None.
        dtype: of the weights.
        config: sizes of the trunks, since a file does not state the heads of attention; None for the published ones.

    Raises:
        CheckpointError: no file, not a state dict of ImageBind, weights that are missing, unexpected, of another
            shape or not finite, or a modality that is not there.
        InputError: a modality that ImageBind does not have.
    """
    wanted = None if modalities is None else tuple(modalities)
    for name in wanted or ():
        if name not in MODALITIES:
            raise InputError(f"Expected modalities among {', '.join(MODALITIES)}, got {shown(name)}. Leave it out.")
    source = str(path)
    tensors = unwrap(read_tensors(path), "modality_preprocessors.vision.cls_token", source)
    found = _modalities(tensors, source)
    chosen = found if wanted is None else tuple(name for name in MODALITIES if name in wanted)
    lacking = [name for name in chosen if name not in found]
    if lacking or not chosen:
        raise CheckpointError(
            f"Expected weights of {', '.join(lacking) or 'at least one modality'} in {shown(source)}, got a file with "
            f"{', '.join(found)}. Ask for these, or use the complete imagebind_huge.pth."
        )
    _refuse_other_mask(tensors.pop(MASK, None), source)
    selected = {name: tensor for name, tensor in tensors.items() if name.split(".")[1] in chosen}
    del tensors
    network = build(config or HUGE, chosen, selected, source)
    network.to(dtype)
    if dtype in (torch.float16, torch.bfloat16):
        refuse_not_finite(network.state_dict(), source)
    absent = tuple(name for name in MODALITIES if name not in found)
    notes = (f"The checkpoint holds {', '.join(found)}; it has no weights for {', '.join(absent)}.",) if absent else ()
    return Loaded(network, absent, notes)


def build(config: ImageBindConfig, modalities: Sequence[str], tensors: Tensors, source: str) -> ImageBind:
    """A network of these modalities with these weights, in float32; only the names decide what is built.

    Raises:
        CheckpointError: as `checkpoint.fit`.
    """
    with torch.device("meta"):
        network = ImageBind(config, modalities)
    fit(network, tensors, source, FAMILY)
    return network


def _modalities(tensors: Tensors, source: str) -> tuple[str, ...]:
    """The modalities that a state dict names.

    Raises:
        CheckpointError: names that are not ImageBind's.
    """
    places = {name: name.split(".") for name in tensors}
    foreign = [name for name, place in places.items() if place[0] not in PARTS or place[1:2] not in _KNOWN]
    if len(foreign) == len(tensors):
        before = prefixes(tensors, "modality_preprocessors.vision.cls_token")
        advice = f"Its names stand behind {before[0]!r}: save that part alone." if before else "Check the file."
        raise CheckpointError(
            f"Expected an ImageBind state dict in {shown(source)}, with names such as modality_trunks.vision..., got "
            f"names such as {shown(min(foreign))}. {advice}"
        )
    refuse_incomplete(source, (), foreign, FAMILY)
    held = {place[1] for place in places.values()}
    return tuple(name for name in MODALITIES if name in held)


_KNOWN = [[name] for name in MODALITIES]


def _refuse_other_mask(mask: Tensor | None, source: str) -> None:
    """Raise when the stored mask is not the causal one that attention is computed with.

    Raises:
        CheckpointError: another mask.
    """
    if mask is None:
        return
    side = mask.shape[0] if mask.dim() == 2 else 0
    causal = torch.full((side, side), -torch.inf).triu(1)
    if mask.shape != causal.shape or not torch.equal(mask.float(), causal):
        raise CheckpointError(
            f"Expected the causal mask in {MASK!r} of {shown(source)}, got other values. Use the published checkpoint."
        )


def refuse_other_tokenizer(tokenizer: Tokenizer, config: TextConfig) -> None:
    """Raise for another tokenizer than CLIP's, whose vocabulary ImageBind shares; its checkpoint has none.

    Raises:
        CheckpointError: a tokenizer that begins or ends phrases with other ids.
    """
    start, end = config.vocabulary - 2, config.vocabulary - 1
    ids = [int(number) for number in tokenizer("a")["input_ids"]]
    if len(ids) < 2 or ids[0] != start or ids[-1] != end or max(ids[1:-1], default=0) >= start:
        raise CheckpointError(
            f"Expected CLIP's tokenizer, which puts a phrase between the ids {start} and {end}, got {shown(ids)} for "
            "'a'. Give tokenizer= a folder or hub id with CLIP's tokenizer."
        )
