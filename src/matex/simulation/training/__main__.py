"""Train the bundled model, or measure one: `python -m matex.simulation.training [evaluate | record] ...`."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import get_args

from matex.simulation.training.families import Name
from matex.simulation.training.recipe import Recipe, Supervision
from matex.simulation.training.train import train


def main(arguments: list[str]) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments[:1] in (["evaluate"], ["record"]):
        _evaluate(arguments[0], arguments[1:])
    else:
        _train(arguments)


def _train(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m matex.simulation.training", description="Train the model.")
    parser.add_argument("--data", type=Path, required=True, help="folder with normals, nih and kermany")
    parser.add_argument("--out", type=Path, required=True, help="where the model goes")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=Recipe.minutes, help="length of the schedule")
    length.add_argument("--steps", type=int, help="length of the schedule in steps instead of minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate films")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--small", type=float, default=Recipe.small, help="share of the schedule at 64 px")
    parser.add_argument("--batch", type=int, default=Recipe.batch, help="films per step")
    parser.add_argument("--rate", type=float, default=Recipe.rate, help="highest learning rate")
    parser.add_argument("--fresh", type=int, default=Recipe.fresh, help="most new simulated films per step")
    work = Path(tempfile.gettempdir()) / "matex-training"
    parser.add_argument("--work", type=Path, default=work, help="checkpoints and curves (default: %(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --work")
    parser.add_argument("--start", type=Path, help="a model trained here before, to begin with instead of at random")
    parser.add_argument("--keep", type=float, default=Recipe.keep, help="share of that model in what ships")
    parser.add_argument("--family", choices=get_args(Name), default=Recipe.family, help="kind of model")
    parser.add_argument("--supervision", choices=get_args(Supervision), default=Recipe.supervision, help="losses")
    parser.add_argument("--text-from", type=Path, help="a model trained here before, whose text tower to begin with")
    frozen = "share of the schedule before that text tower is trained too"
    parser.add_argument("--frozen-text", type=float, default=Recipe.frozen_text, help=frozen)
    given = parser.parse_args(arguments)
    fields = ("seed", "minutes", "steps", "rate", "small", "keep", "fresh", "family", "supervision", "frozen_text")
    recipe = Recipe(**{name: getattr(given, name) for name in fields}).with_batch(given.batch)
    train(
        given.data,
        given.out,
        recipe,
        given.work,
        given.resume,
        given.start,
        given.text_from,
        given.threads,
        given.workers,
        given.device,
    )


def _evaluate(verb: str, arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=f"python -m matex.simulation.training {verb}",
        description="Measure a model; `record` also writes its training record next to the weights.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with normals, boxes, nih and kermany")
    parser.add_argument("--model", type=Path, required=True, help="folder of the model")
    parser.add_argument("--films", type=int, default=1000, help="simulated films per tier")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without", type=Path, help="text file with the normal films that are kept for a final test")
    if verb == "record":
        parser.add_argument("--work", type=Path, required=True, help="where the training left its curves")
        parser.add_argument("--command", required=True, help="how the training was started")
        parser.add_argument("--note", action="append", default=[], help="for the record; may be given again")
    given = parser.parse_args(arguments)
    from matex.datasets.simulated import read_names
    from matex.simulation.training.evaluate import evaluate
    from matex.simulation.training.record import write_record

    without = read_names(given.without) if given.without else frozenset[str]()
    evaluation = evaluate(given.data, given.model, given.films, given.seed, without)
    if verb == "record":
        write_record(given.model, given.work, evaluation, given.command, given.note)
    json.dump(evaluation, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
