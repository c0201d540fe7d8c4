"""The plain values of a YAML text."""

from __future__ import annotations

import re
from collections.abc import Hashable
from contextlib import suppress
from typing import Any

import yaml

_MAX_VALUES, _MAX_DEPTH = 100_000, 100
"""Values of one text and lists within lists, those of aliases counted wherever they stand: a few aliases of aliases
would fill the memory."""

_TOO_MUCH = (
    f"expected at most {_MAX_VALUES:,} values and {_MAX_DEPTH} lists within each other; an alias (*name) counts as all "
    "that it stands for, so write out what is meant"
)


class _Rules(yaml.constructor.SafeConstructor):
    """YAML 1.1 but for three things that settings want as YAML 1.2 reads them: 2e-4 is a number, 2026-01-22 a text, and
    a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; refused where a key occurs twice (those of a merged mapping may be replaced)."""
        lines: dict[Any, int] = {}
        for key in (key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"):
            name, line = self.construct_object(key, deep=True), key.start_mark.line + 1
            if not isinstance(name, Hashable):
                continue  # The class above has a sentence for it.
            if name in lines:
                problem = f"the key {name!r} occurs twice, in lines {lines[name]} and {line}; keep one of them"
                raise yaml.constructor.ConstructorError(problem=problem)
            lines[name] = line
        return super().construct_mapping(node, deep)


class _Loader(_Rules, yaml.SafeLoader):
    """Its errors show the line."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


_IN_C: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may have been built without.


class _FastLoader(_Rules, _IN_C):
    """Ten times as fast."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def parse_yaml(text: str, where: str) -> Any:
    """The plain values of a YAML text.

    Args:
        text: One document.
        where: What it is, for messages.

    Raises:
        ValueError: It is not YAML, nested too deeply, or grows without bound by its aliases.
    """
    try:
        values = _loaded(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: {_TOO_MUCH}") from error
    if not _is_of_a_size(values):
        raise ValueError(f"{where}: {_TOO_MUCH}")
    return values


def _loaded(text: str) -> Any:
    with suppress(yaml.YAMLError):
        return yaml.load(text, _FastLoader)
    return yaml.load(text, _Loader)


def _is_of_a_size(values: Any) -> bool:
    inside, number = [iter([values])], 0
    while inside:
        for value in inside[-1]:
            number += 1
            if isinstance(value, dict | list):
                inside.append(iter(value.values() if isinstance(value, dict) else value))
                break
        else:
            inside.pop()
        if number > _MAX_VALUES or len(inside) > _MAX_DEPTH:
            return False
    return True
