"""The examples run as they are written, in folders of their own."""

import os
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(autouse=True)
def threads_as_they_were():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run_here(name, *arguments):
    """What an example prints, in this process, which has imported most of what it needs."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as told:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return told.getvalue()


def run(name, *arguments):
    """What an example prints, in a process of its own."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=150)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    """The folder of the example with a backend of its own, and what that printed."""
    folder = tmp_path_factory.mktemp("own_backend")
    return folder, run_here("own_backend.py", folder)


def test_own_backend_annotates(annotated):
    assert "two_people/all/images/000001#0" in annotated[1]


def test_labels_are_read_with_pandas_alone(annotated):
    told = run("read_labels.py", annotated[0] / "labels")
    assert "body model: open_body_smplx" in told
    assert "'unit': 'rad'" in told


def test_bodies_fit_keypoints_without_a_file():
    told = run_here("fit_keypoints.py")
    assert told.count("status 0") == 4
    assert "left hand" not in told


def test_the_open_body_is_posed_and_drawn(tmp_path):
    run_here("pose_open_body.py", tmp_path)
    assert (tmp_path / "people.glb").read_bytes()[:4] == b"glTF"
    assert (tmp_path / "people.png").stat().st_size > 10_000


def test_gaussians_are_drawn_and_a_body_found_by_its_picture(tmp_path):
    told = run_here("draw_gaussians.py", tmp_path)
    off_mm = [float(line.split(": ")[1].split(" mm")[0]) for line in told.splitlines() if line.startswith("step")]
    assert off_mm[0] > 30
    assert off_mm[-1] < 5
    assert (tmp_path / "body.png").stat().st_size > 10_000


def test_a_network_learns_from_labels_of_ones_own(annotated, tmp_path):
    told = run_here(
        "train_on_labels.py", annotated[0] / "labels/two_people", annotated[0] / "work/datasets/two_people", tmp_path
    )
    assert "'step': 8" in told
    assert (tmp_path / "runs/regressor.safetensors").is_file()


def test_every_example_says_what_it_does_and_how_long_it_takes():
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        first = text.splitlines()[0]
        assert f"python examples/{path.name}" in first, path
        assert "second" in first, path
        assert len(text.splitlines()) <= 75, path
