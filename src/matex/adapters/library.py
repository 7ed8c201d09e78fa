"""Networks of model libraries, built from a configuration and the weights of a file, without a download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from torch import nn

from matex.adapters.checkpoint import Tensors, first_line, fit
from matex.errors import CheckpointError

Network: TypeAlias = Any
"""A network of transformers, or one of ours with the same names of parts.

The parts differ from release to release, and torch's stubs call each `Tensor | Module`: adapters read them untyped and
check what they found.
"""


class VisionSizes(Protocol):
    """Settings of an image tower, as configurations of transformers name them."""

    hidden_act: str
    image_size: int | tuple[int, int]
    patch_size: int
    num_patches: int


class TextSizes(Protocol):
    """Settings of a text tower."""

    @property
    def hidden_act(self) -> str: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def max_position_embeddings(self) -> int: ...
    @property
    def eos_token_id(self) -> int | list[int] | None: ...


class MarkedSizes(TextSizes, Protocol):
    """Settings of a text tower of transformers, with the ids of the first token and of the padding."""

    @property
    def bos_token_id(self) -> int | None: ...
    @property
    def pad_token_id(self) -> int: ...


class LibraryConfig(Protocol):
    """Configuration of a dual encoder of transformers."""

    @property
    def model_type(self) -> str: ...
    @property
    def text_config(self) -> MarkedSizes: ...


class DualConfig(Protocol):
    """Configuration of a dual encoder; one of ours (`ClipConfig`) states less."""

    @property
    def text_config(self) -> TextSizes: ...


def build_as(
    kind: str, config: Mapping[str, object], tensors: Tensors, source: str, renamed: Mapping[str, str] | None = None
) -> nn.Module:
    """Build a model of transformers with these weights, float32, in evaluation mode.

    Args:
        kind: name of the class in transformers, such as "SiglipModel".
        config: content of its config.json.
        tensors: by the names of its state dict; position ids that old files carry are left out.
        source: named in refusals.
        renamed: parts of names in files to those that newer releases of transformers give them.

    Raises:
        CheckpointError: a configuration that the class refuses, or weights that do not fit it.
    """
    import transformers
    from transformers.initialization import no_init_weights

    model_class: Network = getattr(transformers, kind)
    try:
        with no_init_weights():  # every weight comes from the file
            module: nn.Module = model_class(model_class.config_class.from_dict(dict(config)))
    except Exception as error:  # configurations are checked by many libraries, each in its own words
        raise CheckpointError(
            f"Expected a configuration of {kind} in {source!r}, got one that it refuses: {first_line(error)}. "
            "Correct config.json."
        ) from error
    expected = module.state_dict().keys()
    for old, new in (renamed or {}).items():
        if not any(old in name for name in expected):
            tensors = {name.replace(old, new): value for name, value in tensors.items()}
    fit(module, {name: value for name, value in tensors.items() if not name.endswith("position_ids")}, source)
    return module
