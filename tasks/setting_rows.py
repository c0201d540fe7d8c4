"""Every setting as a row: its dotted name, its value, where that came from, and the sentence behind its field."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from typing import Any, Literal

from model.estimators.registry import factory_of

Source = Literal["default", "file", "command line"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingRow:
    """One setting, or a group of them."""

    name: str
    """Dotted, as ``--set`` takes it."""
    value: Any
    """What holds; ``dataclasses.MISSING`` where it is not given and has no default, and of a group."""
    source: Source
    """Who said so."""
    sentence: str
    """What the source code says of it."""
    is_group: bool = False
    """Whether it only heads the settings below it."""


def setting_rows(
    config: Any, stated: Mapping[str, Any] | None = None, overrides: Mapping[str, Any] | None = None, prefix: str = ""
) -> Iterator[SettingRow]:
    """The rows of settings in the order of their fields, a group before what is in it.

    Args:
        config: A settings dataclass, or its class for the defaults.
        stated: What a file says, as YAML gives it.
        overrides: Dotted names and values of the command line.
        prefix: Of the names.
    """
    stated, overrides, said = stated or {}, overrides or {}, sentences(config if _is_class(config) else type(config))
    for field in dataclasses.fields(config):
        name = prefix + field.name
        value = _default(field) if _is_class(config) else getattr(config, field.name)
        below = stated.get(field.name) if isinstance(stated, Mapping) else None
        source: Source = "default" if not isinstance(stated, Mapping) or field.name not in stated else "file"
        if any(name == given or name.startswith(f"{given}.") or given.startswith(f"{name}.") for given in overrides):
            source = "command line"
        is_group = dataclasses.is_dataclass(value) and not _is_class(value)
        yield SettingRow(
            name=name,
            value=MISSING if is_group else value,
            source=source,
            sentence=said[field.name],
            is_group=is_group,
        )
        if is_group:
            yield from setting_rows(value, below, overrides, f"{name}.")


@cache
def sentences(config: type) -> dict[str, str]:
    """Field name to the text behind it in the source code."""
    said: dict[str, str] = {}
    for base in filter(dataclasses.is_dataclass, reversed(config.__mro__)):
        body = ast.parse(inspect.cleandoc(inspect.getsource(base))).body[0].body  # type: ignore[attr-defined]
        pairs = [(at, after) for at, after in itertools.pairwise(body) if isinstance(at, ast.AnnAssign)]
        said |= {ast.unparse(at.target): " ".join(str(ast.literal_eval(after.value)).split()) for at, after in pairs}
    return said


def option_sentences(part: str, backend: str) -> dict[str, str]:
    """Option of a backend to what its code says of it: behind a field, or among the arguments of its factory."""
    factory = factory_of(part, backend)
    options = getattr(factory, "Options", None)
    said = sentences(options) if options is not None else {}
    arguments = (inspect.getdoc(factory.__init__) or "").partition("Args:")[2].partition("\n\n")[0]
    found = re.findall(r"(?m)^ +(\w+): (.+(?:\n {5,}.+)*)", arguments)
    return {name: " ".join(text.split()) for name, text in found} | said


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def _is_class(value: Any) -> bool:
    return isinstance(value, type)
