"""Readers of files of others: whatever a file holds, it is read, or refused by one sentence that names it.

The finds of a run guided by coverage (``make fuzz``) are kept in ``cases/<reader>``.
"""

from pathlib import Path

import pytest
from fuzzed_reader import seeds_of
from fuzzed_readers import READERS, WORDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
CASES = sorted(path for path in (Path(__file__).parent / "cases").glob("*/*") if path.is_file())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where good files are made, and where a hostile one lies alone."""
    return tmp_path_factory.mktemp("good"), tmp_path_factory.mktemp("hostile")


@st.composite
def edited(draw, seeds):
    """One of some contents with up to six edits: other bytes, words that mean something, parts lost or there twice."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        # Most of what decides stands at the beginning and at the end.
        size = len(data)
        first, last = draw(st.sampled_from([(0, 600), (size - 300, size), (0, size)]))
        at = draw(st.integers(max(0, first), min(size, last)))
        length = draw(st.integers(0, 40))
        kind = draw(st.sampled_from(["byte", "word", "bytes", "lost", "twice", "cut"]))
        if kind == "byte" and at < size:
            data[at] = draw(st.integers(0, 255))
        elif kind == "word":
            data[at : at + length] = draw(st.sampled_from(WORDS))
        elif kind == "bytes":
            data[at : at + length] = draw(st.binary(max_size=12))
        elif kind == "lost":
            del data[at : at + length]
        elif kind == "twice":
            data[at:at] = data[at : at + length]
        elif kind == "cut" and at:
            del data[at:]
    return bytes(data)


def check(reader, folder, data):
    if (problem := reader.problem(folder, data)) is not None:
        raise AssertionError(f"{reader.name}: {type(problem).__name__}: {problem}") from problem


@pytest.mark.parametrize("examples", [10, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused_by_their_names(name, examples, folders):
    good, hostile = folders
    reader, hostile = READERS[name], hostile / name.replace(" ", "_")
    hostile.mkdir(exist_ok=True)

    limits = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

    @settings(max_examples=examples, derandomize=examples < 100, **limits)
    @given(edited(seeds_of(reader, good)))
    def run(data):
        check(reader, hostile, data)

    run()


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_find_of_before_is_read_or_refused_by_its_name(path, tmp_path):
    check(READERS[path.parent.name.replace("_", " ")], tmp_path, path.read_bytes())
