"""The reader of settings: plain values of a YAML file become a frozen dataclass, or one sentence says what is wrong.

Types are strict: a text is no number, a number no text, 1 is not true, and a list of three has three entries. A whole
number is a float too. Ranges of a single setting are annotations of its field; what concerns two settings is checked in
``__post_init__``, which raises ValueError with the name first: ``steps: expected ...``.
A class that is read need not know of pydantic: those of ``fitting`` and ``model`` check themselves.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from datasets_manifest.paths import placed
from datasets_manifest.yaml_values import parse_yaml

T = TypeVar("T")
Share = Annotated[float, Field(ge=0, le=1)]
"""A share from 0 to 1."""
Text = Annotated[str, Field(pattern=r"\S")]
"""A text that is not empty."""

_EXPECTED = {
    "bool_type": "true or false",
    "dataclass_type": "a mapping of settings",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_type": "a number",
    "int_type": "a whole number",
    "mapping_type": "a mapping",
    "string_pattern_mismatch": "a text that is not empty",
    "string_type": "a text",
    "tuple_type": "a list",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "too_short": "a list of {min_length} or more",
}
"""Kind of mistake, as pydantic names it, to what was expected."""


def read_settings(cls: type[T], values: Any, where: str) -> T:
    """Builds a settings dataclass from plain values, nested ones included.

    Args:
        cls: The dataclass.
        values: Names and values, as YAML or JSON gives them; missing names keep their defaults.
        where: Name of the file or place, for messages.

    Raises:
        ValueError: A name is unknown or absent, a value has the wrong type or is out of range.
    """
    try:
        # As JSON, where strict types still let a list be a tuple.
        return _adapter(cls).validate_json(to_json([values], inf_nan_mode="constants"))[0]
    except ValidationError as error:
        raise ValueError(f"{where}: {_sentence(cls, error)}") from error


@cache
def _adapter(cls: type[Any]) -> TypeAdapter[tuple[Any]]:
    """The reader of a class. Inside a tuple, since a plain dataclass takes its configuration from what it is in."""
    strict = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)
    return TypeAdapter(tuple[cls], config=strict)  # pyright: ignore[reportInvalidTypeForm]


def _sentence(cls: type[Any], error: ValidationError) -> str:
    """What is wrong, in a sentence: unknown names first, since a misspelt one is often missing as well."""
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "unexpected_keyword_argument"), problems[0])
    kind, place, value = problem["type"], problem["loc"][1:], problem["input"]
    if kind == "unexpected_keyword_argument":
        unknown = [str(p["loc"][-1]) for p in problems if p["type"] == kind and p["loc"][:-1] == problem["loc"][:-1]]
        known = [f.name for f in dataclasses.fields(_class_at(_type_at(cls, place[:-1])))]
        name = dotted(place[:-1])
        return f"{name}{': ' * bool(name)}unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}"
    if kind == "value_error":
        name, message = dotted(place), str(problem.get("ctx", {})["error"])
        # A message that begins with a setting's name goes on with the dotted one.
        return name + ("." if re.match(r"\w+(\[|: )", message) else ": ") * bool(name) + message
    if kind == "missing" and isinstance(place[-1], str):
        return f"{dotted(place)}: is missing"
    if kind in ("missing", "too_long"):  # An entry of a list of fixed length is missing, or there is one too many.
        place = place[:-1] if kind == "missing" else place
        expected = f"a list of {len(get_args(without_none(_type_at(cls, place))))}"
    elif kind == "literal_error":
        expected = f"one of {', '.join(str(choice) for choice in get_args(without_none(_type_at(cls, place))))}"
    else:
        expected = _EXPECTED[kind].format(**problem.get("ctx", {})) if kind in _EXPECTED else problem["msg"]
    if kind == "string_type" and isinstance(value, int | float):
        expected += " (in quotes)"
    name = dotted(place)
    return f"{name}{': ' * bool(name)}expected {expected}, got {value!r}"


def dotted(place: tuple[int | str, ...]) -> str:
    """``("datasets", 0, "path")`` as ``datasets[0].path``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).removeprefix(".")


@cache
def _types(cls: type[Any]) -> dict[str, Any]:
    """Types of the fields of a dataclass; the same few are asked for at every reading."""
    return get_type_hints(cls)


def _type_at(hint: Any, place: tuple[int | str, ...]) -> Any:
    """The type that stands at a place of nested settings."""
    for step in place:
        hint = without_none(hint)
        parts = get_args(hint)
        if dataclasses.is_dataclass(hint):
            hint = _types(hint).get(str(step), Any)
        elif get_origin(hint) is dict:
            hint = parts[1]
        elif isinstance(step, int) and parts:
            hint = parts[min(step, len(parts) - 1)] if Ellipsis not in parts else parts[0]
        else:
            return Any
    return hint


def place_of(cls: Any, name: str) -> tuple[str, ...]:
    """The keys of a dotted name; below a mapping to texts the rest is one key, since a data set's id may have dots."""
    first, dot, rest = name.partition(".")
    if not dot:
        return (name,)
    hint = without_none(_type_at(cls, (first,)))
    if get_origin(hint) is dict and _base(get_args(hint)[1]) is str:
        return first, rest
    return first, *place_of(hint, rest)


def _base(hint: Any) -> Any:
    """A type without what is annotated to it."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def without_none(hint: Any) -> Any:
    """What an optional setting is where it is given; any other type as it is."""
    parts = [part for part in get_args(hint) if part is not NoneType]
    return parts[0] if len(parts) < len(get_args(hint)) else hint


def _class_at(hint: Any) -> Any:
    return get_origin(without_none(hint)) or without_none(hint)


def value_of(text: str, cls: type[Any], name: str, where: str) -> Any:
    """The value that a text of the command line is at a setting: the type of the setting decides.

    Where a text is wanted, it is that, letter by letter: a folder may be called 007, on or "set #1". In quotes it is
    what YAML makes of it, so that it can also be typed as in a file, and null is no text where there may be none. Any
    other value is YAML.

    Args:
        text: As it was typed.
        cls: Dataclass of the settings.
        name: Dotted name of the setting; of one that is not known, the text is read as YAML.
        where: What it is, for messages.

    Raises:
        ValueError: It is not YAML.
    """
    hint = _type_at(cls, place_of(cls, name))
    wanted = without_none(hint)
    choices = get_args(wanted) if get_origin(wanted) is Literal else ()
    if wanted is not str and not (choices and all(isinstance(choice, str) for choice in choices)):
        return parse_yaml(text, where)
    if wanted is not hint and text in ("", "null"):
        return None
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return parse_yaml(text, where) if is_quoted else text


def read_sections(path: Path) -> dict[str, dict[str, Any]]:
    """The sections of a settings file, as YAML gives them.

    Args:
        path: YAML file; ~ is the home folder.

    Raises:
        ValueError: The file is missing or not YAML, or not made of sections.
    """
    path = placed(path)
    if not path.is_file():
        raise ValueError(f"settings file {path} does not exist; give its path with --params")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"settings file {path} is not UTF-8 text ({error}); give the path of a YAML file with --params"
        ) from error
    sections = parse_yaml(text, f"settings file {path}")
    if not isinstance(sections, dict) or not all(isinstance(section, dict) for section in sections.values()):
        raise ValueError(f"settings file {path} must hold a section with the settings below it, as `train:`")
    return sections


def read_section(path: Path, section: str) -> dict[str, Any]:
    """The one section of a settings file; ValueError where it holds anything else."""
    sections = read_sections(path)
    if set(sections) != {section}:
        raise ValueError(f"settings file {path} must hold one section, `{section}:`, with the settings below it")
    return sections[section]


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any], cls: Any = Any) -> dict[str, Any]:
    """Nested settings with some replaced, each by its dotted name; the given ones stay as they are.

    Args:
        values: As a file has them.
        overrides: By the dotted name; below a setting that is a mapping to texts, the rest of the name is one key.
        cls: Dataclass of the settings.

    Raises:
        ValueError: A name leads below a single value.
    """
    replaced = copy.deepcopy(dict(values))
    for name, value in overrides.items():
        node = replaced
        *parents, last = place_of(cls, name)
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ValueError(f"override {name!r}: {parent} is a single value, it has no settings below it")
        node[last] = value
    return replaced
