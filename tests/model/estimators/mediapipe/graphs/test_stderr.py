"""Start-up lines of the networks."""

import os
import subprocess
import sys

import pytest
from mediapipe_package import need_mediapipe

from model.estimators.mediapipe.graphs.stderr import without_harmless_lines, worth_telling

HARMLESS = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"


def test_only_the_known_lines_are_dropped():
    assert worth_telling(HARMLESS) == ""
    assert worth_telling("E0000 no space left\n" + HARMLESS + "half a line") == "E0000 no space left\nhalf a line"


def test_what_native_code_writes_is_repeated(capfd):
    with without_harmless_lines():
        os.write(2, (HARMLESS + "a real problem\n").encode())
    assert capfd.readouterr().err == "a real problem\n"
    os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
    assert "XNNPACK" in capfd.readouterr().err


def fail():
    with without_harmless_lines():
        os.write(2, b"before\n")
        raise RuntimeError


def test_an_error_inside_loses_nothing(capfd):
    with pytest.raises(RuntimeError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


@pytest.mark.long
def test_a_process_that_reads_a_photo_says_nothing():
    need_mediapipe()
    code = (
        "import numpy as np\n"
        "from model.estimators import ImageInput, create\n"
        "image = ImageInput.from_rgb('grey', np.full((90, 90, 3), 127, np.uint8))\n"
        "print(create('keypoints', 'mediapipe').estimate(image, None, None).num_people)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "0\n"
    assert done.stderr == ""
