"""The one rule for paths: what stands in a settings file is relative to its folder, what is typed to the current one.

A field that names a place says so in its type. What a file does not say, a default, is as if it stood in the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from datasets_manifest.paths import placed
from datasets_manifest.settings import Text, dotted, place_of, read_section, read_settings, with_overrides, without_none
from datasets_manifest.stores import place_in

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlacedBy:
    """Mark of a setting that names a place, or holds such."""

    place: Callable[[Any, Path], Any]
    """From a value and the folder that it is relative to, which is absolute, to the value that needs no folder."""


def path_in(folder: Path, text: str) -> str:
    """A path as text, made absolute."""
    return str(placed(text, folder))


PathText = Annotated[Text, PlacedBy(lambda text, folder: path_in(folder, text) if isinstance(text, str) else text)]
"""A path of a file or folder of this machine."""
PlaceText = Annotated[Text, PlacedBy(lambda text, folder: place_in(folder, text) if isinstance(text, str) else text)]
"""A path, or an address in a store, such as s3://bucket/labels."""


def with_places(value: Any, kind: Any, folder: Path, place: tuple[int | str, ...] = ()) -> Any:
    """Settings whose paths are absolute.

    Args:
        value: A dataclass of settings, or plain values of it, which need not be right.
        kind: Its class.
        folder: What relative paths in it are relative to; absolute.
        place: Where in the settings it stands, for messages.

    Raises:
        ValueError: A path is none, see ``placed``; the setting is named.
    """
    if not _names_places(kind):
        return value
    kind = without_none(kind)
    mark = _mark(kind)
    if mark is not None:
        try:
            return value if value is None else mark.place(value, folder)
        except ValueError as error:
            raise ValueError(f"{dotted(place)}{': ' * bool(place)}{error}") from error
    if dataclasses.is_dataclass(kind):
        kinds = _kinds(kind)
        if isinstance(value, Mapping):
            return {name: with_places(own, kinds.get(name, Any), folder, (*place, name)) for name, own in value.items()}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            own = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
            changed = {name: with_places(before, kinds[name], folder, (*place, name)) for name, before in own.items()}
            return dataclasses.replace(value, **{name: new for name, new in changed.items() if new != own[name]})
    elif get_origin(kind) is dict and isinstance(value, Mapping):
        return {name: with_places(own, get_args(kind)[1], folder, (*place, name)) for name, own in value.items()}
    elif get_origin(kind) is tuple and isinstance(value, list | tuple) and get_args(kind)[1:] == (Ellipsis,):
        inside = get_args(kind)[0]
        return type(value)(with_places(own, inside, folder, (*place, number)) for number, own in enumerate(value))
    return value


@cache
def _names_places(kind: Any) -> bool:
    """Whether anything in settings of a class names a place; most name none."""
    kind = without_none(kind)
    inside = _kinds(kind).values() if dataclasses.is_dataclass(kind) else get_args(kind)
    return _mark(kind) is not None or any(_names_places(own) for own in inside)


def _mark(kind: Any) -> PlacedBy | None:
    return next((mark for mark in getattr(kind, "__metadata__", ()) if isinstance(mark, PlacedBy)), None)


@cache
def _kinds(cls: type[Any]) -> dict[str, Any]:
    """Classes of the fields of a dataclass; the same few are asked for at every reading."""
    return get_type_hints(cls, include_extras=True)


def placed_overrides(overrides: Mapping[str, Any], cls: type[Any], folder: Path) -> dict[str, Any]:
    """Replacements of settings, each by its dotted name, whose paths are absolute.

    Args:
        overrides: As for ``with_overrides``.
        cls: Dataclass of the settings.
        folder: The working folder, for what was typed; absolute.
    """
    fixed = {}
    for name, value in overrides.items():
        node = with_places(with_overrides({}, {name: value}, cls), cls, folder)
        for step in place_of(cls, name):
            node = node[step]
        fixed[name] = node
    return fixed


def load_placed(
    kind: type[T], path: str | Path, section: str, overrides: Mapping[str, Any] | None = None, *, none: str = ""
) -> T:
    """Reads a settings file.

    Args:
        kind: Dataclass of the settings.
        path: YAML file with one section; relative paths in it are taken from its folder.
        section: Its name.
        overrides: Dotted names to values that replace those of the file, e.g. ``{"optimiser.lr": 1e-4}``; relative
            paths are taken from the working folder.
        none: A setting that may be null, which is as if it were not stated.

    Raises:
        ValueError: The file is missing or not YAML, a setting is unknown or out of range.
    """
    path = placed(path).absolute()
    typed = placed_overrides(overrides or {}, kind, Path.cwd())
    values = with_overrides(read_section(path, section), typed, kind)
    if none in values and values[none] is None:
        del values[none]
    return with_places(read_settings(kind, values, path.name), kind, path.parent)
