"""The mirrored parameters pose the mirrored body."""

import dataclasses

import numpy as np
import pytest
import torch

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, BodySize
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.body.skeleton import KEYPOINT_FLIP, SMPLX_FLIP
from model.regressor.flip import (
    CoefficientMirror,
    mirror_joint_flags,
    mirror_parameters,
    mirrored_vertices,
)
from model.rotations import rotvec_to_rotmat

M = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def assets():
    return load_open_body()


@pytest.fixture(scope="module")
def mirror(assets):
    return CoefficientMirror.of(assets, DEFAULT_SIZE)


def person(seed=0, count=2, face=1.0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape, size):
        return size * torch.randn(count, *shape, generator=generator)

    def turn(*shape, size=0.3):
        return rotvec_to_rotmat(normal(*shape, 3, size=size))

    return EhmParameters(
        global_orient=turn(size=1.0),
        body_pose=turn(21),
        left_hand_pose=turn(15),
        right_hand_pose=turn(15),
        betas=normal(10, size=1.0),
        head_orient=turn(size=1.0),
        jaw_pose=turn(size=0.1),
        eye_pose=turn(2, size=0.2),
        eyelids=torch.rand(count, 2, generator=generator),
        flame_shape=normal(10, size=face),
        flame_expression=normal(10, size=face),
        head_scale=1 + normal(3, size=0.05),
        transl_m=normal(3, size=1.0),
    )


def test_the_mirrored_body_is_posed(assets, mirror):
    ehm, parameters = EHMs(assets), person()
    with torch.no_grad():
        plain, flipped = (
            ehm(parameters),
            ehm(mirror_parameters(parameters, mirror)),
        )
    joints = plain.joints[:, list(SMPLX_FLIP)] * M
    assert (flipped.joints - joints).norm(dim=-1).max() < 1e-3
    vertices = plain.vertices[:, mirrored_vertices(assets.smplx.v_template)] * M
    distance = (flipped.vertices - vertices).norm(dim=-1)
    assert distance.median() < 1e-4
    assert distance.max() < 4e-3
    keypoints = plain.keypoints[:, list(KEYPOINT_FLIP)] * M
    assert (flipped.keypoints - keypoints).norm(dim=-1).max() < 4e-3


def test_without_face_coefficients_it_is_exact(assets, mirror):
    ehm, parameters = EHMs(assets), person(1, face=0.0)
    with torch.no_grad():
        plain, flipped = (
            ehm(parameters),
            ehm(mirror_parameters(parameters, mirror)),
        )
    vertices = plain.vertices[:, mirrored_vertices(assets.smplx.v_template)] * M
    assert (flipped.vertices - vertices).norm(dim=-1).max() < 1e-3


def test_the_map_beats_leaving_coefficients_as_they_are(assets, mirror):
    ehm, parameters = EHMs(assets), person(2, face=2.0)
    flipped = mirror_parameters(parameters, mirror)
    lazy = dataclasses.replace(
        flipped, flame_shape=parameters.flame_shape, flame_expression=parameters.flame_expression
    )
    with torch.no_grad():
        plain = ehm(parameters).vertices[:, mirrored_vertices(assets.smplx.v_template)] * M
        error, left = ((ehm(p).vertices - plain).norm(dim=-1).max() for p in (flipped, lazy))
    assert error < 0.5 * left


def test_twice_is_nothing(mirror):
    parameters = person(3)
    twice = mirror_parameters(mirror_parameters(parameters, mirror), mirror).named()
    for name, value in parameters.named().items():
        atol = {"flame_expression": 0.15, "flame_shape": 0.15, "betas": 1e-3}.get(name, 1e-6)
        torch.testing.assert_close(twice[name], value, atol=atol, rtol=0)


def test_residuals_of_the_open_body_are_small(mirror):
    assert mirror.body_allowed
    assert mirror.face_allowed
    assert mirror.betas_residual < 1e-3
    assert mirror.shape_residual < 0.04
    assert mirror.expression_residual < 0.04


def test_a_basis_without_a_mirror_is_told(assets):
    lopsided = np.array(assets.flame.exprdirs)
    lopsided[assets.flame.v_template[:, 0] > 0] = 0
    broken = dataclasses.replace(assets, flame=dataclasses.replace(assets.flame, exprdirs=lopsided))
    mirror = CoefficientMirror.of(broken, DEFAULT_SIZE)
    assert mirror.body_allowed
    assert not mirror.face_allowed


def test_more_coefficients_than_the_body_has(assets):
    mirror = CoefficientMirror.of(assets, BodySize(num_flame_shape=400, num_expression=400))
    assert mirror.flame_shape.shape == (400, 400)
    torch.testing.assert_close(mirror.flame_shape[-1, -1], torch.tensor(1.0))


def test_joint_flags_change_sides():
    flags = np.zeros(22, bool)
    flags[1] = True
    assert mirror_joint_flags(flags)[2]
    assert mirror_joint_flags(flags).sum() == 1
