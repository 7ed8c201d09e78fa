"""Hugging Face hub ids, folders and models in memory: the family is chosen by the configuration's model_type."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from torch import nn

from matex.adapters import clap, clip, relatives, siglip, siglip2
from matex.adapters.folder import locate, read_json, read_weights, refuse_foreign
from matex.adapters.library import LibraryConfig, Network
from matex.adapters.model import MODELS, Model, Options, Tokenizer
from matex.adapters.preprocessing import Preprocessing, note_unstated, unstated
from matex.adapters.sound import SoundPreprocessing
from matex.adapters.tokenizer import given_tokenizer, load_tokenizer
from matex.checks import is_object
from matex.errors import CheckpointError, InputError, UnsupportedModel, shown
from matex.geometry import Size


def prepare_images(settings: Mapping[str, object], module: Network) -> Preprocessing:
    """The preprocessing of images, from the settings of an image processor and the size that a network reads."""
    return Preprocessing.from_processor(settings, image_size(module))


def prepare_siglip(settings: Mapping[str, object], module: Network) -> Preprocessing:
    """As `prepare_images`, for a family whose processors have other defaults than CLIP's.

    Raises:
        InputError: settings without the size, the mean or the deviation.
    """
    if absent := unstated(settings):
        raise InputError(
            f"Expected {', '.join(absent)} in preprocessor_config.json of a SigLIP, got none. Save the image processor "
            "again with save_pretrained, which writes all settings."
        )
    return prepare_images(settings, module)


class Family(NamedTuple):
    """A family of dual encoders of transformers.

    Args:
        build: a network from the configuration, the tensors of the files and their source.
        adapt: the `Model` around a network; keywords preprocessing, tokenizer, missing, notes.
        check_tokenizer: refuses a tokenizer that belongs to another model; tokenizer, configuration of the network, and
            source.
        prepare: the preprocessing from a processor's settings and the network.
    """

    build: Callable[[Mapping[str, object], Mapping[str, object], str], nn.Module]
    adapt: Callable[..., Model]
    check_tokenizer: Callable[[Tokenizer, LibraryConfig, str], None]
    prepare: Callable[[Mapping[str, object], Network], Preprocessing | SoundPreprocessing] = prepare_images


FAMILIES: Mapping[str, Family] = {
    "clip": Family(clip.from_folder, clip.adapt, clip.refuse_other_end),
    "siglip": Family(siglip.build, siglip.adapt, siglip.refuse_other_end, prepare_siglip),
    "siglip2": Family(siglip2.build, siglip2.adapt, siglip.refuse_other_end, siglip2.prepare),
    **dict.fromkeys(
        ("metaclip_2", "chinese_clip", "altclip"),
        Family(relatives.build, relatives.adapt, relatives.refuse_other_ends),
    ),
    "clap": Family(clap.build, clap.adapt, clap.refuse_other_ends, clap.prepare),
}
"""By the model_type of the configuration."""
_NOT_READ: Mapping[str, str] = {
    "align": "ALIGN, whose image tower is an EfficientNet",
    "flava": "FLAVA, whose embeddings of image and text were trained together with a third, multimodal encoder",
    "groupvit": "GroupViT, whose tokens are groups of patches that no grid holds",
}
"""Dual encoders of transformers that are not read, and what they are."""


@MODELS("hf:")
def load_hf(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load a dual encoder from a hub id or a local folder, weights from safetensors or read with weights_only.

    Args:
        source: hub id or folder with config.json and the weights.
        name: shown in outputs; the source otherwise.
        options: the tokenizer, and whether the hub may be contacted; the others do not belong to these families.

    Raises:
        CheckpointError: not found, broken, weights that miss or add names or hold NaN, or an adapter.
        UnsupportedModel: an architecture that is not supported, quantised weights, or code of its own.
    """
    options = options or Options()
    options.refuse("hf: models", "openai: files", "preset", "heads", "activation")
    if os.path.isfile(source):  # returns False, where pathlib raises, for names that no file system accepts
        raise CheckpointError(
            f"Expected a folder or a hub id after hf:, got the file {shown(source)}. OpenAI-format files load with "
            "openai:."
        )
    folder = locate(source, options.cached_only)
    config = read_json(folder, "config.json")
    refuse_foreign(folder, config)
    if config is None:  # the folder or the repository was found
        raise CheckpointError(
            f"Expected config.json in {shown(source)}, found none. Name the folder or hub id that holds the model; "
            "matex models lists the prefixes of other formats."
        )
    family = _family(config.get("model_type"), shown(source))
    weights = read_weights(folder)
    module: Network = family.build(config, weights.tensors, source)
    missing: list[str] = []
    preprocessor = read_preprocessor(folder)
    preprocessing = None
    notes = list(weights.notes)
    if preprocessor is None:
        missing.append("it has no preprocessing (preprocessor_config.json)")
    else:
        preprocessing = family.prepare(preprocessor, module)
        notes += note_unstated(preprocessor) if isinstance(preprocessing, Preprocessing) else ()
    given = options.tokenizer
    tokenizer = given_tokenizer(given, options.cached_only) if given else load_tokenizer(folder)
    if tokenizer is None:
        missing.append("it has no tokenizer (tokenizer.json, or vocab.json and merges.txt)")
    else:
        family.check_tokenizer(tokenizer, module.config, source)
    return family.adapt(
        module, name or f"hf:{source}", preprocessing=preprocessing, tokenizer=tokenizer, missing=missing, notes=notes
    )


def from_memory(
    module: nn.Module,
    *,
    preprocessing: Preprocessing | SoundPreprocessing | None,
    tokenizer: Tokenizer | None,
    missing: tuple[str, ...],
) -> Model:
    """Adapt a model of transformers that the caller holds, as it is: its device, its precision, its mode.

    Raises:
        UnsupportedModel: another family.
    """
    config: Network = getattr(module, "config", None)
    name = type(module).__name__
    if config is None:
        raise UnsupportedModel(
            f"Expected a dual encoder of transformers ({', '.join(FAMILIES)}), got {name}. Two encoders of your own go "
            "to matex.from_encoders."
        )
    family = _family(getattr(config, "model_type", None), name)
    if tokenizer is not None:
        family.check_tokenizer(tokenizer, config, name)
    return family.adapt(module, name, preprocessing=preprocessing, tokenizer=tokenizer, missing=missing)


def image_size(module: Network) -> Size:
    """(height, width) that a network of transformers reads, from its configuration."""
    return clip.pair(module.config.vision_config.image_size)


def preprocessing_of(settings: Mapping[str, object], module: Network) -> Preprocessing | SoundPreprocessing:
    """The preprocessing of a network of transformers, from the settings of its processor.

    Raises:
        UnsupportedModel: another family.
        InputError: settings that the family does not have.
    """
    return _family(getattr(module.config, "model_type", None), type(module).__name__).prepare(settings, module)


def _family(model_type: object, source: str) -> Family:
    if isinstance(model_type, str) and model_type in _NOT_READ:
        raise UnsupportedModel(
            f"Expected a checkpoint of model_type {', '.join(map(repr, FAMILIES))}, got {_NOT_READ[model_type]}, in "
            f"{source}. Its scores can be explained: matex.from_score."
        )
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise UnsupportedModel(
            f"Expected a checkpoint of model_type {', '.join(map(repr, FAMILIES))}, got {shown(model_type)} in "
            f"{source}. OpenAI-format state dicts load with openai:."
        )
    return FAMILIES[model_type]


def read_preprocessor(folder: Path) -> Mapping[str, object] | None:
    """Read the image processor's settings: processor_config.json of transformers 5, or preprocessor_config.json.

    Raises:
        CheckpointError: both files are there and differ in what they do to an image.
    """
    content = read_json(folder, "processor_config.json") or {}
    inner = content.get("image_processor", content.get("feature_extractor"))
    alone = read_json(folder, "preprocessor_config.json")
    if not is_object(inner):
        return alone
    if alone is not None:
        keys = set(inner) & set(alone) - {"image_processor_type", "processor_class"}
        differing = sorted(key for key in keys if inner[key] != alone[key])
        if differing:
            raise CheckpointError(
                f"Expected one preprocessing in {shown(str(folder))}, got two that differ in "
                f"{', '.join(differing[:3])}: processor_config.json and preprocessor_config.json. Delete the one that "
                "is out of date."
            )
    return inner
