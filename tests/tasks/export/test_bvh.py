"""A BVH file, read by itself: its skeleton and its angles alone put the joints where the labels have them."""

import dataclasses

import numpy as np
import pytest
import torch
from bvh_reader import posed, read
from scipy.spatial.transform import Rotation

from model.body import skeleton
from tasks.export.bvh import encode

Y_UP_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def text(clip, ehm):
    return encode(clip, ehm).decode()


def test_the_file_alone_gives_the_joints(text, labelled):
    names, parents, offsets, channels, _, values, _ = read(text)
    frames, _, joints = labelled
    order = [skeleton.SMPLX_JOINT_NAMES.index(name) for name in names]
    assert sorted(order) == list(range(55))
    found = posed(names, parents, offsets, channels, values)[frames] / 100
    np.testing.assert_allclose(found, joints[:, order] @ Y_UP_FROM_CAMERA.T, atol=1e-4)


def test_times_and_chains_are_whole(text):
    names, parents, offsets, channels, ends, values, step = read(text)
    assert step == pytest.approx(1 / 30)
    assert len(values) == 14
    assert [len(own) for own in channels] == [6] + [3] * 54
    leaves = set(range(len(names))) - set(parents)
    assert set(ends) == leaves
    assert all(np.linalg.norm(end) > 0.1 for end in ends.values()), "bones of no length have no direction"
    assert not offsets[0].any()


def test_angles_do_not_leap(clip, ehm):
    """Somebody who turns round and round: programs that interpolate angles must not turn back in a frame."""
    upright = Rotation.from_euler("x", 90, degrees=True)
    turns = (Rotation.from_euler("z", np.linspace(0, 900, len(clip))[:, None], degrees=True) * upright).as_matrix()
    turning = dataclasses.replace(clip.parameters, global_orient=torch.from_numpy(turns).float())
    *_, values, _ = read(encode(dataclasses.replace(clip, parameters=turning), ehm).decode())
    assert np.abs(np.diff(values[:, 3:6], axis=0)).max() < 180
