"""Bodies from HMR2: crop by the person's box, SMPL outputs, what is not a person."""

import numpy as np
import pytest
import torch
from photo_people import people
from refusals import codes_of
from upstream_checkpoints import write_checkpoint

from model.estimators import create
from model.estimators.base import BodyEstimator
from model.estimators.crop_network import normalised
from model.imaging.squares import PORTRAIT, square_of_box
from model.imaging.upstream_crop import cut


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("hmr2") / "hmr2.ckpt"
    return str(path), write_checkpoint(path, "hmr2")


def test_pose_is_the_networks_reading_of_the_box(written):
    path, network = written
    estimator = create("body", "hmr2", checkpoint_path=path, view_ray=False)
    batch = people(2)
    found = estimator.estimate(batch)
    assert isinstance(estimator, BodyEstimator)
    assert estimator.info.skeleton == "smpl"
    for row in range(2):
        square = square_of_box(batch.boxes_xyxy[row], 1.0, PORTRAIT)
        crop = cut(batch.images[row], square, 256, antialias=True)
        with torch.no_grad():
            expected = network(normalised(torch.from_numpy(crop.pixels)[None]))
        assert np.allclose(found.global_orient[row], expected.rotations[0, 0], atol=1e-5)
        assert np.allclose(found.body_pose[row], expected.rotations[0, 1:22], atol=1e-5)
        assert np.allclose(found.betas[row], expected.betas[0], atol=1e-5)
    assert found.valid.all()
    assert codes_of(found) == [None, None]


def test_frontal_person_is_turned_about_x(written):
    """The self-made network's mean pose is an upright person who faces the camera."""
    found = create("body", "hmr2", checkpoint_path=written[0]).estimate(people(2))
    assert (found.global_orient[:, 1, 1] < -0.5).all()
    assert (found.global_orient[:, 2, 2] < -0.5).all()


def test_unusable_boxes_are_no_people(written):
    batch = people(3)
    batch.boxes_xyxy[0] = [10, 10, 10, 50]
    batch.boxes_xyxy[2] = np.nan
    found = create("body", "hmr2", checkpoint_path=written[0]).estimate(batch)
    assert found.valid.tolist() == [False, True, False]
    assert codes_of(found) == ["box_invalid", None, "box_invalid"]
    assert np.allclose(found.global_orient[0], np.diag([1, -1, -1]), atol=1e-6)
    assert np.allclose(found.body_pose[0], np.eye(3))
    assert found.score[0] == 0 < found.score[1]


def test_file_of_another_network_is_refused(tmp_path):
    write_checkpoint(tmp_path / "hands.ckpt", "hamer")
    with pytest.raises(ValueError, match="not one of HMR2"):
        create("body", "hmr2", checkpoint_path=str(tmp_path / "hands.ckpt"))
