"""matex demo: the bundled radiographs, explained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from matex.cli.inputs import read_film
from matex.cli.option_groups import ModelOptions
from matex.cli.options import MethodOption, PluginOption
from matex.cli.printing import on_terminal, print_notes

LEAD = (
    "Real films that ship with the package (see NOTICE), phrases written for this demonstration, and {model}. "
    "Dashed boxes are what radiologists marked."
)
TINY = (
    "the bundled model, a small CLIP trained on simulated findings: for trying things out, some of its maps are wrong"
)


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to write to.")] = Path("demo"),
    method: MethodOption = "matex",
    *,
    model: ModelOptions,
    plugin: PluginOption = None,
) -> None:
    """Explain the bundled radiographs.

    Writes one page about all of them and a folder for each.
    """
    import matex
    from matex.files import check_folder
    from matex.render.panel import format_score, model_name
    from matex.render.report import page
    from matex.render.save import save_run
    from matex.samples import samples

    check_folder(out)
    loaded = model.load()
    pairs = [(read_film(sample.path, sample.view, None), sample.demo_phrase) for sample in samples()]
    explanations = matex.explain_batch(loaded, pairs, method, progress=on_terminal())
    lead = LEAD.format(model=TINY if loaded.name == "tiny" else f"the model {model_name(explanations[0])}")
    title = f"{len(explanations)} radiographs, explained"
    html = page(explanations, title, lead, boxes=[sample.boxes for sample in samples()])
    by_name = {explanation.film.name: explanation for explanation in explanations}
    save_run(by_name, out, html, progress=on_terminal())
    for explanation in explanations:
        print(f"{format_score(explanation.score):>6}  {explanation.film.name:24} {explanation.text}")
    print_notes(by_name)
    print(f"\nOpen {out / 'report.html'}; each film has a folder of its own in {out}. Not for diagnosis.")
    model.report_default()
