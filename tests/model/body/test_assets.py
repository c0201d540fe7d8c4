"""Assets refuse arrays that do not fit together, and the open body fits."""

import dataclasses

import numpy as np
import pytest
import torch

from model.body.assets import BodyAssets, load_open_body, load_open_part
from model.body.flame import FLAME
from model.body.skinned import SkinnedBody


@pytest.fixture(scope="module")
def hand() -> BodyAssets:
    return load_open_part("mano_left")


@pytest.mark.parametrize(
    ("field", "change", "message"),
    [
        ("skin_weights", lambda a: a[:, :-1], "skin_weights has shape"),
        ("joint_regressor", lambda a: a[:, :-1], "joint_regressor has shape"),
        ("shapedirs", lambda a: a[:5], "shapedirs has shape"),
        ("faces", lambda a: a + 1_000_000, "faces names a vertex outside"),
        ("parents", lambda a: a[::-1].copy(), "every parent before its children"),
    ],
)
def test_arrays_that_do_not_fit_are_named(hand: BodyAssets, field: str, change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(hand, **{field: change(getattr(hand, field))})


def test_posedirs_of_another_model_are_named(hand: BodyAssets) -> None:
    with pytest.raises(ValueError, match="posedirs has shape"):
        dataclasses.replace(hand, posedirs=np.zeros((9, hand.num_vertices * 3), np.float32))


def test_head_correspondence_of_another_release_is_named() -> None:
    body = load_open_body()
    with pytest.raises(ValueError, match="take both from the same release"):
        dataclasses.replace(body, head_vertex_ids=body.head_vertex_ids[:-1])
    with pytest.raises(ValueError, match="take both from the same release"):
        dataclasses.replace(body, head_vertex_ids=body.head_vertex_ids + body.smplx.num_vertices)


def test_the_open_body_is_one_object_and_free() -> None:
    body = load_open_body()
    assert body is load_open_body()
    assert body.smplx.licence.startswith("CC0")
    assert len(body.sha256) == 64
    assert body.smplx.posedirs is None
    np.testing.assert_allclose(body.smplx.skin_weights.sum(1), 1.0, atol=1e-5)
    np.testing.assert_allclose(body.smplx.joint_regressor.sum(1), 1.0, atol=1e-5)


def test_head_and_hands_of_the_open_body_coincide_with_the_body() -> None:
    """Part models are cut from the body: equal up to a shift."""
    body = load_open_body()
    parts = [(body.flame, body.head_vertex_ids)]
    parts += [(load_open_part(f"mano_{side}"), body.hand_vertex_ids[side]) for side in ("left", "right")]
    for part, ids in parts:
        shift = body.smplx.v_template[ids] - part.v_template
        assert np.ptp(shift, axis=0).max() < 1e-6


def test_a_head_refuses_a_hand(hand: BodyAssets) -> None:
    with pytest.raises(ValueError, match="needs assets of kind"):
        FLAME(hand)


def test_arguments_and_numbers_that_a_body_does_not_have_are_named(hand: BodyAssets) -> None:
    with pytest.raises(ValueError, match="num_betas = 99"):
        SkinnedBody(hand, num_betas=99)
    with pytest.raises(TypeError, match=r"no argument body_pose; its arguments are .*global_orient, hand_pose"):
        SkinnedBody(hand)(body_pose=torch.eye(3))
