"""One canonical JSON of a config, and its hash: the same settings give the same hash on any machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any


def canonical_json(config: Any) -> str:
    """Return sorted, compact JSON of a config made of mappings, lists, dataclasses, enums and plain values.

    Raises:
        ValueError: a value is not plain (a path, an array) or not finite; the message names where it stands.
    """
    return json.dumps(_plain(config, "config"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def config_hash(config: Any) -> str:
    """Return the sha256 (64 hex digits) of the canonical JSON of a config."""
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()


def _plain(value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}; keys of a config must be strings.")
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, Enum):
        return _plain(value.value, where)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}; a config holds finite numbers only.")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"{where} is a {type(value).__name__}; a config holds plain values only (write a path as text).")
