"""Adapters by the name that a manifest calls them, and their typed layouts."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from datasets_manifest.adapters.base import Adapter
from datasets_manifest.settings import read_settings

A = TypeVar("A", bound=Adapter)

_MODULES = {
    "coco": "datasets_manifest.adapters.coco",
    "folder": "datasets_manifest.adapters.folder",
    "npz_people": "datasets_manifest.adapters.npz_people",
    "parquet_people": "datasets_manifest.adapters.parquet_people",
    "registered": "datasets_manifest.adapters.registered",
    "scene": "datasets_manifest.adapters.scene",
    "sequence_pickle": "datasets_manifest.adapters.sequence_pickle",
    "synthetic": "datasets_manifest.adapters.synthetic",
    "table": "datasets_manifest.adapters.table",
    "tar_people": "datasets_manifest.adapters.tar_people",
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


def parse_layout(name: str, options: Mapping[str, Any]) -> Any:
    """Return the adapter's typed layout; ValueError that names an unknown option or a bad value."""
    return read_settings(adapter_class(name).Layout, options, f"layout of adapter {name}")
