"""SLIP: checkpoints of facebookresearch/SLIP, a vision transformer of timm with CLIP's text tower.

A file is a training checkpoint: the weights under "state_dict" with "module." before every name, and the options of the
run. The projection head of the self-supervised loss is not part of an embedding and is left out. The CLIP models that
were trained for comparison have the same layout without that head.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from matex.adapters import clip, openai, vit
from matex.adapters.checkpoint import Tensors, fit, read_tensors, scale_of, unwrap
from matex.adapters.model import MODELS, Model, Options, Similarity
from matex.adapters.network import ClipConfig, TextTower
from matex.adapters.preprocessing import Preprocessing
from matex.errors import CheckpointError, shown

LANDMARK = "visual.patch_embed.proj.weight"
HEADS: Mapping[int, tuple[str, int]] = {384: ("small", 12), 768: ("base", 12), 1024: ("large", 16)}
"""Name in timm and attention heads of the image tower by its width. Those of the small one are 32 wide (MoCo v3)."""
TEXT_HEAD_WIDTH = 64
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_INNER = "transformer.resblocks.0.mlp.c_fc.weight"
_UNREAD = "image_mlp."  # head of the self-supervised loss


class Slip(nn.Module):
    """Both towers with their projections and the temperature, under the names of `network.Clip`."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.vision_model = vit.build(config.vision_config)
        self.text_model = TextTower(config.text_config)
        self.visual_projection = nn.Linear(config.vision_config.hidden_size, config.projection_dim, bias=False)
        self.text_projection = nn.Linear(config.text_config.hidden_size, config.projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.empty(()))


@MODELS("slip:")
def load_slip(source: str, *, name: str | None = None, options: Options | None = None) -> Model:
    """Load a SLIP checkpoint (.pt, .pth, .safetensors), read with weights_only.

    Args:
        source: the file.
        name: shown in outputs; the source otherwise.
        options: heads of the image and of the text tower where they are not those of the published models; tokenizer,
            folder or hub id with CLIP's tokenizer. Without it the checkpoint's own folder, an installed open_clip and
            the hub's cache are tried.

    Raises:
        CheckpointError: no file, not a SLIP, or weights that are missing, unexpected, of another shape or not finite.
    """
    options = options or Options()
    options.refuse("slip: files", "openai: files", "preset", "activation")
    path = Path(os.path.expanduser(source))
    tensors = unwrap(read_tensors(path, options=True), LANDMARK, source)
    tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(_UNREAD)}
    config = read_config(tensors, options.heads, source)
    module = build(config, tensors, source)
    words = openai.find_clip_tokenizer(options, path.parent)
    if words:
        clip.refuse_other_end(words, config, source)
    image = clip.image_tower(module.vision_model, module.visual_projection)
    return Model(
        name=name or f"slip:{path.name}",
        module=module,
        encoders={"image": image, "text": clip.text_tower(module.text_model, module.text_projection)},
        patch=image.patch,
        preprocessing=Preprocessing(
            image.size, "crop", "bilinear", 1 / 255, IMAGENET_MEAN, IMAGENET_STD, half_even=True
        ),
        tokenizer=words,
        context=config.text_config.max_position_embeddings,
        vocabulary=config.text_config.vocab_size,
        similarity=Similarity(scale_of(module.logit_scale, source)),
        missing=() if words else ("it has no tokenizer (give tokenizer= a folder with CLIP's)",),
        record={"heads": list(options.heads)} if options.heads else {},
    )


def read_config(tensors: Mapping[str, Tensor], heads: tuple[int, int] | None, source: str) -> ClipConfig:
    """The configuration of both towers from the shapes of their weights.

    Raises:
        CheckpointError: weights of something else, or a width that no published model has, without heads.
    """
    needed = (LANDMARK, "visual.pos_embed", "positional_embedding", "token_embedding.weight", "text_projection", _INNER)
    absent = [name for name in needed if name not in tensors]
    if absent:
        raise CheckpointError(
            f"Expected a SLIP checkpoint in {shown(source)}, with names such as {LANDMARK}, got one without "
            f"{', '.join(absent)}. OpenAI's format loads with openai:, Hugging Face folders with hf:."
        )
    width, patch = len(tensors[LANDMARK]), tensors[LANDMARK].shape[-1]
    if heads is None and width not in HEADS:
        raise CheckpointError(
            f"Expected an image tower of {', '.join(map(str, HEADS))} dimensions in {shown(source)}, got {width}. Give "
            "heads=(IMAGE, TEXT) (--heads IMAGE,TEXT) for towers of other sizes."
        )
    size, image_heads = HEADS.get(width, ("base", 0))
    side = patch * round((tensors["visual.pos_embed"].shape[1] - 1) ** 0.5)
    trunk = {name.removeprefix("visual."): tensor for name, tensor in tensors.items() if name.startswith("visual.")}
    vision = vit.read_config(f"vit_{size}_patch{patch}_{side}", side, trunk, heads[0] if heads else image_heads, source)
    dim, joint = tensors["text_projection"].shape
    vocabulary = len(tensors["token_embedding.weight"])
    text = {
        "hidden_size": dim,
        "intermediate_size": len(tensors[_INNER]),
        "num_hidden_layers": len({name.split(".")[2] for name in tensors if name.startswith("transformer.resblocks.")}),
        "num_attention_heads": heads[1] if heads else dim // TEXT_HEAD_WIDTH,
        "max_position_embeddings": len(tensors["positional_embedding"]),
        "vocab_size": vocabulary,
        "hidden_act": "quick_gelu",
        "eos_token_id": vocabulary - 1,
    }
    return ClipConfig.from_dict({"projection_dim": joint, "vision_config": vision, "text_config": text}, source)


def build(config: ClipConfig, tensors: Tensors, source: str) -> Slip:
    """A network with these weights, in float32.

    Raises:
        CheckpointError: as `checkpoint.fit`.
    """
    trunk = {name.removeprefix("visual."): tensor for name, tensor in tensors.items() if name.startswith("visual.")}
    renamed = {f"vision_model.{name}": tensor for name, tensor in vit.translate(trunk).items()}
    renamed |= openai.translate({name: tensor for name, tensor in tensors.items() if not name.startswith("visual.")})
    if "image_projection" in renamed:
        renamed["visual_projection.weight"] = renamed.pop("image_projection").T
    with torch.device("meta"):
        module = Slip(config)
    fit(module, renamed, source, "SLIP")
    return module
