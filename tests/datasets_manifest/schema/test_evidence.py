"""Named arrays of people come back from their two columns as they went in."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from datasets_manifest.schema.evidence import pack_arrays, unpack_arrays
from datasets_manifest.schema.fields import ARRAY_MAP, SHAPE_MAP

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
NAMED = st.dictionaries(
    st.text(), arrays(np.float32, st.lists(st.integers(0, 3), max_size=3).map(tuple), elements=FINITE), max_size=3
)


@settings(max_examples=30, deadline=None)
@given(NAMED, st.lists(st.sampled_from(["all", "none", "null"]), max_size=5))
def test_named_arrays_keep_values_and_shapes(named, people):
    packed = pack_arrays([named if kind == "all" else None if kind == "null" else {} for kind in people], "evidence")
    assert (packed["evidence"].type, packed["evidence_shape"].type) == (ARRAY_MAP, SHAPE_MAP)
    assert packed["evidence"].is_null().to_pylist() == [kind == "null" for kind in people]
    back = unpack_arrays(pa.table(packed), "evidence")
    assert list(back) == (list(named) if "all" in people else [])
    for name, array in back.items():
        assert array.shape == (len(people), *named[name].shape)
        for own, kind in zip(array, people, strict=True):
            np.testing.assert_array_equal(own, named[name] if kind == "all" else np.full_like(named[name], np.nan))


def test_rows_may_be_cut_out_before_they_are_unpacked():
    people = [{"a": np.full((2, 2), n)} if n % 2 else {"b": np.float32(n)} for n in range(6)]
    back = unpack_arrays(pa.table(pack_arrays(people, "truth")).slice(2, 3), "truth")
    np.testing.assert_array_equal(back["b"], [2, np.nan, 4])
    np.testing.assert_array_equal(back["a"][1], np.full((2, 2), 3))


def test_one_name_with_two_shapes_is_refused():
    table = pa.table(pack_arrays([{"a": np.zeros(2)}, {"a": np.zeros(3)}], "truth"))
    with pytest.raises(ValueError, match="truth a has the shapes"):
        unpack_arrays(table, "truth")
