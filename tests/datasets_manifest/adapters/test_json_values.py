"""Files of JSON read value by value are those that Python's own reader reads whole."""

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_manifest.adapters.json_values import JsonValues, json_list

SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(params=[1, 2, 7, 1 << 20])
def piece(request, monkeypatch):
    monkeypatch.setattr("datasets_manifest.adapters.json_values._PIECE", request.param)


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(VALUES, max_size=5), as_ascii=st.booleans(), mark=st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_values_and_their_places_are_those_of_the_file(tmp_path_factory, rows, as_ascii, mark):
    path = tmp_path_factory.mktemp("values") / "a.json"
    path.write_bytes(mark + json.dumps({"a": rows, "b": {"ü": rows}}, ensure_ascii=as_ascii).encode("utf-8", "ignore"))
    whole = json.loads(path.read_text("utf-8-sig"))
    with JsonValues(path) as values:
        names, read = [], []
        for member in values.members():
            names.append(member.value)
            read.append(list(values.rows()) if member.value == "a" else [values.value()])
        values.end()
        again = [values.again((row.start, row.length))[0] for row in read[0]]
    assert names == ["a", "b"]
    assert repr([row.value for row in read[0]]) == repr(again) == repr(whole["a"])  # NaN is no other NaN.
    assert repr(read[1][0].value) == repr(whole["b"])


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize(
    "text", ["[]", " [ ] ", '[1, 2.5, [3], {"a": "]"}]', "[12345]", "[\n{}\n,\n{}\n]\n", "[1e-3,2]"]
)
def test_lists_are_those_of_the_reader_of_python(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert list(json_list(tmp_path / "a.json")) == json.loads(text)


@pytest.mark.usefixtures("piece")
@pytest.mark.parametrize("text", ["", "{}", "[1", "[1,", "[1 2]", "[1,]", "[nope]", "[" * 5000, "[1] 2", '["\xff"]'])
def test_what_is_no_list_is_said(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="is not a JSON list"):
        list(json_list(tmp_path / "a.json"))


def test_a_long_list_is_not_held(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_manifest.adapters.json_values._PIECE", 1 << 14)
    (tmp_path / "a.json").write_text(json.dumps([{"photo": f"{k:06d}", "points": [k] * 42} for k in range(3000)]))
    tracemalloc.start()
    count = sum(1 for _ in json_list(tmp_path / "a.json"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 3000
    assert peak < 150_000 < (tmp_path / "a.json").stat().st_size / 4


def test_a_value_of_many_pieces_is_begun_a_few_times(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_manifest.adapters.json_values._PIECE", 1 << 10)
    (tmp_path / "a.json").write_text(json.dumps([["x" * 10] * 100_000]))
    with JsonValues(tmp_path / "a.json") as values:
        reader, begun = values._decoder, []
        monkeypatch.setattr(values, "_decoder", type("Counted", (), {"raw_decode": lambda _, text, at: (
            begun.append(at), reader.raw_decode(text, at))[1]})())  # fmt: skip
        assert len(values.value().value[0]) == 100_000
    assert len(begun) < 15


def test_a_file_that_changed_in_between_is_said(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1}]')
    with JsonValues(tmp_path / "a.json") as values:
        (row,) = list(values.rows())
        (tmp_path / "a.json").write_text('["bbbbbb"]')
        with pytest.raises(ValueError, match=r"a\.json changed while it was read"):
            values.again((row.start + 1, row.length - 1))
