"""Training of the lung segmenter that `matex.simulation.find_lungs` runs: `python -m matex.simulation.training.lungs`.

A small U-Net is fitted to hand-drawn contours (lung_contours.jsonl) under strong augmentation, labels further films,
and is fitted again to both. Opacities are painted over the lungs of the augmented films while the labels stay, so that
the network learns where a lung lies behind a finding.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors import numpy as safetensors
from torch import Tensor, nn
from torch.nn import functional as F

from matex.simulation.segmenter import CHANNELS, SIZE, WEIGHTS

FINE = 2 * SIZE
"""Resolution of the films before augmentation; the network reads the mean of 2 x 2 samples."""
CONTOURS = Path(__file__).parent / "lung_contours.jsonl"


class UNet(nn.Module):
    """Two 3 x 3 convolutions per level, max pooling down, nearest neighbour up, skips concatenated.

    Batch normalisation follows each convolution in training and is folded into its weights by `export`.
    """

    def __init__(self) -> None:
        super().__init__()
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        before = 1
        for width in CHANNELS:
            down.append(nn.Sequential(*_convolution(before, width), *_convolution(width, width)))
            before = width
        for width in reversed(CHANNELS[:-1]):
            up.append(nn.Sequential(*_convolution(before + width, width), *_convolution(width, width)))
            before = width
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.head = nn.Conv2d(before, 2, 1)

    def forward(self, films: Tensor) -> Tensor:
        """[batch, 1, SIZE, SIZE] standardised films -> logits [batch, 2, SIZE, SIZE], the image's left lung first."""
        skips: list[Tensor] = []
        values = films
        for level, block in enumerate(self.down):
            values = block(values if level == 0 else F.max_pool2d(values, 2))
            skips.append(values)
        for skip, block in zip(reversed(skips[:-1]), self.up, strict=True):
            values = block(torch.cat([F.interpolate(values, scale_factor=2.0, mode="nearest"), skip], dim=1))
        return self.head(values)


def _convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]


def export(network: UNet) -> dict[str, NDArray[np.float16]]:
    """Weights for `segmenter`, batch normalisation folded in: kernels [3, 3, out, in] and biases in order of use."""
    network = network.eval()
    arrays: list[tuple[Tensor, Tensor]] = []
    for block in [*network.down, *network.up]:
        convolutions = [layer for layer in block.children() if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in block.children() if isinstance(layer, nn.BatchNorm2d)]
        for convolution, norm in zip(convolutions, norms, strict=True):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            arrays.append((convolution.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain))
    assert network.head.bias is not None
    arrays.append((network.head.weight, network.head.bias))
    named: dict[str, NDArray[np.float16]] = {}
    for index, (kernel, bias) in enumerate(arrays):
        named[f"kernel{index}"] = kernel.detach().permute(2, 3, 0, 1).contiguous().numpy().astype(np.float16)
        named[f"bias{index}"] = bias.detach().numpy().astype(np.float16)
    return named


# ---------------------------------------------------------------------------------------------------- films and labels


def read_film(path: Path) -> Tensor:
    """[1, FINE, FINE] in [0, 1]."""
    film = Image.open(path).convert("L").resize((FINE, FINE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(film, dtype=np.float32) / 255)[None]


def draw(contours: list[list[list[float]]]) -> Tensor:
    """[2, FINE, FINE] coverage of each polygon, whose corners are in percent of the film."""
    masks: list[NDArray[np.float32]] = []
    for contour in contours:
        canvas = Image.new("L", (4 * FINE, 4 * FINE))
        corners = [(4 * FINE * x / 100, 4 * FINE * y / 100) for x, y in contour]
        ImageDraw.Draw(canvas).polygon(corners, fill=255)
        masks.append(np.asarray(canvas.resize((FINE, FINE), Image.Resampling.BOX), dtype=np.float32))
    return torch.from_numpy(np.stack(masks) / 255)


def drawn(data: Path) -> tuple[Tensor, Tensor]:
    """The films with hand-drawn contours and their masks: [film, 1, FINE, FINE], [film, 2, FINE, FINE]."""
    rows = [json.loads(line) for line in CONTOURS.read_text().splitlines()]
    films = torch.stack([read_film(data / row["image"]) for row in rows])
    return films, torch.stack([draw([row["right"], row["left"]]) for row in rows])


def unlabelled(data: Path, count: int, generator: torch.Generator) -> Tensor:
    """Training films of every collection, `count` of each, [film, 1, FINE, FINE]."""
    films: list[Tensor] = []
    for folder in ("normals", "nih", "kermany"):
        rows = [json.loads(line) for line in (data / folder / "manifest.jsonl").read_text().splitlines()]
        paths = [data / folder / row["image"] for row in rows if row["split"] == "train"]
        order = cast(list[int], torch.randperm(len(paths), generator=generator)[:count].tolist())
        films += [read_film(paths[index]) for index in order]
    return torch.stack(films)


# ----------------------------------------------------------------------------------------------------- augmentation


def augment(films: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift, scale, turn, bend and mirror films and masks together; change grey levels and paint over the films alone.

    Returns:
        standardised films [batch, 1, SIZE, SIZE] and masks [batch, 2, SIZE, SIZE].
    """
    count = len(films)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand((count, *shape), generator=generator)

    turn = uniform(-0.17, 0.17)
    scale = torch.exp(uniform(-0.25, 0.25)[:, None] + uniform(-0.12, 0.12, 2))
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0], affine[:, 0, 1] = torch.cos(turn) * scale[:, 0], -torch.sin(turn) * scale[:, 1]
    affine[:, 1, 0], affine[:, 1, 1] = torch.sin(turn) * scale[:, 0], torch.cos(turn) * scale[:, 1]
    affine[:, :, 2] = uniform(-0.2, 0.2, 2)
    where = F.affine_grid(affine, [count, 1, FINE, FINE], align_corners=False)
    bend = F.interpolate(uniform(-0.05, 0.05, 2, 5, 5), size=(FINE, FINE), mode="bicubic", align_corners=True)
    where = where + bend.permute(0, 2, 3, 1)
    padding = "zeros" if torch.rand((), generator=generator) < 0.5 else "border"
    films = F.avg_pool2d(F.grid_sample(films, where, padding_mode=padding, align_corners=False), 2)
    masks = F.avg_pool2d(F.grid_sample(masks, where, align_corners=False), 2)
    mirrored = uniform(0, 1) < 0.5
    films = torch.where(mirrored[:, None, None, None], films.flip(-1), films)
    masks = torch.where(mirrored[:, None, None, None], masks.flip(-1).flip(1), masks)

    films = _paint(films, masks, uniform)
    films = films.clamp(0, 1) ** torch.exp(uniform(-0.6, 0.6, 1, 1, 1))
    slope = F.interpolate(uniform(-0.25, 0.25, 1, 2, 2), size=(SIZE, SIZE), mode="bilinear", align_corners=True)
    films = films + slope + uniform(0, 0.05, 1, 1, 1) * torch.randn(films.shape, generator=generator)
    return standardised(films), masks


def _paint(films: Tensor, masks: Tensor, uniform: Callable[..., Tensor]) -> Tensor:
    """Opacities: soft blobs inside the lungs, fluid from below, and bright boxes as of devices and letters."""
    rows = (torch.arange(SIZE) + 0.5) / SIZE
    y, x = rows[None, :, None], rows[None, None, :]
    lungs = masks.sum(dim=1, keepdim=True).clamp(0, 1)
    for _ in range(3):
        centre, size = uniform(0.15, 0.85, 2), uniform(0.05, 0.25, 2)
        blob = torch.exp(
            -(((x - centre[:, :1, None]) / size[:, :1, None]) ** 2)
            - ((y - centre[:, 1:, None]) / size[:, 1:, None]) ** 2
        )
        strength = uniform(0, 1) * (uniform(0, 1) < 0.35)
        films = films + (strength[:, None, None, None] * blob[:, None] * lungs * (0.9 - films).clamp(0, 1))
    level, side = uniform(0.45, 0.8), (uniform(0, 1) < 0.5).long()
    fluid = torch.sigmoid((y - level[:, None, None]) / 0.03)[:, None]
    one_lung = masks[torch.arange(len(films)), side][:, None]
    strength = uniform(0, 1) * (uniform(0, 1) < 0.25)
    films = films + strength[:, None, None, None] * fluid * one_lung * (0.85 - films).clamp(0, 1)
    low = uniform(0, 0.95, 2)
    high = low + uniform(0.01, 0.08, 2)
    box = (x > low[:, :1, None]) & (x < high[:, :1, None]) & (y > low[:, 1:, None]) & (y < high[:, 1:, None])
    shown = (uniform(0, 1) < 0.3)[:, None, None, None]
    return torch.where(box[:, None] & shown, torch.ones_like(films), films)


def standardised(films: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 per film."""
    mean = films.mean(dim=(1, 2, 3), keepdim=True)
    return (films - mean) / films.std(dim=(1, 2, 3), keepdim=True).clamp(min=1e-3)


# --------------------------------------------------------------------------------------------------------- training


def fit(
    films: Tensor, masks: Tensor, share: Tensor, steps: int, batch: int, rate: float, generator: torch.Generator
) -> UNet:
    """Train a network from scratch; `share` [film] are the chances to be drawn."""
    network = UNet()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    started = time.monotonic()
    for step in range(steps):
        chosen = torch.multinomial(share, batch, replacement=True, generator=generator)
        inputs, targets = augment(films[chosen], masks[chosen], generator)
        logits = network(inputs)
        overlap = (torch.sigmoid(logits) * targets).sum(dim=(2, 3))
        total = (torch.sigmoid(logits) + targets).sum(dim=(2, 3))
        loss = F.binary_cross_entropy_with_logits(logits, targets) + (1 - (2 * overlap + 1) / (total + 1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1}/{steps} loss {loss.item():.3f} {time.monotonic() - started:.0f} s", flush=True)
    return network.eval()


@torch.no_grad()
def label(network: UNet, films: Tensor) -> tuple[Tensor, Tensor]:
    """Soft masks at FINE, mean over the film and its mirror image, and whether both agree (IoU above .85 per lung)."""
    masks: list[Tensor] = []
    agree: list[Tensor] = []
    for some in torch.split(films, 64):
        inputs = standardised(F.avg_pool2d(some, 2))
        straight = torch.sigmoid(network(inputs))
        mirrored = torch.sigmoid(network(inputs.flip(-1))).flip(-1).flip(1)
        one, other = straight > 0.5, mirrored > 0.5
        joint = (one | other).sum(dim=(2, 3)).clamp(min=1)
        large = one.float().mean(dim=(2, 3)) > 0.03
        agree.append((((one & other).sum(dim=(2, 3)) / joint > 0.85) & large).all(dim=1))
        masks.append(F.interpolate((straight + mirrored) / 2, size=(FINE, FINE), mode="bilinear"))
    return torch.cat(masks), torch.cat(agree)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, nargs=2, default=(1500, 3500))
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--unlabelled", type=int, default=400, help="films of each collection that are labelled")
    given = parser.parse_args()
    torch.set_num_threads(1)  # small layers: further threads cost more than they bring
    torch.manual_seed(given.seed)
    generator = torch.Generator().manual_seed(given.seed)
    films, masks = drawn(given.data)
    first = fit(films, masks, torch.ones(len(films)), given.steps[0], given.batch, given.rate, generator)
    more = unlabelled(given.data, given.unlabelled, generator)
    guessed, agree = label(first, more)
    print(f"{int(agree.sum())} of {len(more)} further films labelled alike straight and mirrored")
    more, guessed = more[agree], guessed[agree]
    share = torch.cat([torch.full((len(films),), 0.5 / len(films)), torch.full((len(more),), 0.5 / len(more))])
    everything, targets = torch.cat([films, more]), torch.cat([masks, guessed])
    network = fit(everything, targets, share, given.steps[1], given.batch, given.rate, generator)
    safetensors.save_file(export(network), given.out)
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
