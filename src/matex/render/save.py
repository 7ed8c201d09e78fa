"""Save explanations: five files in a folder, or a folder for each of several explanations with a page about all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from matex.files import GRIDS, RUN, RUN_FORMAT, TARGET_MAP, TARGET_OVERLAY, writing
from matex.render.framed import framed_overlay
from matex.render.overlay import target_overlay
from matex.render.page import PNG_LEVEL
from matex.render.panel import panel
from matex.render.report import page
from matex.results import DISCLAIMER, Explanation, SaliencyMap
from matex.serialise import grids, strict_json, to_dict


def save(explanation: Explanation, folder: Path) -> Path:
    """Write the five files of an explanation into a folder, which is made when it is missing.

    All of them are written in a temporary folder first: when something fails, the folder holds what it held
    before. What an earlier run left in the folder goes, so that it never holds results of two films.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    with writing(folder, alone=True) as temporary:
        _write(explanation, temporary)
    return folder


def save_run(explanations: Mapping[str, Explanation], folder: Path, page: str, progress: bool = False) -> Path:
    """Write several explanations of one command, a folder for each name, with one page about all: all or nothing.

    Raises:
        InputError: a folder that cannot be made or written to.
    """
    with writing(folder, alone=True) as temporary:
        for name, explanation in tqdm(explanations.items(), desc="writing", disable=not progress):
            (temporary / name).mkdir()
            _write(explanation, temporary / name)
        (temporary / "report.html").write_text(page, encoding="utf-8")
        index = {
            name: {"film": one.film.sha256, "text": one.text, "method": one.method, "score": one.score}
            for name, one in explanations.items()
        }
        text = strict_json({"format": RUN_FORMAT, "disclaimer": DISCLAIMER, "folders": index})
        (temporary / RUN).write_text(text + "\n", encoding="utf-8")
    return folder


def _write(explanation: Explanation, folder: Path) -> None:
    (folder / "explanation.json").write_text(strict_json(to_dict(explanation)) + "\n", encoding="utf-8")
    _write_map(explanation.image, folder / "image_map.npy")
    (folder / GRIDS).write_bytes(grids(explanation))
    framed_overlay(explanation).save(folder / "overlay.png", "PNG", compress_level=PNG_LEVEL)
    if explanation.target is not None:
        _write_map(explanation.target, folder / TARGET_MAP)
        target_overlay(explanation, explanation.target).save(folder / TARGET_OVERLAY, "PNG", compress_level=PNG_LEVEL)
    panel(explanation).save(folder / "panel.png", "PNG", compress_level=PNG_LEVEL)
    (folder / "report.html").write_text(page([explanation], "Explanation"), encoding="utf-8")


def _write_map(image: SaliencyMap, path: Path) -> None:
    """The map in original pixels as .npy, some rows at a time: of a huge film it is several times the film.

    The file is Python's own, since numpy's writing to a file hides that a disk is full.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": image.placement.original}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for _, rows in image.bands():
            stream.write(rows.astype("<f4", order="C", copy=False).data)
