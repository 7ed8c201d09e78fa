"""Films and phrases whose explained scores may differ, over one trace for each score."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from matex.adapters.model import Encoded, Model
from matex.queries import Prepared, Query
from matex.registry import Parameters
from matex.results import Explanation
from matex.traced import Traced, trace_prepared


class ScoreTraces:
    """Pairs that both towers have run over, once for each explained score and each shape of the films.

    Args:
        model: two towers.
        prepared: the different films.
        queries: (number of the film, query with its phrase and score) of each pair.
        phrases: the phrases as the model reads them.
        methods: names and parameters that will be used, see `matex.traced.trace_pairs`.
    """

    def __init__(
        self,
        model: Model,
        prepared: Mapping[int, Prepared],
        queries: Sequence[tuple[int, Query]],
        phrases: Mapping[str, Encoded],
        methods: Sequence[tuple[str, Parameters]],
    ) -> None:
        groups: dict[Hashable, dict[int, tuple[int, Query]]] = {}
        for number, (image, query) in enumerate(queries):
            key = prepared[image].placement.model, query.objective
            groups.setdefault(key, {})[number] = (image, query)
        self._traced: dict[tuple[int, ...], Traced] = {}
        for group in groups.values():
            images = {image: replace(prepared[image], query=query) for image, query in group.values()}
            positions = {image: position for position, image in enumerate(images)}
            pairs = [(positions[image], query.text) for image, query in group.values()]
            self._traced[tuple(group)] = trace_prepared(model, list(images.values()), pairs, phrases, methods)

    def explain(self, method: str, parameters: Parameters) -> list[Explanation]:
        """One method on every pair, in their order; see `matex.traced.Traced.explain`."""
        found: dict[int, Explanation] = {}
        for numbers, traced in self._traced.items():
            found |= zip(numbers, traced.explain(method, parameters), strict=True)
        return [found[number] for number in sorted(found)]
