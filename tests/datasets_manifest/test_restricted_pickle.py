"""What the project pickles for formats of others: plain values, read again by the one reader and by any other."""

import dataclasses

import numpy as np
import pytest
from pickling import unpickled

from datasets_manifest.restricted_pickle import pickled, unpickle

VALUE = {
    "points": np.arange(6, dtype=np.float32).reshape(2, 3),
    "flag": np.array(1.0, np.float32),
    "loss": np.array({"value": 2.0}, dtype=object),
    "list": [1, "two", None, (True, 3.5)],
}


def same(found, wanted):
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for name in wanted:
            same(found[name], wanted[name])
    elif isinstance(wanted, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)
    else:
        assert found == wanted


@pytest.mark.parametrize("read", [lambda data: unpickle(data, "it"), unpickled])
def test_what_is_pickled_is_read_again(read):
    same(read(pickled(VALUE)), VALUE)


def test_numpy_is_named_as_its_versions_before_2_know_it():
    data = pickled([VALUE, VALUE["points"]])
    assert b"numpy._core" not in data
    assert b"numpy.core.multiarray\n_reconstruct" in data


@dataclasses.dataclass
class Thing:
    number: int = 0


@pytest.mark.parametrize("value", [Thing(), [Thing()], {"a": np.array([Thing()])}, np.float32(1), {"a": {1, 2}}])
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError, match="plain values alone"):
        pickled(value)
