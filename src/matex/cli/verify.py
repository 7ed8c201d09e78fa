"""matex verify: reproduce a saved explanation and compare."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from matex.checks import number
from matex.cli.options import (
    DeviceOption,
    JsonOption,
    LungMaskOption,
    PluginOption,
    TokenizerOption,
    complete_model,
)
from matex.cli.printing import print_json
from matex.errors import InputError

if TYPE_CHECKING:
    from matex.encoder_choice import Target
    from matex.geometry import Resize


def verify(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that matex explain wrote.")],
    image: Annotated[
        str | None, typer.Option(help="The image, when it lies neither next to OUT nor in this folder.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="The model, when it is not where the record states.", autocompletion=complete_model),
    ] = None,
    lung_mask: LungMaskOption = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Of the map in [0, 1] and of the score, 0 or more.", show_default="0.001")
    ] = None,
    tokenizer: TokenizerOption = None,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
    json: JsonOption = False,
) -> None:
    """Reproduce a saved explanation and compare.

    The exit code is 2 when the map or the score differs. The image is found by its checksum: next to OUT, in the
    current folder, or among the bundled films.
    """
    import matex
    from matex.explained_score import ScoreArguments
    from matex.objectives import ClassScore, read_objective
    from matex.saved import (
        load_grids,
        load_saved,
        read_recorded,
        read_target,
        recorded_domain,
        recorded_parameters,
    )
    from matex.verify import TOLERANCE, compare, load_recorded

    tolerance = TOLERANCE if tolerance is None else number(tolerance, "--tolerance", 0)
    saved = load_saved(out)
    recorded = recorded_parameters(saved)
    objective = read_objective(saved.read("provenance", dict[str, object]).get("objective"))
    film, target = read_recorded(saved, image), read_target(saved)
    mask = load_grids(saved).get("lung_mask")
    if saved["provenance.lung_mask"] and lung_mask is None and mask is None:
        raise InputError("This explanation was made with a lung mask. Name it with --lung-mask.")
    if lung_mask is not None:
        from matex.mask_files import read_mask

        mask = read_mask(lung_mask, film)
    text: Target = saved.read("text", str)
    explained = ScoreArguments()
    if isinstance(objective, ClassScore):
        text = objective.explained
        explained = {"labels": objective.classes, "of": objective.of, "pool": objective.pool}
    elif objective is not None:
        explained = {"against": objective.against}
    repeated = matex.explain(
        load_recorded(saved, model, tokenizer, device),
        film,
        text if target is None else target,
        saved.read("method", str),
        resize=cast("Resize", saved.read("provenance.resize", str)),  # explain refuses what there is not
        domain="chest" if saved["provenance.domain"] in ("sound", "sensor") else recorded_domain(saved),
        lung_mask=mask,
        **explained,
        **recorded,
    )
    verdict = compare(saved, repeated, tolerance)
    if json:
        print_json({**dataclasses.asdict(verdict), "same": verdict.same})
    else:
        for remark in verdict.remarks:
            print(f"note: {remark}")
        if verdict.same:
            print(f"same: map within {verdict.map_difference:.1g}, score within {verdict.score_difference:.1g}")
    if not verdict.same:
        raise InputError(f"Expected the recorded explanation, got another: {'; '.join(verdict.differences)}.")
