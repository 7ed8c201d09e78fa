"""What writing an explanation costs, as ratios taken in one run.

    python benchmarks/save.py [--height 3000 --width 2500] [--clock cpu] [--rounds 5]

The film is a bundled one enlarged to the size of a real radiograph and stored as JPEG; the peer is decoding it with
Pillow. Every round starts from a fresh film and map, so that nothing that is kept with them counts.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from speed import CLOCKS, measure, spread, table

import matex
from matex.render.framed import framed_overlay
from matex.render.panel import panel
from matex.render.report import page
from matex.render.save import save
from matex.results import SaliencyMap
from matex.samples import samples
from matex.serialise import to_dict


def work(height: int, width: int, method: str, folder: Path) -> dict[str, Callable[[], Any]]:
    """Everything that is timed, by name."""
    sample = samples()[1]
    with Image.open(sample.path) as image:
        large = image.convert("L").resize((width, height), Image.Resampling.BICUBIC)
    stream = BytesIO()
    large.save(stream, "JPEG", quality=92)
    explanation = matex.explain(matex.load("tiny"), np.asarray(large), sample.demo_phrase, method)

    def fresh() -> matex.Explanation:
        image = explanation.image
        query = dataclasses.replace(explanation.query, film=dataclasses.replace(explanation.film))
        return dataclasses.replace(explanation, query=query, image=SaliencyMap(image.grid, image.placement))

    return {
        "decode": lambda: Image.open(BytesIO(stream.getvalue())).convert("L").load(),
        "save, all five files": lambda: save(fresh(), folder),
        "the map in original pixels": lambda: fresh().image.values,
        "overlay.png, drawn": lambda: framed_overlay(fresh()),
        "panel.png, drawn": lambda: panel(fresh()),
        "report.html": lambda: page([fresh()], "Explanation"),
        "explanation.json": lambda: to_dict(fresh()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--width", type=int, default=2500)
    parser.add_argument("--method", default="matex")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        timed = work(chosen.height, chosen.width, chosen.method, Path(folder))
        runs = [measure(timed, chosen.rounds, CLOCKS[chosen.clock]) for _ in range(chosen.repeats)]
    against = f"decoding the {chosen.height} x {chosen.width} JPEG"
    names = [name for name in timed if name != "decode"]
    print(table(spread([{(name, against): (run[name] / run["decode"], None) for name in names} for run in runs])))


if __name__ == "__main__":
    main()
