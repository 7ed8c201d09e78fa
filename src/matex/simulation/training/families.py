"""The two kinds of dual encoder that can be trained: architecture, encoding and loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

from matex.simulation.training import objective
from matex.simulation.training.pool import SIZE

Name = Literal["clip", "siglip"]
PATCH = 8
MEAN, STD = 0.5, 0.25
IMAGE = {
    "hidden_size": 192,
    "intermediate_size": 576,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "image_size": SIZE,
    "patch_size": PATCH,
}
TEXT = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3, "num_attention_heads": 4}


class Family(Protocol):
    """Operations of a kind of model that the training loop uses."""

    length: int
    """Most tokens of a text."""
    bos: bool
    """Whether a text begins with a token of its own."""
    width: int
    """Of the vector that `images` returns for the auxiliary readout."""

    def model(self, tokenizer: PreTrainedTokenizerFast) -> Any:
        """A model with random weights."""
        ...

    def processor(self) -> Any:
        """Image processor that squashes to a square: a radiograph must not be cropped."""
        ...

    def images(self, model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Unit embeddings of films [batch, joint], and the pooled vector before the projection [batch, width]."""
        ...

    def tokens(self, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> dict[str, Tensor]:
        """Input of the text tower, each [text, position]."""
        ...

    def texts(self, model: Any, tokens: Mapping[str, Tensor]) -> Tensor:
        """Unit embeddings [text, joint]."""
        ...

    def losses(self, model: Any, image: Tensor, text: Tensor, truth: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Losses of films against sentences.

        Args:
            model: with its scale and bias.
            image: unit embeddings [image, joint].
            text: unit embeddings [text, joint].
            truth: [image, text]; 1 true, 0 false, NaN unknown.
            weights: how much a true sentence counts [text].
        """
        ...

    def clamp(self, model: Any) -> None:
        """Keep the scale in its range after a step."""
        ...


class Clip:
    """CLIP: CLS, causal text, softmax over the batch in both directions."""

    length = 48
    bos = True
    width = IMAGE["hidden_size"]

    def model(self, tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
        text = {
            **TEXT,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": self.length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "projection_dim": 128,
        }
        return CLIPModel(
            CLIPConfig(
                projection_dim=128,
                logit_scale_init_value=math.log(1 / 0.07),
                text_config=text,
                vision_config={**IMAGE, "projection_dim": 128},
            )
        )

    def processor(self) -> CLIPImageProcessor:
        size = {"height": SIZE, "width": SIZE}
        return CLIPImageProcessor(
            size=size, do_center_crop=False, crop_size=size, image_mean=[MEAN] * 3, image_std=[STD] * 3
        )

    def images(self, model: CLIPModel, pixels: Tensor) -> tuple[Tensor, Tensor]:
        output = model.vision_model(pixels, interpolate_pos_encoding=pixels.shape[-1] != SIZE)
        joint = F.normalize(model.visual_projection(output.pooler_output).float(), dim=-1)
        return joint, output.last_hidden_state[:, 0]

    def tokens(self, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> dict[str, Tensor]:
        tokens = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        return {"input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask}

    def texts(self, model: CLIPModel, tokens: Mapping[str, Tensor]) -> Tensor:
        pooled = model.text_model(**tokens).pooler_output
        return F.normalize(model.text_projection(pooled).float(), dim=-1)

    def losses(
        self, model: CLIPModel, image: Tensor, text: Tensor, truth: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        similarity = model.logit_scale.exp() * image @ text.T
        return {
            "image": objective.contrastive(similarity, truth, weights),
            "text": objective.contrastive(similarity.T, truth.T, similarity.new_ones(len(image))),
        }

    def clamp(self, model: CLIPModel) -> None:
        model.logit_scale.clamp_(0, math.log(50.0))


class Siglip:
    """SigLIP: attention pooling, bidirectional text padded to its full length, a sigmoid for every pair."""

    length = 32
    bos = False
    width = IMAGE["hidden_size"]

    def model(self, tokenizer: PreTrainedTokenizerFast) -> SiglipModel:
        text = {
            **TEXT,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": self.length,
            "bos_token_id": tokenizer.eos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "projection_size": IMAGE["hidden_size"],
        }
        model = SiglipModel(SiglipConfig(text_config=text, vision_config=dict(IMAGE)))
        # The published training starts with a bias of -10, since most pairs are false ("Sigmoid Loss",
        # arXiv:2303.15343, section 3). The loss is balanced here, see `objective.sigmoid`.
        with torch.no_grad():
            model.logit_scale.fill_(math.log(10.0))
            model.logit_bias.fill_(-2.0)
        return model

    def processor(self) -> SiglipImageProcessor:
        size = {"height": SIZE, "width": SIZE}
        return SiglipImageProcessor(size=size, image_mean=[MEAN] * 3, image_std=[STD] * 3)

    def images(self, model: SiglipModel, pixels: Tensor) -> tuple[Tensor, Tensor]:
        pooled = model.vision_model(pixels, interpolate_pos_encoding=pixels.shape[-1] != SIZE).pooler_output
        return F.normalize(pooled.float(), dim=-1), pooled

    def tokens(self, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> dict[str, Tensor]:
        tokens = tokenizer(
            list(texts), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )
        return {"input_ids": tokens.input_ids}

    def texts(self, model: SiglipModel, tokens: Mapping[str, Tensor]) -> Tensor:
        return F.normalize(model.text_model(**tokens).pooler_output.float(), dim=-1)

    def losses(
        self, model: SiglipModel, image: Tensor, text: Tensor, truth: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        logits = model.logit_scale.exp() * image @ text.T + model.logit_bias
        return {"pairs": objective.sigmoid(logits, truth, weights)}

    def clamp(self, model: SiglipModel) -> None:
        model.logit_scale.clamp_(0, math.log(100.0))


FAMILIES: dict[Name, Family] = {"clip": Clip(), "siglip": Siglip()}


def load(folder: str | Path) -> tuple[Family, PreTrainedModel]:
    """Load a trained folder in float32, with its family by the kind in its config.json."""
    from transformers import AutoConfig

    kind: str = cast(Any, AutoConfig.from_pretrained(folder)).model_type
    family, loader = {"clip": (FAMILIES["clip"], CLIPModel), "siglip": (FAMILIES["siglip"], SiglipModel)}[kind]
    return family, loader.from_pretrained(folder, dtype=torch.float32).eval()
