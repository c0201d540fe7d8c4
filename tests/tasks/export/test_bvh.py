"""A BVH file, read by itself: its skeleton and its angles alone put the joints where the labels have them."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from model.body import skeleton
from tasks.export.bvh import encode

Y_UP_FROM_CAMERA = np.diag([1.0, -1.0, -1.0])


def read(text):
    """Names, parents, offsets, channels of each joint, end sites by parent, values (T, C) and the time of a frame."""
    words = iter(text.split())
    names, parents, offsets, channels, ends, above = [], [], [], [], {}, []
    for word in words:
        if word in ("ROOT", "JOINT"):
            names.append(next(words))
            parents.append(above[-1] if above else -1)
        elif word == "End":
            next(words)
            names.append(None)
            parents.append(above[-1])
        elif word == "{":
            above.append(len(names) - 1)
        elif word == "}":
            above.pop()
        elif word == "OFFSET":
            offset = [float(next(words)) for _ in range(3)]
            if names[above[-1]] is None:
                ends[parents.pop()] = offset
                names.pop()
            else:
                offsets.append(offset)
        elif word == "CHANNELS":
            channels.append([next(words) for _ in range(int(next(words)))])
        elif word == "MOTION":
            break
    assert next(words) == "Frames:"
    count = int(next(words))
    assert (next(words), next(words)) == ("Frame", "Time:")
    step = float(next(words))
    values = np.array([float(word) for word in words]).reshape(count, -1)
    return names, parents, np.array(offsets), channels, ends, values, step


def posed(names, parents, offsets, channels, values):
    """Joints (T, J, 3), in the units of the file."""
    at = 0
    world, place = np.zeros((len(values), len(names), 3, 3)), np.zeros((len(values), len(names), 3))
    for joint, (parent, own) in enumerate(zip(parents, channels, strict=True)):
        turn, moved = np.eye(3), np.zeros((len(values), 3))
        for name in own:
            value = values[:, at]
            at += 1
            if name.endswith("position"):
                moved[:, "XYZ".index(name[0])] = value
            else:
                turn = turn @ Rotation.from_euler(name[0], value[:, None], degrees=True).as_matrix()
        local = offsets[joint] + moved
        if parent < 0:
            world[:, joint], place[:, joint] = turn, local
        else:
            world[:, joint] = world[:, parent] @ turn
            place[:, joint] = place[:, parent] + np.einsum("tij,tj->ti", world[:, parent], local)
    assert at == values.shape[1]
    return place


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
