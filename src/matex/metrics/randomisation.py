"""Model randomisation test: a map that survives randomised weights does not depend on what the model learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from matex.adapters.encoder import staged
from matex.adapters.model import Model
from matex.adapters.randomise import Scheme, randomised
from matex.checks import check, check_once, check_seed
from matex.metrics.embedding import model_of
from matex.metrics.metric import METRICS, Case, Columns, Direction, Need
from matex.metrics.reexplain import Maps, explain_again, original
from matex.metrics.similarity import MEASURES, spearman

Order = Literal["cascade", "independent"]


@METRICS("randomisation")
@dataclass(frozen=True)
class Randomisation:
    """Similarity of the map to that of the model with randomised image-tower weights, from the output back.

    Columns are `<order>/<stage>/<measure>`, with stages projection, norm, block L-1, ..., block 0, embeddings and
    measures spearman, spearman_abs, ssim and overlap of the highest tenth; `<order>/<stage>/<component>/spearman`
    for each term of methods that have terms, as the spatial prior survives randomisation. `spearman`, `spearman_abs`,
    `ssim` and `overlap` without a stage are those of the completely randomised tower. NaN where a map is constant.

    Args:
        orders: "cascade" randomises a stage together with all those nearer to the output, "independent" each alone.
        seed: of the random weights.
        scheme: "normal" samples from a normal of the tensor's own mean and deviation, "permute" shuffles its entries.
        batch_size: images run at once.

    Source:
        "Sanity Checks for Saliency Maps", arXiv:1810.03292; METHODS 17.7. The phrase's embedding stays the same.
    """

    orders: tuple[Order, ...] = ("cascade", "independent")
    seed: int = 0
    scheme: Scheme = "normal"
    batch_size: int = 16

    needs: ClassVar[tuple[Need, ...]] = ("image",)
    dataset_level: ClassVar[bool] = False
    explains_again: ClassVar[bool] = True
    better: ClassVar[Mapping[str, Direction]] = dict.fromkeys(MEASURES, "lower")
    source: ClassVar[str] = "arXiv:1810.03292"

    def __post_init__(self) -> None:
        known = {"cascade", "independent"}
        check(
            bool(self.orders) and set(self.orders) <= known, "orders", "to be of cascade and independent", self.orders
        )
        check_once("one of orders", self.orders)
        check(self.scheme in ("normal", "permute"), "scheme", "to be one of normal, permute", self.scheme)
        check(self.batch_size >= 1, "batch_size", "of 1 or more", self.batch_size)
        check_seed(self.seed)

    def __call__(self, cases: Sequence[Case]) -> Columns:
        if not cases:
            return {}
        model = model_of(cases)
        original_maps = original(cases)
        names = list(staged(model.image).stages())
        columns: Columns = {}
        for order in self.orders:
            for number, stage in enumerate(names):
                stages = names[: number + 1] if order == "cascade" else [stage]
                randomised_maps = self._maps(model, cases, stages)
                columns |= {
                    f"{order}/{stage}/{name}": values
                    for name, values in _similarity(original_maps, randomised_maps).items()
                }
        last = f"cascade/{names[-1]}"
        if "cascade" not in self.orders:
            complete = _similarity(original_maps, self._maps(model, cases, names))
            return {name: complete[name] for name in MEASURES} | columns
        return {name: columns[f"{last}/{name}"] for name in MEASURES} | columns

    def _maps(self, model: Model, cases: Sequence[Case], names: Sequence[str]) -> Maps:
        other = randomised(model, self.seed, [f"image {name}" for name in names], self.scheme)
        return explain_again(other, cases, torch.stack([case.pixels for case in cases]), self.batch_size)


def _similarity(original_maps: Maps, randomised_maps: Maps) -> Columns:
    """Every similarity measure of the maps and the rank correlation of every component, one value per case."""
    device = randomised_maps.values.device
    columns = {
        name: measure(original_maps.values.to(device), randomised_maps.values) for name, measure in MEASURES.items()
    }
    for name, component in randomised_maps.components.items():
        columns[f"{name}/spearman"] = spearman(original_maps.components[name].to(device), component)
    return {name: values.cpu().numpy() for name, values in columns.items()}
