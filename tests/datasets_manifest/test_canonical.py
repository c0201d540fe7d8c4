"""The same settings have the same hash, whatever their order or container; other settings another."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_manifest.canonical import canonical_json, config_hash

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    weight: float = 0.5
    colour: Colour = Colour.RED
    steps: tuple[int, ...] = (1, 2)


def test_a_dataclass_hashes_as_its_mapping():
    assert config_hash(Settings()) == config_hash({"steps": [1, 2], "colour": "red", "weight": 0.5})


def test_one_changed_weight_changes_the_hash():
    assert config_hash(Settings()) != config_hash(Settings(weight=0.5000001))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(), PLAIN, max_size=6))
def test_the_order_of_keys_does_not_matter(config):
    assert canonical_json(config) == canonical_json(dict(reversed(config.items())))


@pytest.mark.parametrize("value", [Path("a"), float("nan"), float("inf"), object(), {1: 2}, b"x"])
def test_a_value_that_is_not_plain_is_named(value):
    with pytest.raises(ValueError, match=r"config\.solver\.damping"):
        config_hash({"solver": {"damping": value}})
