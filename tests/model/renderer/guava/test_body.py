"""The body with teeth: where they are, what moves them, and that everything else stays as it is."""

import dataclasses

import numpy as np
import pytest
import torch
from official_sizes import official_sizes

from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.renderer.guava.body import LOWER_LIP, NUM_FLAME, NUM_SMPLX, NUM_TEETH, ROW, UPPER_LIP, guava_body
from model.renderer.guava.config import PUBLISHED
from model.rotations import rotvec_to_rotmat

NECK, HEAD, JAW = 12, 15, 22


@pytest.fixture(scope="module")
def assets():
    return official_sizes()


@pytest.fixture(scope="module")
def body(assets):
    return guava_body(assets)


def rows_of(body):
    """(8, 15, 3) teeth of the head at rest."""
    return body.flame.v_template[NUM_FLAME:].reshape(-1, ROW, 3)


def test_it_has_the_vertices_of_the_published_weights(body, assets):
    assert body.smplx.num_vertices == PUBLISHED.num_vertices
    assert len(body.smplx.faces) == len(assets.smplx.faces) + 168
    assert np.array_equal(np.unique(body.smplx.faces[-168:]), np.arange(NUM_SMPLX, NUM_SMPLX + NUM_TEETH))
    assert len(body.regions["lips"]) == PUBLISHED.num_vertices
    assert not body.regions["lips"][NUM_SMPLX:].any()
    assert body.fusion == "paper"
    assert not len(body.keep_body_ids)
    assert body.sha256 != assets.sha256


def test_teeth_are_two_bows_behind_the_lips(body, assets):
    upper_root, lower_root, upper_edge, lower_edge, root_back, *_ = rows_of(body)
    lips = [assets.flame.v_template[list(lip)] for lip in (UPPER_LIP, LOWER_LIP)]
    width = np.linalg.norm(lips[0] - lips[1], axis=1).mean()
    middle = (lips[0] + lips[1]) / 2
    assert np.allclose(upper_edge[:, 0], middle[:, 0], atol=1e-6)
    assert np.allclose(upper_edge[:, 2], middle[:, 2] - 1.5 * width, atol=1e-6)
    assert np.allclose(upper_edge[:, 1], middle[:, 1].mean() + 0.1 * width, atol=1e-6)
    assert np.allclose(lower_edge - upper_edge, [0, -0.2 * width, -0.4 * width], atol=1e-6)
    assert np.allclose(upper_root - upper_edge, [0, 2 * width, 0], atol=1e-6)
    assert np.allclose(lower_root - lower_edge, [0, -2 * width, 0], atol=1e-6)
    assert np.allclose(root_back - upper_root, [0, 0, -width], atol=1e-6)


def test_everything_else_is_as_before(body, assets):
    people = random_people(body, 3)
    ours, before = (EHMs(each) for each in (body, whole_head(assets)))
    with torch.no_grad():
        found, expected = ours(people), before(people)
    assert torch.allclose(found.vertices[:, :NUM_SMPLX], expected.vertices, atol=1e-6)
    assert torch.allclose(found.joints, expected.joints, atol=1e-6)


def whole_head(assets):
    """The same body without teeth, in the fusion of the published code."""
    return dataclasses.replace(assets, fusion="paper", keep_body_ids=np.zeros(0, np.int64))


def random_people(body, count):
    torch.manual_seed(3)
    rotvecs = {"global_orient": (3,), "body_pose": (21, 3), "jaw_pose": (3,), "eye_pose": (2, 3)}
    rotations = {name: rotvec_to_rotmat(0.3 * torch.randn(count, *shape)) for name, shape in rotvecs.items()}
    size = EHMs(body).size
    return EhmParameters.neutral(
        count, size=size, **rotations, head_scale=1 + 0.1 * torch.randn(count, 3), eyelids=torch.rand(count, 2),
        betas=torch.randn(count, size.num_betas), flame_shape=torch.randn(count, size.num_flame_shape),
        flame_expression=torch.randn(count, size.num_expression),
    )  # fmt: skip


def test_the_jaw_moves_lower_teeth_and_the_neck_all_of_them(body):
    model = EHMs(body)
    turn = rotvec_to_rotmat(torch.tensor([[0.3, 0.0, 0.0]]))
    bent = torch.eye(3).repeat(1, 21, 1, 1)
    bent[0, HEAD - 1] = turn[0]
    with torch.no_grad():
        rest = model(EhmParameters.neutral(1)).vertices[0, NUM_SMPLX:]
        jaw = model(EhmParameters.neutral(1, jaw_pose=turn)).vertices[0, NUM_SMPLX:]
        head = model(EhmParameters.neutral(1, body_pose=bent)).vertices[0, NUM_SMPLX:]
    moves = (jaw - rest).norm(dim=1) > 1e-4
    # Those that the body takes from the head's lower rows, which it takes in another order.
    assert int(moves.sum()) == NUM_TEETH // 2
    assert moves[ROW * 2 : ROW * 3].tolist() == [True] * ROW
    turned = (head - rest).norm(dim=1) > 1e-4
    lower = np.flatnonzero(body.smplx.skin_weights[NUM_SMPLX:, JAW])
    assert sorted(turned.nonzero()[:, 0].tolist()) == sorted(lower)
    assert (body.smplx.skin_weights[NUM_SMPLX:, NECK].sum(), len(lower)) == (NUM_TEETH / 2, NUM_TEETH / 2)


def test_the_skin_turns_what_it_moves(body):
    model, people = EHMs(body), random_people(body, 2)
    with torch.no_grad():
        vertices, turns = model.posed_surface(people)
        assert torch.equal(vertices, model(people).vertices)
    rigid = np.flatnonzero(body.smplx.skin_weights.max(1) == 1)
    assert turns.shape == (2, PUBLISHED.num_vertices, 3, 3)
    assert torch.allclose(turns[:, rigid] @ turns[:, rigid].mT, torch.eye(3), atol=1e-5)
    root = np.flatnonzero(body.smplx.skin_weights[:, 0] == 1)
    assert torch.allclose(turns[:, root], people.global_orient[:, None].expand(-1, len(root), -1, -1), atol=1e-5)


def test_the_open_body_is_told():
    with pytest.raises(ValueError, match=r"SMPL-X with 10475 vertices and FLAME with 5023, got open_body_smplx with"):
        guava_body(load_open_body())
