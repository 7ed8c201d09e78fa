"""Networks of model libraries, built from a configuration and the weights of a file, without a download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from matex.adapters.checkpoint import Tensors, first_line, fit
from matex.errors import CheckpointError


def build_as(
    kind: str, config: Mapping[str, Any], tensors: Tensors, source: str, renamed: Mapping[str, str] | None = None
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

    model_class: Any = getattr(transformers, kind)
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
