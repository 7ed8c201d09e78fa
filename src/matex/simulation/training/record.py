"""The training record that ships with the model: training.json for programs, TRAINING.md for people."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DATA = {
    "normals": "3600 RSNA 2018 normal films (NIH Clinical Center), train split",
    "nih": "NIH ChestX-ray14 films with labels, train split by patient",
    "kermany": "Kermany et al. 2018 paediatric films, CC BY 4.0, train split by patient",
}
ATTRIBUTION = """\
- NIH ChestX-ray14: the NIH Clinical Center provided the images, https://nihcc.app.box.com/v/ChestXray-NIHCC; \
Wang et al., "ChestX-ray8", CVPR 2017.
- RSNA normal films: RSNA Pneumonia Detection Challenge 2018 (Shih et al., Radiology: Artificial Intelligence 2019), \
by way of the COVID-19 Radiography Database (Chowdhury et al. 2020; Rahman et al. 2021).
- Paediatric films: Kermany et al., "Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep \
Learning", Cell 2018; Mendeley Data rscbjbr9sj, CC BY 4.0.
"""
KIND = {"clip": "CLIP", "siglip": "SigLIP"}
CURVES = ("image", "text", "pairs", "local", "patches", "guide", "readout", "patch", "kind")


def write_record(folder: Path, work: Path, evaluation: dict[str, Any], command: str, notes: Sequence[str] = ()) -> None:
    """Write `training.json` and `TRAINING.md` next to the weights.

    Args:
        folder: the exported model.
        work: where the training left `recipe.json` and `curves.jsonl`.
        evaluation: what `evaluate` returned for this model.
        command: how the training was started, without paths of this machine.
        notes: what else somebody must know to make such a model again.
    """
    recipe = json.loads((work / "recipe.json").read_text(encoding="utf-8"))
    curves = [json.loads(line) for line in (work / "curves.jsonl").read_text(encoding="utf-8").splitlines()]
    last = curves[-1]
    obvious, real = evaluation["obvious"], evaluation["real"]["boxes_against_normals"]
    record = {
        "name": folder.name,
        "summary": (
            f"{KIND[recipe['family']]} from scratch on simulated findings in real normal films and on labelled real "
            f"films; "
            f"{last['step']} steps of {recipe['batch']} films; on unseen simulated films top-1 retrieval "
            f"{obvious['top1']:.3f}, side {obvious['side']:.3f}, zone {obvious['zone']:.3f}; on real films "
            f"opacity against normal AUC {real['auc']:.3f}; not for diagnosis"
        ),
        "data": DATA,
        "seed": recipe["seed"],
        "steps": last["step"],
        "minutes": last["minutes"],
        "command": command,
        "notes": list(notes),
        "recipe": recipe,
        "weights_sha256": hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        "curves": _thin(curves),
        "evaluation": evaluation,
    }
    (folder / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (folder / "TRAINING.md").write_text(_page(record), encoding="utf-8")


def _thin(curves: list[dict[str, Any]], rows: int = 16) -> list[dict[str, Any]]:
    """Rows of the curves at even distances, the last one included."""
    step = max(1, len(curves) // rows)
    return curves[::-1][::step][::-1]


def _page(record: dict[str, Any]) -> str:
    evaluation = record["evaluation"]
    curves = "\n".join(
        f"| {row['step']} | {row['minutes']:.1f} | {row['simulated']} | "
        + " | ".join(f"{row[name]:.3f}" if name in row else "" for name in CURVES)
        + " |"
        for row in record["curves"]
    )
    return f"""# Training record of `{record["name"]}`

Not for diagnosis. {record["summary"][0].upper()}{record["summary"][1:]}.

- Data: {"; ".join(record["data"].values())}. Nothing of the val splits and nothing of the films with boxes.
- Command: `{record["command"]}`
- Seed {record["seed"]}, {record["steps"]} steps, {record["minutes"]:.0f} minutes.
{"".join(f"- {note}{chr(10)}" for note in record["notes"])}- sha256 of model.safetensors: `{record["weights_sha256"]}`

## Numbers

{tables(evaluation)}
## Curves

Losses, each averaged over 50 steps. `image` and `text` are the two contrastive directions; `local` asks which
patches a phrase speaks of, `patches` which phrase a patch belongs to. The others are auxiliary, as weighted at that
step; they fade out and leave no weights behind.

| step | minutes | films simulated | {" | ".join(CURVES)} |
| --- | --- | --- | {" | ".join("---" for _ in CURVES)} |
{curves}

## Attribution

{ATTRIBUTION}"""


def tables(evaluation: dict[str, Any]) -> str:
    """The evaluation as Markdown tables."""
    tiers = ("obvious", "moderate", "subtle")
    lines = [
        "Simulated findings in normal films of the val split, one per film; "
        f"{evaluation['phrases']} candidate phrases, seed {evaluation['seed']}.",
        "",
        "| tier | films | top-1 phrase | finding | side | zone | side, finding given | zone, finding given "
        "| peak of patch map on finding | patch AUC |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for tier in tiers:
        row = evaluation[tier]
        maps = row["patch_maps"]
        shares = ("top1", "finding", "side", "zone", "side_given_finding", "zone_given_finding")
        values = [row[name] for name in shares]
        values += [maps["peak_on_finding"], maps["patch_auc"]]
        lines.append(
            f"| {tier} | {row['films']} | "
            + " | ".join("–" if value is None else f"{value:.3f}" for value in values)
            + " |"
        )
    lines += ["", "| top-1 phrase by finding | " + " | ".join(tiers) + " |", "| --- | --- | --- | --- |"]
    for name in evaluation["obvious"]["top1_by_finding"]:
        shares = [f"{evaluation[tier]['top1_by_finding'][name]:.2f}" for tier in tiers]
        lines.append(f"| {name} | " + " | ".join(shares) + " |")
    for key, title in (("top1_by_size_cm", "size, cm"), ("top1_by_contrast", "contrast")):
        lines += ["", f"| {title} (all tiers) | films | top-1 phrase |", "| --- | --- | --- |"]
        for name, cell in evaluation[key].items():
            share = "none" if cell["top1"] is None else f"{cell['top1']:.3f}"
            lines.append(f"| {name} | {cell['films']} | {share} |")
    two = evaluation["two_findings"]
    peak = two["patch_maps"]["peak_on_finding"]
    lines += [
        "",
        f"Two findings in a film ({two['films']} films): the named phrase scores above the same finding on the other "
        f"side in {two['named_above_other_side']:.3f}; both findings' phrases are the two best of all in "
        f"{two['both_on_top_of_all_phrases']:.3f}"
        + (f"; the patch map of each phrase peaks on its own finding in {peak:.3f}." if peak is not None else "."),
        "",
        '| real films, "lung opacity" minus "no finding" | films (ill, normal) | AUC |',
        "| --- | --- | --- |",
    ]
    for key, title in (
        ("boxes_against_normals", "NIH films with RSNA opacity boxes against RSNA normal films"),
        ("nih_val", "NIH infiltration, pneumonia, consolidation against no finding, val"),
        ("kermany_val", "paediatric pneumonia against normal, val"),
    ):
        cell = evaluation["real"][key]
        lines.append(f"| {title} | {cell['films'][0]}, {cell['films'][1]} | {cell['auc']:.3f} |")
    return "\n".join(lines) + "\n"
