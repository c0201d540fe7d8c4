"""The plain values of a YAML text."""

from __future__ import annotations

import re
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

    def construct_document(self, node: yaml.Node) -> Any:
        """The values; refused where a key occurs twice in a mapping, or merged mappings (<<) grow without bound."""
        known: dict[int, int] = {}
        self._look_at(node, known)
        if sum(known.values()) > 2 * _MAX_VALUES:
            raise yaml.constructor.ConstructorError(problem=_TOO_MUCH)
        return super().construct_document(node)

    def _look_at(self, node: yaml.Node, known: dict[int, int]) -> int:
        """Pairs that a node gives to a mapping that merges it: its own and those merged into it, before anything is."""
        if id(node) in known:
            return known[id(node)]
        known[id(node)] = 0
        if isinstance(node, yaml.SequenceNode):
            known[id(node)] = sum([self._look_at(item, known) for item in node.value])
        elif isinstance(node, yaml.MappingNode):
            lines: dict[Any, int] = {}
            pairs = len(node.value)
            for key, value in node.value:
                inside = self._look_at(value, known)
                if key.tag == "tag:yaml.org,2002:merge":
                    pairs += inside
                elif isinstance(key, yaml.ScalarNode):
                    self._look_twice(key, lines)
            known[id(node)] = pairs
        if known[id(node)] > _MAX_VALUES:
            raise yaml.constructor.ConstructorError(problem=_TOO_MUCH)
        return known[id(node)]

    def _look_twice(self, key: yaml.ScalarNode, lines: dict[Any, int]) -> None:
        name, line = self.construct_object(key), key.start_mark.line + 1
        if name in lines:
            problem = f"the key {name!r} occurs twice, in lines {lines[name]} and {line}; keep one of them"
            raise yaml.constructor.ConstructorError(problem=problem)
        lines[name] = line


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
