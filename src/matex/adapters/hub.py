"""Downloads from the model hub: selection of a repository's files, and the licence and size reported before."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matex.adapters.checkpoint import first_line
from matex.errors import CheckpointError, NotCached, shown
from matex.published import published

LOGGER = logging.getLogger("matex")
_SECONDS = 5.0  # for the hub's first answer


def fetch(source: str, wanted: Callable[[list[str]], list[str]], cached_only: bool) -> Path:
    """The folder of a hub id in the hub's cache, its files downloaded where they are not there.

    Before a download, a warning of the logger "matex" names the licence and the size. Without a connection, the cached
    files serve.

    Args:
        source: hub id.
        wanted: the names of a repository's files to those that are needed.
        cached_only: do not contact the hub.

    Raises:
        NotCached: nothing in the cache, with `cached_only`.
        CheckpointError: no such hub id, or no connection and nothing in the cache; one line after one attempt.
    """
    import huggingface_hub
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    absent = f"Expected a folder with config.json or a reachable hub id, found neither for {shown(source)}"
    advice = "Check the name, or download the model and give its folder."
    reason = "the hub was not queried"
    try:
        if not cached_only:
            try:
                # One request without retries, so that a machine without a network fails at once.
                about = HfApi().model_info(source, timeout=_SECONDS, files_metadata=True)
                sizes = {entry.rfilename: entry.size or 0 for entry in about.siblings or ()}
                names = wanted(list(sizes))
                _announce(source, about, {name: sizes[name] for name in names})
                return Path(huggingface_hub.snapshot_download(source, revision=about.sha, allow_patterns=names))
            except HFValidationError:
                raise
            except OfflineModeIsEnabled:
                reason = "HF_HUB_OFFLINE is set, so the hub was not contacted"
            except Exception as error:  # network and hub raise many kinds; a cached copy may still serve
                reason = f"the hub answered {type(error).__name__}: {first_line(error)[:120]}"
        cached = Path(huggingface_hub.snapshot_download(source, local_files_only=True))
    except HFValidationError:
        raise CheckpointError(f"{absent}. {advice}") from None
    except Exception:
        refusal = NotCached if cached_only else CheckpointError
        raise refusal(f"{absent} ({reason}; nothing is cached). {_terms(source)}{advice}") from None
    return cached


def _announce(source: str, about: Any, sizes: dict[str, int]) -> None:
    """Name licence and size of what is not in the cache yet; nothing where all of it is."""
    from huggingface_hub import try_to_load_from_cache

    absent = [name for name in sizes if not isinstance(try_to_load_from_cache(source, name, revision=about.sha), str)]
    if not absent:
        return
    known, card = published(source), getattr(about, "card_data", None)
    licence = known.licence if known else getattr(card, "license", None) or "not stated"
    megabytes = sum(sizes[name] for name in absent) / 1e6
    LOGGER.warning(
        "Downloading %s: %d files, %.0f MB. Licence of the weights: %s.", source, len(absent), megabytes, licence
    )


def _terms(source: str) -> str:
    """Conditions of a gated model; empty for the others."""
    known = published(source)
    if known is None or not known.gated:
        return ""
    return f"It is gated: accept its terms ({known.licence}) on its page and log in with `hf auth login`. "


def weight_files(names: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """The files of the first set of weights that a repository has; none where it has none.

    Args:
        names: of the repository's files.
        kinds: names of sets of weights, in the order of preference; an index stands for its parts.
    """
    chosen = next((name for name in kinds if name in names), "")
    if not chosen:
        return []
    if not chosen.endswith(".index.json"):
        return [chosen]
    stem, ending = chosen.removesuffix(".index.json").rsplit(".", 1)
    shards = re.compile(rf"{re.escape(stem)}-\d+-of-\d+\.{ending}")
    return [*(name for name in names if shards.fullmatch(name)), chosen]
