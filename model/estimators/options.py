"""Options of a backend as they come from a configuration file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

Config = TypeVar("Config")


def as_config(kind: type[Config], value: Config | Mapping[str, Any] | None) -> Config:
    """Returns a config object from itself, a mapping of its fields, or None for the defaults.

    Raises:
        ValueError: The mapping has a field that the config does not have.
    """
    if value is None:
        return kind()
    if isinstance(value, kind):
        return value
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if not isinstance(value, Mapping) or not set(value) <= set(known):
        raise ValueError(f"{kind.__name__}: expected a mapping of {', '.join(known)}, got {value!r}")
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in value.items()})
