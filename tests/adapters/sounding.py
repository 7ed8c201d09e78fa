"""A small ImageBind with random weights that reads real spectrograms, and sounds for it."""

import numpy as np
import torch

import matex
from matex.adapters.imagebind import adapt
from matex.adapters.imagebind_network import ImageBind, ImageBindConfig, ImuConfig, PatchConfig, TextConfig, TrunkConfig
from matex.audio.recording import from_samples

RATE = 16_000
CONFIG = ImageBindConfig(
    joint=20,
    vision=PatchConfig(
        TrunkConfig(24, 3, 3, pre_norm=True), (56, 70), kernel=14, stride=14, channels=3, frames=2, scaled=False
    ),
    text=TextConfig(TrunkConfig(16, 3, 2), context=48, vocabulary=3759),
    audio=PatchConfig(TrunkConfig(30, 4, 5, bias_kv=True), (128, 204), stride=10),
    depth=PatchConfig(TrunkConfig(18, 2, 3, bias_kv=True), (16, 40), kernel=8, stride=8, stem="depth_stem"),
    thermal=PatchConfig(TrunkConfig(28, 2, 7, bias_kv=True), (24, 32), kernel=8, stride=8),
    imu=ImuConfig(TrunkConfig(32, 2, 4, bias_kv=True), samples=48),
)
"""Vocabulary and context are those of the bundled tokenizer."""


def small_network(seed=0):
    network = ImageBind(CONFIG).double().eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        around = 3.0 if name.endswith("logit_scale") else 1.0 if value.dim() == 1 and name.endswith("weight") else 0.0
        value.copy_(around + (0 if name.endswith("logit_scale") else 0.3) * noise)
    return network


def small_model(seed=0):
    return adapt(small_network(seed), "small", tokenizer=matex.load("tiny").tokenizer)


def chirp(seconds=2.0, rate=RATE):
    """A tone that rises from 300 Hz after the first half second, in weak noise."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(size=time.shape) * 1e-2
    return noise + 0.3 * np.sin(2 * np.pi * (300 + 600 * time) * time) * (time > 0.5)


def recording(seconds=2.0):
    return from_samples(chirp(seconds), RATE)
