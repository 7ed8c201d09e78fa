"""The models that the page offers, loaded when they are first used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from matex.adapters.model import Model
from matex.attribution import METHODS
from matex.errors import UnknownName
from matex.protocols import unserved


class Models:
    """Models by name; only those that the command line or the package names can be chosen.

    Args:
        loaders: by name; the first one is the default.
    """

    def __init__(self, loaders: Mapping[str, Callable[[], Model]]) -> None:
        self._loaders = dict(loaders)
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the default first."""
        return tuple(self._loaders)

    def __getitem__(self, name: str) -> Model:
        """A model, loaded on first use.

        Raises:
            UnknownName: none of those that are offered.
        """
        if name not in self._loaders:
            raise UnknownName("model", name, self.names)
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._loaders[name]()
            return self._loaded[name]

    def refusals(self, name: str) -> dict[str, str]:
        """Methods that a model cannot serve, each with the reason."""
        model = self[name]
        reasons = {method: unserved(kind, model.image, model.text) for method, kind in METHODS.items()}
        return {method: reason for method, reason in reasons.items() if reason is not None}
