"""Merge the shards of a run into one run folder."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from matex.benchmark.config import Config
from matex.benchmark.plain_config import differences, plain
from matex.benchmark.runs.finish import finish
from matex.benchmark.runs.inputs import Inputs
from matex.benchmark.runs.parquet import arrow
from matex.benchmark.runs.plan import Plan, refuse_changes
from matex.benchmark.runs.runner import thread_count
from matex.benchmark.runs.store import Store
from matex.checks import as_path
from matex.errors import InputError, shown
from matex.metrics import METRICS


def merge(
    runs: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    config: Config | None = None,
    progress: bool = False,
) -> Path:
    """Merge the shards of a run, and compute its dataset-level metrics.

    Args:
        runs: folders of shards, or a folder with `shards` in it.
        out: run folder to write; the folder given, when it is one with shards in it.
        config: of the run. Needed where it names folders, which the shards do not record, and has dataset-level
            metrics, for which films are read again.
        progress: show bars.

    Raises:
        InputError: another configuration, or none where one is needed; shards of different configurations, weights
            or data; a shard that is missing or not done.
    """
    arrow()
    given = [as_path(one, "the folder of a run") for one in runs]
    if out is None and (len(given) != 1 or not (given[0] / "shards").is_dir()):
        raise InputError("Expected one folder with shards in it, or -o OUT for the merged run. Name the folder.")
    store = Store(as_path(out, "a folder") if out is not None else given[0])
    if store.complete:
        raise InputError(f"Expected a folder without a finished run, got {str(store.path)!r}. Name another with -o.")
    if store.plan is not None:
        raise InputError(
            f"Expected a folder without a run, got an unfinished one in {str(store.path)!r}. Name another with -o."
        )
    shards = [Store(folder) for one in given for folder in (sorted((one / "shards").glob("*-of-*")) or [one])]
    plan = _with_folders(_joint_plan(shards), shards[0], config)
    inputs = Inputs(plan.config)
    with store.held(), thread_count(plan.threads):
        for shard in shards:
            _copy(shard.path, store)
        finish(store, plan, inputs, progress)
        for number, shard in enumerate(shards, start=1):
            for event in shard.events:
                store.log(str(event.pop("event")), shard=number, **event)
    if out is None:
        shutil.rmtree(store.path / "shards", ignore_errors=True)
    return store.path


def _joint_plan(shards: Sequence[Store]) -> Plan:
    """The plan of the run whose shards these are, all of them done."""
    plans: list[Plan] = []
    for shard in shards:
        if shard.plan is None:
            raise InputError(f"Expected the folder of a shard, got {str(shard.path)!r}, which holds none. Check it.")
        plans.append(Plan.from_plain(shard.plan))
    first = plans[0]
    for shard, plan in zip(shards, plans, strict=True):
        for what in ("config", "counts", "data", "weights"):
            old, new = (one.as_plain()[what] for one in (first, plan))
            if changed := differences(json.loads(json.dumps(old)), json.loads(json.dumps(new))):
                raise InputError(
                    f"Expected shards of one run, got another {what} in {str(shard.path)!r}: {changed[0]}. "
                    "Merge what belongs together."
                )
        if missing := [chunk for chunk in plan.chunks() if not shard.has(chunk)]:
            raise InputError(
                f"Expected shards that are done, got {str(shard.path)!r}, which lacks {len(missing)} of "
                f"{len(plan.chunks())} chunks. Go on with it with --resume."
            )
        for chunk in plan.chunks():  # the error for a damaged file names the shard in which it can be replaced
            shard.chunk(chunk)
            shard.values(chunk)
    whole = dataclasses.replace(first, shard=None)
    held = {chunk for plan in plans for chunk in plan.chunks()}
    if missing := [chunk for chunk in whole.chunks() if chunk not in held]:
        given = ", ".join(f"{plan.shard[0]}/{plan.shard[1]}" if plan.shard else "whole" for plan in plans)
        raise InputError(f"Expected every shard of the run, got {given}: {len(missing)} chunks are in none of them.")
    return whole


def _with_folders(plan: Plan, shard: Store, config: Config | None) -> Plan:
    """The plan with the configuration that names the folders, or unchanged where nothing in them is read again."""
    if config is not None:
        refuse_changes(plain(plan.config), config, shard)
        return dataclasses.replace(plan, config=config)
    whole = [choice.label for choice in plan.config.metrics if METRICS[choice.name].dataset_level]
    if whole and (shard.plan or {}).get("without_folders"):
        raise InputError(
            f"Expected --config FILE, the run's configuration, got none: {shown(whole[0])} reads films again, and the "
            "shards do not record the folders of data sets and models."
        )
    return plan


def _copy(source: Path, target: Store) -> None:
    """Copy the maps and chunks of a shard into the merged run; hard links where the file system has them."""
    for file in (*(source / "maps").rglob("*.npz"), *(source / "work/chunks").rglob("*")):
        if file.suffix not in (".npz", ".json", ".parquet"):
            continue
        place = target.path / file.relative_to(source)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)  # of an interrupted merge, whose shard may have been computed again since
            os.link(file, place)
        except OSError:
            target.write(str(file.relative_to(source)), file.read_bytes())
