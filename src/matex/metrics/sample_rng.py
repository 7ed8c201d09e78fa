"""Random numbers that depend on the sample alone, so that chunks, shards and resumed runs agree."""

from __future__ import annotations

import hashlib

import torch

from matex.metrics.metric import Case


def generator_of(case: Case, seed: int) -> torch.Generator:
    """CPU generator seeded with the sample's id and the seed."""
    digest = hashlib.sha256(f"{seed} {case.sample.id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
