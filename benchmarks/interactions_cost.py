"""What a matrix of words and places costs, in forwards of the image tower, and what exCLIP's own code costs.

A CLIP ViT-B/32 with seeded random weights on the CPU and a phrase of eight words; everything is measured in turn, round
after round, on one thread. exCLIP takes minutes and 8 GB; it is left out where the package is not installed
(pip install --no-deps exclip) and with --without-exclip.

    python benchmarks/interactions_cost.py [--rounds 5] [--exclip-nodes 10]
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
import warnings
from collections.abc import Callable

import torch
from speed import Workloads, measure
from torch import Tensor

from matex.attribution import make
from matex.forward_pass import run
from matex.interaction.second_order import second_order, word_factors
from matex.interaction.sides import Path
from matex.trace import Trace

WORDS, NODES = 8, 8
TARGETS = {
    "second-order, 8 nodes": 15.0,
    "word maps of grad-eclip": 2.5,
    "word maps of grad-eclip, last block of the phrase": 2.5,
}


class Matrix:
    """A film, a phrase of eight words, and the model."""

    def __init__(self) -> None:
        self.load = Workloads(small=False)
        self.model = self.load.model
        ids = self.load.ids[:1]
        self.ids = torch.cat([ids[:, : WORDS + 1], ids[:, -1:]], dim=1)
        self.groups = torch.zeros(WORDS, WORDS + 2, dtype=torch.bool)
        self.groups[torch.arange(WORDS), torch.arange(WORDS) + 1] = True

    def second_order(self) -> None:
        """Both passes and the matrix, from pixels and ids."""
        image, text = run(self.model.image, self.load.pixels), run(self.model.text, self.ids)
        second_order(Path.of(image), Path.of(text), self.groups, NODES)

    def word_maps(self, layer: int | None = None) -> None:
        """The map of Grad-ECLIP for each word, its factor from this block of the phrase on."""
        method = make("grad-eclip", {})
        image = run(self.model.image, self.load.pixels, method.gradient_blocks("image"))
        text = run(self.model.text, self.ids)
        targets = torch.cat([word_factors(Path.of(text, layer), self.groups, NODES), text.embedding])
        method(Trace(image, torch.zeros(len(targets), dtype=torch.long), targets))

    def exclip(self, nodes: int) -> Callable[[], Tensor]:
        """exCLIP's matrix of all tokens and patches, at its default layers."""
        from exclip_model import explainer

        begin, end = int(self.ids[0, 0]), int(self.ids[0, -1])
        self.load.module.requires_grad_()  # as exCLIP finds a model that was loaded by OpenAI's code
        blank = torch.tensor([[begin, 0, end, *[0] * (WORDS - 1)]])
        made = explainer(self.model, self.load.pixels.shape[-1], WORDS + 2, blank)
        return lambda: made.explain(self.ids, self.load.pixels, N=nodes)


def peak() -> float:
    """Largest resident size of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--exclip-nodes", type=int, default=10)
    parser.add_argument("--without-exclip", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    matrix = Matrix()
    work = {
        "forward": matrix.load.plain_image,
        "second-order, 8 nodes": matrix.second_order,
        "word maps of grad-eclip": matrix.word_maps,
        "word maps of grad-eclip, last block of the phrase": lambda: matrix.word_maps(matrix.model.text.depth - 1),
    }
    for function in work.values():
        function()
    seconds = measure(work, given.rounds, time.process_time)
    forward = seconds.pop("forward")
    print(f"one image forward: {1000 * forward:.0f} ms; peak of the process {peak():.1f} GB")
    for name, value in seconds.items():
        print(f"{name}: {value / forward:.2f} image forwards, target {TARGETS[name]:g}")
    if given.without_exclip or importlib.util.find_spec("exclip") is None:
        print("exCLIP: not measured")
        return
    explain = matrix.exclip(given.exclip_nodes)
    start = time.process_time()
    explain()
    took = (time.process_time() - start) / forward
    print(f"exCLIP, {given.exclip_nodes} nodes: {took:.0f} image forwards; peak of the process {peak():.1f} GB")


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
