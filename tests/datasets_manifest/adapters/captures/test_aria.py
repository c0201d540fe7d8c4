"""Aria glasses: lens and place of upright photos, from calibrations of the sensor that lies on its side."""

import json

import numpy as np
import pytest
import torch
from scenes import GLASSES, glasses_calibration

from datasets_manifest.adapters.captures.aria import calibrated_glasses, upright_camera, upright_place
from model.imaging.lenses import Lens


def lens_of(camera):
    return Lens(
        model=camera.lens, coefficients=camera.coefficients, focal_px=camera.focal_px, principal_px=camera.principal_px
    )


@pytest.mark.parametrize("side", [1408, 704, 448])
def test_an_upright_photo_shows_what_the_sensor_does_turned(side):
    sensor = Lens(
        focal_px=(610, 610), principal_px=(703.0, 709.75), coefficients=tuple(GLASSES[3:]), model="fisheye624"
    )
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.uniform(-1, 1, (50, 2)), np.ones((50, 1))], 1)
    x, y = sensor.to_pixels(torch.from_numpy(places[:, :2])).numpy().T
    turned = places @ upright_place(np.eye(3, 4))[:, :3].T
    camera = upright_camera(GLASSES, (side, side))
    found = lens_of(camera).to_pixels(torch.from_numpy(turned[:, :2])).numpy()
    np.testing.assert_allclose(found, np.stack([1408 - y, x], 1) * side / 1408, atol=1e-9)


def test_a_calibration_of_the_whole_sensor_is_that_of_the_photos_it_takes():
    """Of 2880 px 32 on every side are cut off, and two make one."""
    whole = [1220.0, 2 * (702.5 + 0.5) - 0.5 + 32, 2 * (709.25 + 0.5) - 0.5 + 32, *GLASSES[3:]]
    assert upright_camera(whole, (1408, 1408)) == upright_camera(GLASSES, (1408, 1408))


@pytest.mark.parametrize(
    ("numbers", "size", "said"),
    [
        (GLASSES[:-1], (1408, 1408), "expected 15 finite numbers"),
        ([np.nan, *GLASSES[1:]], (1408, 1408), "expected 15 finite numbers"),
        ([-610.0, *GLASSES[1:]], (1408, 1408), "too short"),
        (GLASSES, (640, 480), "are square, got 640 x 480"),
    ],
)
def test_what_is_no_lens_of_glasses_is_a_sentence(numbers, size, said):
    with pytest.raises(ValueError, match=said):
        upright_camera(numbers, size)


@pytest.mark.parametrize("write", [lambda own: f"{json.dumps(own)}\n{{broken\n", lambda own: json.dumps(own, indent=2)])
def test_a_calibration_is_of_a_recording_or_of_a_device(tmp_path, write):
    path = tmp_path / "online_calibration.jsonl"
    path.write_text(write(glasses_calibration()))
    assert calibrated_glasses(path, (1408, 1408)) == upright_camera(GLASSES, (1408, 1408))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        (json.dumps(glasses_calibration(Name="Fisheye62")), "got Fisheye62"),
        (json.dumps({"CameraCalibrations": []}), "has no camera-rgb"),
    ],
)
def test_a_file_that_is_no_calibration_is_a_sentence(tmp_path, content, said):
    path = tmp_path / "online_calibration.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=said):
        calibrated_glasses(path, (1408, 1408))
    with pytest.raises(ValueError, match="cannot be read"):
        calibrated_glasses(tmp_path / "none", (1408, 1408))
