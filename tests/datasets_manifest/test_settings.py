"""The reader of settings: strict types, unknown names refused with the known ones, one sentence a mistake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from pydantic import PositiveInt

from datasets_manifest.settings import Share, Text, read_section, read_settings, with_overrides
from datasets_manifest.yaml_values import parse_yaml


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    """Settings within settings."""

    size: str = "B"
    share: Share = 0.5

    def __post_init__(self) -> None:
        if self.size == "none":
            raise ValueError("size: expected a size, got 'none'")
        if self.size == "half" and self.share > 0.5:
            raise ValueError("a half has no larger share than 0.5")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    """All kinds of settings."""

    count: PositiveInt
    number: float = 0.0
    flag: bool = False
    name: Text = "x"
    path: str | None = None
    kind: Literal["a", "b"] = "a"
    pair: tuple[float, float] = (0.0, 1.0)
    maybe_pair: tuple[int, int] | None = None
    list: tuple[Inner, ...] = ()
    inner: Inner = field(default_factory=Inner)
    options: dict[str, Any] = field(default_factory=dict)


def read(**values: Any) -> Outer:
    return read_settings(Outer, {"count": 1, **values}, "p.yaml")


def test_what_is_not_given_keeps_its_default():
    assert read() == Outer(count=1)


def test_lists_are_tuples_and_nested_mappings_are_settings():
    stated = read(pair=[1, 2.5], list=[{"size": "S"}], inner={"share": 1}, options={"a": [1, {"b": None}]})
    assert stated.pair == (1.0, 2.5)
    assert isinstance(stated.pair[0], float)
    assert stated.list == (Inner(size="S"),)
    assert stated.inner == Inner(share=1.0)
    assert stated.options == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"cuont": 2, "kint": 1}, "unknown setting cuont, kint; known are count, flag, inner, kind, list, maybe_pair"),
        ({"inner": {"sise": "B"}}, "inner: unknown setting sise; known are share, size"),
        ({"list": [{}, {"sise": "B"}]}, "list[1]: unknown setting sise; known are share, size"),
        ({"count": 0}, "count: expected more than 0, got 0"),
        ({"count": 1.0}, "count: expected a whole number, got 1.0"),
        ({"count": "1"}, "count: expected a whole number, got '1'"),
        ({"count": True}, "count: expected a whole number, got True"),
        ({"number": True}, "number: expected a number, got True"),
        ({"number": float("nan")}, "number: expected a finite number, got nan"),
        ({"flag": 1}, "flag: expected true or false, got 1"),
        ({"flag": "yes"}, "flag: expected true or false, got 'yes'"),
        ({"name": 1.0}, "name: expected a text (in quotes), got 1.0"),
        ({"name": " "}, "name: expected a text that is not empty, got ' '"),
        ({"path": 3}, "path: expected a text (in quotes), got 3"),
        ({"kind": "c"}, "kind: expected one of a, b, got 'c'"),
        ({"pair": [1.0]}, "pair: expected a list of 2, got [1.0]"),
        ({"pair": [1, 2, 3]}, "pair: expected a list of 2, got [1, 2, 3]"),
        ({"pair": [1, "a"]}, "pair[1]: expected a number, got 'a'"),
        ({"pair": 3}, "pair: expected a list, got 3"),
        ({"maybe_pair": [3]}, "maybe_pair: expected a list of 2, got [3]"),
        ({"list": {}}, "list: expected a list, got {}"),
        ({"inner": None}, "inner: expected a mapping of settings, got None"),
        ({"inner": {"share": 1.5}}, "inner.share: expected 1 or less, got 1.5"),
        ({"options": 3}, "options: expected a mapping, got 3"),
        ({"inner": {"size": "none"}}, "inner.size: expected a size, got 'none'"),
        ({"list": [{"size": "half", "share": 1}]}, "list[0]: a half has no larger share than 0.5"),
    ],
)
def test_a_mistake_is_one_sentence_with_name_expectation_and_value(values, sentence):
    with pytest.raises(ValueError, match=r"^p") as caught:
        read(**values)
    assert str(caught.value).startswith(f"p.yaml: {sentence}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({}, "p.yaml: count: is missing"), ([], "p.yaml: expected a mapping of settings, got []")],
)
def test_what_is_missing_is_named(values, sentence):
    with pytest.raises(ValueError, match=r"^p") as caught:
        read_settings(Outer, values, "p.yaml")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "value"),
    [("2e-4", 2e-4), ("1E5", 1e5), ("-3e2", -300.0), ("1.5e3", 1500.0), ("1.0e-5", 1e-5), ("12", 12), ("0.5", 0.5)],
)
def test_a_number_in_scientific_notation_is_a_number_with_or_without_a_point(text, value):
    read_value = parse_yaml(text, "x")
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("text", ["2026-01-22", "fast", "e5", "1e", "2e-4px", "'2e-4'"])
def test_what_is_no_number_is_a_text(text):
    assert parse_yaml(text, "x") == text.strip("'")


@pytest.mark.parametrize("text", ["a: [", "\0", "!!python/object/apply:os.system ['true']"])
def test_what_is_not_yaml_is_named(text):
    with pytest.raises(ValueError, match="p is not valid YAML"):
        parse_yaml(text, "p")


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("steps: 1\nsteps: 2", "'steps'", "1 and 2"),
        ("train:\n  rate: 1\n  steps: 2\n  rate: 3", "'rate'", "2 and 4"),
        ("{steps: 1, 'steps': 2}", "'steps'", "1 and 1"),
        ("on: 1\ntrue: 2", "True", "1 and 2"),
    ],
)
def test_a_key_that_occurs_twice_is_refused_by_its_name(text, key, lines):
    with pytest.raises(ValueError, match=r"^p is not valid") as caught:
        parse_yaml(text, "p")
    sentence = f"the key {key} occurs twice, in lines {lines}; keep one of them"
    assert str(caught.value) == f"p is not valid YAML: {sentence}"


def test_a_merged_mapping_may_be_replaced_key_by_key():
    text = "base: &base {size: B, share: 1}\nown: {<<: *base, share: 2}\n? [1, 2]\n: {a: 1}\nagain: {a: 1}"
    with pytest.raises(ValueError, match="unhashable"):
        parse_yaml(text, "p")
    assert parse_yaml(text.replace("? [1, 2]\n: {a: 1}\n", ""), "p")["own"] == {"size": "B", "share": 2}


def test_a_section_is_the_only_key_of_its_file(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("train: {steps: 2}\n")
    assert read_section(path, "train") == {"steps": 2}
    with pytest.raises(ValueError, match="must hold one section, `annotate:`"):
        read_section(path, "annotate")


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG")
    with pytest.raises(ValueError, match=r"^settings file .*/photo\.png is not UTF-8 text \("):
        read_section(path, "train")


def test_overrides_leave_the_given_values_as_they_are():
    values = {"a": {"b": 1}}
    assert with_overrides(values, {"a.b": 2, "c.d.e": 3}) == {"a": {"b": 2}, "c": {"d": {"e": 3}}}
    assert values == {"a": {"b": 1}}
    with pytest.raises(ValueError, match="b is a single value"):
        with_overrides(values, {"a.b.c": 1})


def test_below_a_mapping_to_texts_a_name_may_have_dots():
    @dataclass
    class Own:
        roots: dict[str, Text]
        free: dict[str, Any]

    replaced = with_overrides({"roots": {"a.b": "/x", "c": "/y"}}, {"roots.a.b": "/z", "free.d.e": 1}, Own)
    assert replaced == {"roots": {"a.b": "/z", "c": "/y"}, "free": {"d": {"e": 1}}}


def test_a_mapping_merged_by_an_alias_is_merged_once_more_without_a_word():
    text = "a: {base: &base {k: 1}, b: &b {<<: *base, k: 2}}\nc: {<<: *b}\n"
    assert parse_yaml(text, "p")["c"] == {"k": 2}


def test_merges_of_merges_do_not_fill_the_memory():
    lines = ["l0: &a0 {k: 1}", *(f"l{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 12))]
    with pytest.raises(ValueError, match="expected at most 100,000 values"):
        parse_yaml("\n".join(lines), "p")
