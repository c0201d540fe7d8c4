"""Adapters by the name that a manifest calls them, and their typed layouts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from datasets_manifest.adapters.base import Adapter

A = TypeVar("A", bound=Adapter)

_MODULES = {
    "coco": "datasets_manifest.adapters.coco",
    "folder": "datasets_manifest.adapters.folder",
    "synthetic": "datasets_manifest.adapters.synthetic",
}
_ADAPTERS: dict[str, type[Adapter]] = {}


def register(name: str) -> Callable[[type[A]], type[A]]:
    """Make an adapter class known under a name (a class decorator)."""

    def keep(adapter: type[A]) -> type[A]:
        _ADAPTERS[name] = adapter
        return adapter

    return keep


def adapter_class(name: str) -> type[Adapter]:
    """Return the adapter registered under a name; ValueError with the known names otherwise."""
    if name not in _ADAPTERS and name in _MODULES:
        importlib.import_module(_MODULES[name])
    if name not in _ADAPTERS:
        raise ValueError(f"There is no adapter {name!r}; known are {', '.join(sorted({*_MODULES, *_ADAPTERS}))}.")
    return _ADAPTERS[name]


def parse_layout(name: str, options: Mapping[str, Any], *, where: str) -> Any:
    """Return the adapter's typed layout; ValueError that names an unknown option or a bad value."""
    layout = adapter_class(name).Layout
    known = [f.name for f in fields(layout)]
    unknown = sorted(str(key) for key in set(options) - set(known))
    if unknown:
        raise ValueError(
            f"{where}: layout has the unknown key(s) {', '.join(unknown)}; adapter {name} knows {', '.join(known)}."
        )
    try:
        return layout(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: layout is not valid for adapter {name}: {error}") from error
