"""Make docs/methods.md and its two pictures from the methods themselves and the bundled model.

python docs/make_methods.py            the page and the pictures
python docs/make_methods.py --page     the page alone
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

import matex
from matex.attribution import METHODS, NEEDS
from matex.catalog import MethodEntry
from matex.render.overlay import draw_film, overlay
from matex.render.text import font
from matex.samples import Sample, samples
from matex.simulation import canonical, simulate

DOCS = Path(__file__).parent
PAGE = DOCS / "methods.md"
COSTS = DOCS.parent / "benchmarks" / "methods.json"
PICTURES = {"film": DOCS / "images" / "methods-film.jpg", "simulated": DOCS / "images" / "methods-simulated.jpg"}
FILM = "right-lower-opacity"
NORMAL, FINDING, SEED = "normal-1", {"finding": "mass", "side": "left", "zone": "upper"}, 3
TILE, CAPTION, COLUMNS = 224, 24, 6
TRUTH = "#00e5ff"

HEAD = """\
# Methods

<!-- Made by docs/make_methods.py (`make methods-page`) from the methods themselves. Change those, not this page. -->

Every method is a formula over one recorded pass of a tower ([architecture](architecture.md)). It gives a raw, signed
grid of patches or pixels on the image, or one score per token on the text. S is the cosine of image and text. `matex
methods` prints the short form of this page, `matex explain -m NAME` runs one, `matex compare -m all` all of them.

## All of them
"""

PICTURES_TEXT = """\
## How they look

All methods with their default parameters and the bundled model, which is small and trained on simulated findings. Each
map is scaled between its own least and greatest value, so colours do not compare between methods. Made again by
`make methods-page`.

![Every method on one bundled film](images/methods-film.jpg)

A real film, "{film}". The line is the box that radiologists drew.

![Every method on one simulated film](images/methods-simulated.jpg)

A simulated finding in a normal film, "{simulated}". The line is the outline of its true mask.

Where a map does not look as one would expect of an explanation of this phrase, this is why:

{looks}
"""

# What follows from a method's definition and does not depend on the weights.
LOOKS: Mapping[str, str] = {
    "rollout": (
        "knows no phrase: every phrase gets this map, so of two findings both light up, and so does what the model "
        "always looks at."
    ),
    "raw-attention": "knows no phrase, as rollout; one block alone.",
    "attention-flow": (
        "knows no phrase. Half of every capacity is the residual stream, so nearly the whole flow can reach nearly "
        "every patch: values lie close to 1, and scaling blows up what little they differ by."
    ),
    "gradient": (
        "is signed, so zero lies inside the scale and tints the film; single pixels stand out along the borders of "
        "patches, since all pixels of a patch enter the model by one linear map."
    ),
    "embedding-space": "is `gradient` exactly, with its default operator: a signed operator is linear.",
    "saliency": "has the same lattice of pixels without the sign.",
    "integrated-gradients": (
        "adds up to the change of score, but a few pixels carry most of it: scaled by these extremes the rest "
        "looks empty. Averaged over patches it shows more."
    ),
    "gradient-shap": "looks empty for the same reason; its maps nearly equal those of `integrated-gradients`.",
    "occlusion": (
        "hides one patch at a time: the rest of a finding that is larger than a patch makes up for it, so the map "
        "says little about large findings. `window` sets it. It is signed."
    ),
    "kernel-shap": (
        "shares 2048 draws among as many patches as there are: single patches are noisy, only their sum is exact. "
        "`features=superpixels` has fewer of them. It is signed."
    ),
    "rise": "draws with masks of 7 by 7 cells: nothing finer than a seventh of the film can appear.",
    "gradcam": (
        "weighs channels by one number each for the whole film, so it lights up wherever such a channel is strong, "
        "often beside the finding."
    ),
    "m2ib": (
        "counts the nats that get through and has no sign. Patches with large hidden values cost more nats than "
        "others, whatever the phrase is."
    ),
    "ca-m2ib": (
        "is m2ib with a target that moves; it looks alike where that target moved little (`target_cosine` in the "
        "record)."
    ),
    "mmel": "is Grad-ECLIP times a gate between 1 and 3, so the two look alike.",
    "maskclip": (
        "uses neither attention nor gradient: it shows each patch's own likeness to the phrase, in large smooth "
        "areas, and both signs."
    ),
    "matex-paper": "pulls to the wrong side where the phrase names one: its sides are the paper's, mirrored.",
    "guided-backprop": "is refused: the bundled model has no ReLU.",
}

OWN = """\
## Methods of your own

A class under one decorator is a method. In a file of your own, `mine.py`:

```python
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from matex.attribution import METHODS
from matex.trace import Trace


@METHODS("block-attention")
@dataclass(frozen=True)
class BlockAttention:
    \"\"\"Where the readout token looks in one block.\"\"\"

    block: int = 0

    towers: ClassVar[tuple[str, ...]] = ("image", "text")
    needs: ClassVar[tuple[str, ...]] = ("readout", "attention")
    source: ClassVar[str] = "mine"

    def gradient_blocks(self, kind: str) -> int:
        return 0  # it reads no gradients

    def __call__(self, trace: Trace) -> Tensor:
        return trace.to_grid(trace.attention_row(self.block).mean(dim=1))
```

In Python `import mine` is all. On the command line the file is named:

```sh
matex methods --plugin mine.py
matex explain film.png "opacity in the left lower lung" --plugin mine.py -m block-attention -p block=2
matex compare film.png "opacity in the left lower lung" --plugin mine.py -m matex,block-attention
```

`MATEX_PLUGINS=mine.py` does the same for every command, and for several files with `:` between them (`;` on Windows). A
package that others install announces its module in its `pyproject.toml`, and its methods are simply there:

```toml
[project.entry-points."matex.methods"]
mine = "my_package.methods"
```

Fields are the method's parameters; `-p`, `matex methods` and the record read them. `towers` and `gradient_blocks` are
asked for, `needs` is what a tower must have, `passes`, `source`, `equation`, `errors` and `draws` are told where they
are given. The record of an explanation holds the name and the checksum of the file a method came from; `matex verify`
never runs a file that a record names and asks for `--plugin`. What a trace offers is in
[architecture](architecture.md).
"""


def page(costs: Mapping[str, Any] | None = None) -> str:
    """docs/methods.md.

    Args:
        costs: what benchmarks/methods.py measured; None leaves the costs out.
    """
    entries = [entry for entry in matex.methods() if entry.plugin is None]
    parts = [
        HEAD,
        _table(entries, costs or {}),
        _measured(costs),
        _needs(),
        PICTURES_TEXT.format(film=_film().demo_phrase, simulated=_phrase(), looks=_looks()),
        "## One by one\n",
        *(_section(entry) for entry in entries),
        OWN,
    ]
    return "\n".join(parts)


def without_costs(text: str) -> str:
    """The page without what was measured."""
    rows = re.sub(r"^(\| \[`.*\|)[^|]*\|$", r"\1 |", text, flags=re.M)
    return re.sub(r"^Cost: .*?\n\n", "\n\n", rows, flags=re.M | re.S)


def measured() -> Mapping[str, Any] | None:
    """What benchmarks/methods.py wrote, where it did."""
    return json.loads(COSTS.read_text(encoding="utf-8")) if COSTS.is_file() else None


def _table(entries: Sequence[MethodEntry], costs: Mapping[str, Any]) -> str:
    lines = ["| method | explains | passes | needs | random | cost |", "| --- | --- | --- | --- | --- | --- |"]
    for entry in entries:
        of_towers = costs.get("methods", {}).get(entry.name, {})
        told = " / ".join(f"{of_towers[tower]:.2f}" if tower in of_towers else "–" for tower in ("image", "text"))
        cells = [
            f"[`{entry.name}`](#{entry.name})",
            " and ".join(entry.towers),
            entry.passes,
            ", ".join(entry.needs),
            "no" if entry.deterministic else "seeded",
            told if of_towers else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _measured(costs: Mapping[str, Any] | None) -> str:
    if costs is None:
        return "Cost: not measured yet (`python benchmarks/methods.py`).\n"
    told = (
        f"Cost: image map / text map, in plain image forwards of the same model ({costs['model']}; {costs['clock']} "
        "clock), default parameters, the other side's embedding given. `python benchmarks/methods.py` measures it."
    )
    return textwrap.fill(told, 118) + "\n"


def _needs() -> str:
    lines = "\n".join(f"- **{need}**: {what}." for need, what in NEEDS.items())
    return (
        "## What a method may need\n\n"
        f"{lines}\n\n"
        "A tower says what it lacks, and a method that needs it is refused in one line, which names methods that do\n"
        "work. A text tower that cannot serve a method costs the word scores alone; a note says so.\n"
    )


def _looks() -> str:
    return "\n".join(
        textwrap.fill(f"- **{name}**: {why}", 118, subsequent_indent="  ", break_on_hyphens=False)
        for name, why in LOOKS.items()
    )


def _section(entry: MethodEntry) -> str:
    kind = METHODS[entry.name]
    facts = {
        "Source": entry.source,
        "Explains": " and ".join(entry.towers),
        "Passes": entry.passes,
        "Needs": ", ".join(entry.needs),
        "Random": "no, the same every time" if entry.deterministic else f"the seed draws {entry.draws}",
    }
    parts = [f"### {entry.name}\n", _filled(entry.summary), _code(entry.equation)]
    parts.append("\n".join(f"- {name}: {value}." for name, value in facts.items()) + "\n")
    if entry.parameters:
        about = _about_parameters(kind)
        lines = ["| parameter | default | |", "| --- | --- | --- |"]
        for name, default in entry.parameters.items():
            lines.append(f"| `{name}` | `{default!r}` | {_cell(about.get(name, ''))} |")
        parts.append("\n".join(lines) + "\n")
    if entry.errors:
        parts.append("Known errors and gaps of the source, and what is done here:\n")
        parts.append("\n".join(_item(error) for error in entry.errors) + "\n")
    return "\n".join(parts)


def _about_parameters(kind: type[Any]) -> dict[str, str]:
    """What the docstrings of a class and its bases say about each parameter."""
    found: dict[str, str] = {}
    for above in reversed(kind.__mro__):
        text = inspect.cleandoc(above.__dict__.get("__doc__") or "")
        section = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.M)
        for item in re.findall(r"^    (\w+): ((?:.*\n?)(?:^        .*\n?)*)", section[1] if section else "", re.M):
            found[item[0]] = " ".join(item[1].split())
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _item(text: str) -> str:
    return textwrap.fill(f"- {text}", 118, subsequent_indent="  ", break_on_hyphens=False)


def _filled(text: str) -> str:
    return textwrap.fill(text, 118, break_on_hyphens=False) + "\n"


def _code(text: str) -> str:
    lines = [
        textwrap.fill(part, 112, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False)
        for part in text.split("; ")
    ]
    return "\n".join(lines) + "\n"


def _film() -> Sample:
    return next(sample for sample in samples() if sample.name == FILM)


def _phrase() -> str:
    return simulated()[1]


def simulated() -> tuple[matex.Film, str, np.ndarray]:
    """The simulated film, the phrase and the true mask."""
    normal = next(sample for sample in samples() if sample.name == NORMAL)
    made = simulate(matex.read(normal.path).pixels, SEED, **FINDING)
    return matex.read(made.image).known_as("PA", None), canonical(**FINDING), made.findings[0].mask


def sheet(film: matex.Film, phrase: str, draw_truth: Callable[[Image.Image], None]) -> Image.Image:
    """The film and the map of every method on it."""
    model = matex.load("tiny")
    names = [entry.name for entry in matex.methods() if entry.plugin is None]
    made = matex.compare(model, film, phrase, names, skip_unsupported=True, progress=True)
    tiles = {"the film": draw_film(film, (TILE, TILE))}
    tiles |= {name: overlay(made[name], TILE) if name in made else _refused(model, name) for name in names}
    rows = -(-len(tiles) // COLUMNS)
    whole = Image.new("RGB", (COLUMNS * (TILE + 4), rows * (TILE + CAPTION + 4)), "white")
    pen = ImageDraw.Draw(whole)
    for number, (name, tile) in enumerate(tiles.items()):
        x, y = number % COLUMNS * (TILE + 4), number // COLUMNS * (TILE + CAPTION + 4)
        if name in made or name == "the film":
            draw_truth(tile)
        whole.paste(tile, (x, y + CAPTION))
        pen.text((x + 2, y + 3), name, font=font(15), fill="black")
    return whole


def _refused(model: matex.Model, name: str) -> Image.Image:
    """What stands in place of a map that the bundled model cannot give."""
    lacking = next(model.image.missing[need] for need in METHODS[name].needs if need in model.image.missing)
    tile = Image.new("RGB", (TILE, TILE), "#dddddd")
    told = "\n".join(textwrap.wrap(f"refused: {lacking}", 24))
    ImageDraw.Draw(tile).multiline_text((14, 90), told, font=font(15), fill="black")
    return tile


def _outline(mask: np.ndarray) -> Callable[[Image.Image], None]:
    """Draws the border of a mask of the film's size."""
    small = Image.fromarray(mask.astype(np.uint8) * 255).resize((TILE, TILE)).point(lambda v: 255 * (v > 127))
    border = ImageChops.difference(small.filter(ImageFilter.MaxFilter(3)), small)
    return lambda tile: tile.paste(TRUTH, (0, 0), border)


def _boxes(sample: Sample) -> Callable[[Image.Image], None]:
    """Draws the boxes of a bundled film."""

    def draw(tile: Image.Image) -> None:
        across, down = TILE / sample.width, TILE / sample.height
        for x0, y0, x1, y1 in sample.boxes:
            ImageDraw.Draw(tile).rectangle((x0 * across, y0 * down, x1 * across, y1 * down), outline=TRUTH)

    return draw


def make_pictures() -> None:
    """Write both contact sheets."""
    sample = _film()
    film, phrase, mask = simulated()
    for path, drawn in (
        (PICTURES["film"], (matex.read(sample.path).known_as(sample.view, None), sample.demo_phrase, _boxes(sample))),
        (PICTURES["simulated"], (film, phrase, _outline(mask))),
    ):
        path.parent.mkdir(exist_ok=True)
        sheet(*drawn).save(path, quality=82, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--page", action="store_true", help="write the page alone")
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", message="laterality='paper'")  # said on the page
    PAGE.write_text(page(measured()), encoding="utf-8")
    if not chosen.page:
        make_pictures()


if __name__ == "__main__":
    main()
