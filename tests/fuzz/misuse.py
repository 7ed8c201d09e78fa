"""The Python interface: values of wrong types for each parameter of each public function."""

from __future__ import annotations

import functools
import inspect
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import matex
from tests.fuzz import models
from tests.fuzz.hostile import value
from tests.fuzz.runner import Case, generator

NAME = "python"
MUTATED = "one or two arguments of explain, explain_batch, explain_each, compare, audit, attribute, score, load, read"
OBJECTS: tuple[Any, ...] = (
    None,
    object(),
    int,
    len,
    b"bytes",
    bytearray(3),
    3 + 4j,
    range(3),
    {1, 2},
    iter([1]),
    Path("nothing"),
    Path(),
    np.zeros(3),
    np.zeros((0, 4)),
    np.full((20, 20), np.nan),
    np.array(["a"]),
    np.array(object()),
    np.zeros((20, 20), complex),
    np.zeros((20, 20), [("a", int)]),
    np.float32(1),
    np.datetime64("2020"),
    torch.zeros(3),
    torch.zeros(1, 3, 32, 32),
    torch.zeros(1, 4, dtype=torch.long),
    torch.zeros(2, 2).to_sparse(),
    torch.nn.Linear(2, 2),
    ValueError("x"),
    ...,
)


@functools.cache
def model() -> matex.Model:
    with tempfile.TemporaryDirectory() as name:
        for file, data in models.files().items():
            (Path(name) / file).write_bytes(data)
        return matex.load(f"hf:{name}")


@functools.cache
def calls() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Public functions, each with arguments that work."""
    loaded = model()
    pixels = loaded.prepare(matex.read(models.FILM))[0]
    ids = loaded.batch([loaded.encode(models.PHRASE)])
    explained = {"model": loaded, "image": models.FILM, "text": models.PHRASE, "method": "rollout"}
    pairs = {"model": loaded, "pairs": [(models.FILM, models.PHRASE)], "method": "rollout"}
    compared = {"model": loaded, "image": models.FILM, "text": models.PHRASE, "methods": ["rollout", "raw-attention"]}
    return {
        "explain": (matex.explain, explained),
        "explain_batch": (matex.explain_batch, pairs),
        "explain_each": (lambda **given: list(matex.explain_each(**given)), pairs),
        "compare": (matex.compare, compared),
        "audit": (matex.audit, {**explained, "regions": 1}),  # refused in the end: a whole audit takes seconds
        "attribute": (matex.attribute, {"model": loaded, "pixels": pixels, "token_ids": ids, "method": "rollout"}),
        "score": (matex.score, {"model": loaded, "pixels": pixels, "token_ids": ids}),
        "load": (matex.load, {"name": "hf:nothing", "cached_only": True}),
        "read": (matex.read, {"source": models.FILM}),
    }


def names(function: str) -> list[str]:
    """Parameters by which the call is tried: the public ones without progress, and one of the method."""
    signature = inspect.signature(getattr(matex, function))
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD and parameter.name not in ("progress", "regions")
    ]


def cases(seed: int, count: int) -> Iterator[Case]:
    for index in range(count):
        rng = generator(NAME, seed, index)
        function = rng.choice(list(calls()))
        call, arguments = calls()[function]
        changed = {
            name: rng.choice(OBJECTS) if rng.random() < 0.6 else value(rng)
            for name in rng.sample(names(function), rng.choice((1, 1, 2)))
        }

        def run(_: Path, call=call, arguments=arguments, changed=changed) -> str:
            call(**{**arguments, **changed})
            return "accepted"

        shown = ", ".join(f"{name}={type(given).__name__}" for name, given in changed.items())
        yield Case(f"{NAME} --seed {seed} {index}: {function}({shown})", run)
