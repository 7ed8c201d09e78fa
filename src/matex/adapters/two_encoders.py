"""`from_encoders`: a model of two encoders of one's own, each a module of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from matex.adapters.bert import GELU, BertEncoder, runs_as_bert
from matex.adapters.encoder import State, TokenAxis
from matex.adapters.inputs import Pixels, Words
from matex.adapters.library import Network
from matex.adapters.model import Model, Similarity, Tokenizer
from matex.adapters.preprocessing import Preprocessing
from matex.adapters.tokenizer import given_tokenizer
from matex.checks import count
from matex.errors import InputError, UnsupportedModel, shown
from matex.geometry import Size

Pooling = Literal["first", "last", "mean"]
_INSIDE = {
    "readout": "it is a module of the caller's, whose blocks are not known",
    "attention": "it is a module of the caller's, whose blocks are not known",
}
_POOLED = "the module returns one vector per input"


def from_encoders(
    image: nn.Module,
    text: nn.Module,
    *,
    preprocessing: Preprocessing,
    tokenizer: Tokenizer | str | Path | None,
    projections: tuple[nn.Module | None, nn.Module | None] = (None, None),
    pooling: tuple[Pooling, Pooling] = ("mean", "first"),
    patch: int | Size = 16,
    special: int = 0,
    context: int = 512,
    scale: float = 100.0,
    name: str = "two encoders",
) -> Model:
    """Make a model of two encoders that share a joint space.

    Pixel gradients and methods that run other inputs work with any image module. GradCAM and M2IB read its output, so
    they need one that returns tokens or a feature map. A BertModel of transformers with GELU as the text is run block
    by block, which serves attention methods on the words; a module that takes `inputs_embeds` gives gradients at the
    words.

    Args:
        image: pixels [item, 3, height, width] -> one vector [item, dim], tokens [item, token, dim] (special ones first,
            then the patches row by row), a feature map [item, dim, rows, columns], or an output of transformers with
            such a `last_hidden_state`.
        text: (token_ids, attention_mask), both [item, token] -> one vector [item, dim], tokens [item, token, dim], or
            such an output.
        preprocessing: of films to pixels.
        tokenizer: a fast tokenizer of transformers, or the folder or hub id of one.
        projections: of image and text from the pooled vector to the joint space; None where the vector lies in it.
        pooling: of tokens, of image and text: the "first" or "last" token, or the "mean" over patches or the phrase.
        patch: side or (height, width) of a patch, pixels; of a feature map it follows from its size.
        special: tokens of the image before its patches.
        context: longest phrase, tokens.
        scale: factor on the cosine, the inverse temperature.
        name: shown in outputs.

    Raises:
        InputError: a module in training mode, or settings that do not fit what the modules return.
        UnsupportedModel: a module that returns something else.

    Examples:
        >>> from matex.adapters.preprocessing import Preprocessing
        >>> grey = (0.5, 0.5, 0.5)
        >>> pixels = Preprocessing((64, 64), "pad", "bicubic", 1 / 255, grey, grey)
        >>> network = torch.nn.Conv2d(3, 20, 16, 16).eval()
        >>> words = matex.load("tiny").tokenizer
        >>> class Mean(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.table = torch.nn.Embedding(4096, 20)
        ...     def forward(self, token_ids, attention_mask):
        ...         return self.table(token_ids) * attention_mask[..., None]
        >>> model = matex.from_encoders(
        ...     network, Mean().eval(), preprocessing=pixels, tokenizer=words, pooling=("mean", "mean")
        ... )
        >>> model.prepare(film)[1].grid
        (4, 4)
    """
    for side, module in (("image", image), ("text", text)):
        if not isinstance(module, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"Expected the {side} encoder as a module of torch, got {shown(type(module).__name__)}.")
        if any(part.training for part in module.modules()):
            raise InputError(f"Expected the {side} encoder in evaluation mode, got it training. Call eval() on it.")
    count(special, "special", low=0)
    for side, kind in zip(("image", "text"), pooling, strict=True):
        if kind not in get_args(Pooling):
            raise InputError(f"Expected pooling of the {side} to be {', '.join(get_args(Pooling))}, got {shown(kind)}.")
    if tokenizer is None:
        raise InputError("Expected a fast tokenizer of transformers or the folder or hub id of one, got none.")
    words: Tokenizer = given_tokenizer(str(tokenizer)) if isinstance(tokenizer, str | Path) else tokenizer
    heads = [nn.Identity() if head is None else head for head in projections]
    pixels = _pixels(image, heads[0], pooling[0], preprocessing.size, _pair(patch), special)
    read_table: Network = getattr(text, "get_input_embeddings", None)  # of transformers' models
    table = read_table() if read_table else None
    known = len(cast(Sized, words)) if isinstance(words, Sized) else 1 << 30
    vocabulary = int(getattr(table, "num_embeddings", known))
    return Model(
        name=name,
        module=nn.ModuleDict({"image": image, "text": text, "projections": nn.ModuleList(heads)}),
        encoders={"image": pixels, "text": _words(text, heads[1], pooling[1], words)},
        patch=pixels.patch,
        preprocessing=preprocessing,
        tokenizer=words,
        context=context,
        vocabulary=vocabulary,
        similarity=Similarity(scale),
        cells=None if pixels.whole else pixels.grid,
    )


@dataclass(frozen=True, eq=False)
class ImageModule(Pixels):
    """A module over pixels as one stage.

    Args:
        module: the encoder.
        head: to the joint space.
        pooling: of its tokens.
        size: (height, width) of its images, pixels.
        patch: (height, width) of a patch, pixels.
        grid: (rows, columns) of the patches.
        special: tokens before the patches.
        pooled: whether it returns one vector; its tokens are then the pixels of each patch.
        missing: see `Encoder.missing`.
    """

    module: nn.Module
    head: nn.Module
    pooling: Pooling
    size: Size
    patch: Size
    grid: Size
    special: int
    pooled: bool
    missing: Mapping[str, str]
    modality: Literal["image"] = "image"
    depth: ClassVar[int] = 1
    taps: ClassVar[tuple[int, ...]] = ()

    @property
    def whole(self) -> bool:
        """Whether the patches fill the image."""
        return (self.grid[0] * self.patch[0], self.grid[1] * self.patch[1]) == self.size

    def axis(self, inputs: Tensor) -> TokenAxis:
        if tuple(inputs.shape[-2:]) != self.size:
            raise InputError(f"Expected images of {self.size} (height, width), got {tuple(inputs.shape[-2:])}.")
        tokens = self.special + self.grid[0] * self.grid[1]
        valid = torch.ones(len(inputs), tokens, dtype=torch.bool, device=inputs.device)
        return TokenAxis(valid, valid & (torch.arange(tokens, device=inputs.device) >= self.special), self.grid)

    def start(self, entry: Tensor, inputs: Tensor) -> State:
        axis = self.axis(entry)
        if self.pooled:
            return State(F.unfold(entry, self.patch, stride=self.patch).mT, axis)
        return State(_tokens(self.module(entry)), axis)

    def stage(self, layer: int, state: State) -> State:
        return state  # the module ran in `start`, or runs in `pool`

    def pool(self, state: State) -> Tensor:
        if self.pooled:
            return self.head(_last(self.module(F.fold(state.hidden.mT, self.size, self.patch, stride=self.patch))))
        return self.head(_pool(state, self.pooling, state.axis.content))

    def project(self, tokens: Tensor) -> Tensor:
        return self.head(tokens)

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return {"projection": list(self.head.parameters()), "block 0": list(self.module.parameters())}


@dataclass(frozen=True, eq=False)
class TextModule(Words):
    """A module over token ids as one stage.

    Args:
        module: the encoder.
        head: to the joint space.
        pooling: of its tokens.
        embeds: whether it takes `inputs_embeds`; otherwise it runs in `entry`, and its output is the stage's.
        padding: id of the padding token.
        special: ids of tokens that are no words.
        missing: see `Encoder.missing`.
    """

    module: nn.Module
    head: nn.Module
    pooling: Pooling
    embeds: bool
    padding: int
    special: tuple[int, ...]
    missing: Mapping[str, str]
    modality: Literal["text"] = "text"
    depth: ClassVar[int] = 1
    taps: ClassVar[tuple[int, ...]] = ()

    def axis(self, inputs: Tensor) -> TokenAxis:
        valid = inputs != self.padding
        return TokenAxis(valid, valid & ~torch.isin(inputs, torch.tensor(self.special, device=inputs.device)))

    def collate(self, rows: Sequence[Sequence[int]]) -> Tensor:
        longest = max(len(ids) for ids in rows)
        return torch.tensor([[*ids, *[self.padding] * (longest - len(ids))] for ids in rows])

    def entry(self, inputs: Tensor) -> Tensor:
        module: Network = self.module
        if self.embeds:
            return module.get_input_embeddings()(inputs)
        mask = self.axis(inputs).valid.long()
        tokens = _last(module(inputs, mask))
        return tokens if tokens.dim() == 3 else tokens[:, None].expand(-1, inputs.shape[1], -1)

    def blank(self, inputs: Tensor) -> Tensor:
        return torch.zeros_like(self.entry(inputs))

    def stage(self, layer: int, state: State) -> State:
        if not self.embeds:
            return state
        module: Network = self.module
        tokens = _last(module(inputs_embeds=state.hidden, attention_mask=state.axis.valid.long()))
        return state.followed_by(tokens if tokens.dim() == 3 else tokens[:, None].expand(-1, state.hidden.shape[1], -1))

    def pool(self, state: State) -> Tensor:
        return self.head(_pool(state, self.pooling, state.axis.valid))

    def project(self, tokens: Tensor) -> Tensor:
        return self.head(tokens)

    def stages(self) -> dict[str, list[nn.Parameter]]:
        return {"projection": list(self.head.parameters()), "block 0": list(self.module.parameters())}


def _pixels(module: nn.Module, head: nn.Module, pooling: Pooling, size: Size, patch: Size, special: int) -> ImageModule:
    """Find out with one blank image what a module returns."""
    weight = next((w for w in module.parameters()), torch.zeros(()))
    with torch.no_grad():
        output = _last(module(torch.zeros(1, 3, *size, dtype=weight.dtype, device=weight.device)))
    missing = {**_INSIDE, **_joint(head, pooling)}
    grid = (size[0] // patch[0], size[1] // patch[1])
    if output.dim() == 2:
        if grid[0] * patch[0] != size[0] or grid[1] * patch[1] != size[1]:
            raise InputError(f"Expected a patch that divides {size[0]}x{size[1]} pixels, got {patch[0]}x{patch[1]}.")
        missing |= {"features": _POOLED, "joint tokens": _POOLED}
    elif output.dim() == 4:
        grid = (output.shape[2], output.shape[3])
        patch, special = (size[0] // grid[0], size[1] // grid[1]), 0
    elif output.dim() != 3 or output.shape[1] != special + grid[0] * grid[1]:
        raise InputError(
            f"Expected {special} special tokens and a grid of {grid[0]}x{grid[1]} patches from the image encoder, "
            f"got {tuple(output.shape)}. Give patch= and special= as the network has them."
        )
    return ImageModule(module, head, pooling, size, patch, grid, special, output.dim() == 2, missing)


def _words(module: nn.Module, head: nn.Module, pooling: Pooling, tokenizer: Tokenizer) -> BertEncoder | TextModule:
    """The text encoder: block by block where it is a BERT of transformers with GELU, otherwise as one stage."""
    padding = int(getattr(tokenizer, "pad_token_id", None) or 0)
    joint = _joint(head, pooling)
    config: Network = getattr(module, "config", None)
    if type(module).__name__ == "BertModel" and runs_as_bert(config.to_dict()):
        return BertEncoder(module, head, pooling, padding, missing={**GELU, **joint})
    ids = torch.tensor([[int(i) for i in tokenizer("a b")["input_ids"]]])
    embeds = hasattr(module, "get_input_embeddings")
    weight = next((w for w in module.parameters()), ids)
    with torch.no_grad():
        output = _last(module(ids.to(weight.device), torch.ones_like(ids, device=weight.device)))
    missing = {**_INSIDE, **joint}
    if not embeds:
        alone = "it takes token ids alone, so that no gradient reaches the words"
        missing |= {"gradient": alone, "relu": alone}
    if output.dim() == 2:
        missing |= {"features": _POOLED, "joint tokens": _POOLED}
    elif output.dim() != 3:
        raise UnsupportedModel(f"Expected [item, dim] or [item, token, dim] of the text encoder, got {output.dim()}-D.")
    unknown = getattr(tokenizer, "unk_token_id", None)  # stands for a word
    special = tuple(int(i) for i in tokenizer.all_special_ids if i != unknown)
    return TextModule(module, head, "mean" if output.dim() == 2 else pooling, embeds, padding, special, missing)


def _joint(head: nn.Module, pooling: Pooling) -> dict[str, str]:
    """Reason that single tokens cannot be projected to the joint space; empty where they can."""
    if pooling == "mean" and not isinstance(head, nn.Linear | nn.Identity):
        return {"joint tokens": "its projection is not linear: the embedding is no mean of tokens in the joint space"}
    return {}


def _last(output: object) -> Tensor:
    """The tensor of a module's output.

    Raises:
        UnsupportedModel: an output without one.
    """
    found = getattr(output, "last_hidden_state", output)
    if not isinstance(found, Tensor):
        raise UnsupportedModel(
            f"Expected a tensor or an output with last_hidden_state, got {type(output).__name__}. "
            "Wrap the encoder in a module that returns one."
        )
    return found


def _tokens(output: object) -> Tensor:
    """Tokens [item, token, dim] of tokens or of a feature map."""
    found = _last(output)
    return found if found.dim() == 3 else found.flatten(2).mT


def _pool(state: State, pooling: Pooling, among: Tensor) -> Tensor:
    """One vector of each item's tokens, [item, dim]."""
    if pooling == "first":
        return state.hidden[:, 0]
    if pooling == "last":
        return state.hidden[torch.arange(len(state.hidden)), state.axis.valid.sum(dim=1) - 1]
    weight = among.to(state.hidden)[..., None]
    return (state.hidden * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _pair(value: int | Size) -> Size:
    return (value, value) if isinstance(value, int) else value
