"""Relatives of CLIP in transformers: MetaCLIP 2, Chinese-CLIP and AltCLIP. Their image towers are CLIP's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from matex.adapters.bert import BertEncoder
from matex.adapters.checkpoint import scale_of
from matex.adapters.clip import image_tower, published_names, text_tower
from matex.adapters.encoder import Encoder
from matex.adapters.library import LibraryConfig, Network, build_as
from matex.adapters.model import Model, Similarity, Tokenizer
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.tokenizer import has_ends
from matex.errors import CheckpointError, UnsupportedModel, shown

_CLASSES = {"metaclip_2": "MetaClip2Model", "chinese_clip": "ChineseCLIPModel", "altclip": "AltCLIPModel"}


@dataclass(frozen=True, eq=False)
class RobertaEncoder(BertEncoder):
    """A BERT whose positions are counted from behind the padding's id, as RoBERTa's are."""

    first: int = field(kw_only=True)

    def _embed(self, words: Tensor) -> Tensor:
        parts = self.bert.embeddings
        positions = parts.position_embeddings.weight[self.first : self.first + words.shape[1]]
        return parts.LayerNorm(words + parts.token_type_embeddings.weight[0] + positions)


def build(config: Mapping[str, object], tensors: Mapping[str, object], source: str) -> nn.Module:
    """Build the model of transformers that the configuration names.

    Raises:
        CheckpointError: weights that do not fit the configuration.
    """
    names = published_names(tensors, source)
    return build_as(_CLASSES[str(config["model_type"])], config, names, source, {".encoder.layer.": ".encoder.layers."})


def adapt(
    module: Network,
    name: str,
    *,
    preprocessing: Preprocessing | None,
    tokenizer: Tokenizer | None,
    missing: Iterable[str] = (),
    notes: Iterable[str] = (),
) -> Model:
    """Wrap transformers' MetaClip2Model, ChineseCLIPModel or AltCLIPModel as a `Model` without changing it.

    Raises:
        UnsupportedModel: a BERT with another activation than GELU.
        CheckpointError: a temperature that is no finite number above 0.
    """
    vision = getattr(module.vision_model, "vision_model", module.vision_model)
    image, sizes = image_tower(vision, module.visual_projection), module.config.text_config
    return Model(
        name=name,
        module=module,
        encoders={"image": image, "text": _text(module, name)},
        patch=image.patch,
        preprocessing=preprocessing,
        tokenizer=tokenizer,
        context=sizes.max_position_embeddings - (sizes.pad_token_id + 1 if _counts_from_padding(module) else 0),
        vocabulary=sizes.vocab_size,
        similarity=Similarity(scale_of(module.logit_scale, name)),
        missing=tuple(missing),
        notes=tuple(notes),
    )


def _counts_from_padding(module: Network) -> bool:
    return module.config.model_type == "altclip"


def _text(module: Network, name: str) -> Encoder:
    """The text encoder: CLIP's for MetaCLIP 2, otherwise a BERT or RoBERTa that is read at its first token."""
    text, sizes = module.text_model, module.config.text_config
    if module.config.model_type == "metaclip_2":
        return text_tower(getattr(text, "text_model", text), module.text_projection, old_ends=False)
    if sizes.hidden_act != "gelu":
        raise UnsupportedModel(f"Expected a text tower with GELU in {name!r}, got {shown(sizes.hidden_act)}.")
    if not _counts_from_padding(module):
        return BertEncoder(text, module.text_projection, "first", padding=sizes.pad_token_id)
    head = nn.Sequential(text.pre_LN, text.transformation, module.text_projection)
    padding = sizes.pad_token_id
    return RobertaEncoder(text.roberta, head, "first", padding=padding, first=padding + 1)


def refuse_other_ends(tokenizer: Tokenizer, config: LibraryConfig, source: str) -> None:
    """Raise when the tokenizer does not put a special token before and behind a phrase.

    Raises:
        CheckpointError: the tokenizer belongs to another model.
    """
    ids = [int(number) for number in tokenizer("a")["input_ids"]]
    if not ids or max(ids) >= config.text_config.vocab_size:
        return  # refused by `Model.encode`, which can name the phrase
    other = config.model_type == "metaclip_2" and ids[-1] != config.text_config.eos_token_id
    if other or not has_ends(tokenizer):
        raise CheckpointError(
            f"Expected a tokenizer that puts special tokens before and behind a phrase, as {shown(source)} was "
            f"trained, got ids {ids[:4]} for 'a'. Give the model's own tokenizer."
        )
