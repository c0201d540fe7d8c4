"""The body of the keypoints says what EHM-s says, in far fewer vertices."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from datasets_manifest.schema.ehm_fields import BodySize
from model.batches import map_tensors, tensors_of
from model.body.assets import EhmAssets, load_open_body
from model.body.ehms import EHMs
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.rotations import rotvec_to_rotmat


@pytest.fixture(scope="module")
def assets() -> EhmAssets:
    return load_open_body()


@pytest.fixture(scope="module")
def with_correctives(assets: EhmAssets) -> EhmAssets:
    """The open body with random pose correctives, of millimetres at poses of tests."""
    rng = np.random.default_rng(0)
    posedirs = rng.standard_normal((486, 3 * assets.smplx.num_vertices), np.float32) * np.float32(1e-3)
    return dataclasses.replace(assets, smplx=dataclasses.replace(assets.smplx, posedirs=posedirs))


@pytest.fixture(scope="module", params=["plain", "correctives and a kept lower neck"])
def paper(request: pytest.FixtureRequest, assets: EhmAssets, with_correctives: EhmAssets) -> EhmAssets:
    """The open body in the fusion of the paper, also with what licensed files have."""
    if request.param == "plain":
        return dataclasses.replace(assets, fusion="paper")
    rng = np.random.default_rng(1)
    posedirs = rng.standard_normal((36, 3 * assets.flame.num_vertices), np.float32) * np.float32(1e-3)
    flame = dataclasses.replace(assets.flame, posedirs=posedirs)
    kept = assets.head_vertex_ids[::9]
    return dataclasses.replace(with_correctives, flame=flame, keep_body_ids=kept, fusion="paper")


def people(num: int, seed: int = 0, *, turn: float = 1.0) -> EhmParameters:
    """Random people with every part in use; heads look anywhere."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.randn(num, *shape, generator=generator) * scale

    def rotation(*shape: int, scale: float = 0.3) -> Tensor:
        return rotvec_to_rotmat(normal(*shape, 3, scale=scale))

    return EhmParameters(
        betas=normal(10),
        body_pose=rotation(21),
        global_orient=rotation(scale=turn),
        left_hand_pose=rotation(15),
        right_hand_pose=rotation(15),
        flame_shape=normal(10),
        flame_expression=normal(10),
        jaw_pose=rotation(scale=0.2),
        eye_pose=rotation(2, scale=0.2),
        eyelids=normal(2, scale=0.3).abs(),
        head_scale=1.0 + normal(3, scale=0.1),
    )


@pytest.mark.parametrize("num", [1, 4])
def test_points_are_those_of_the_whole_body(assets: EhmAssets, num: int) -> None:
    assert_same_points(assets, num, torch.float32, 1e-6)


def test_points_are_those_of_the_whole_body_with_correctives(with_correctives: EhmAssets) -> None:
    """In double precision: hundreds of terms a coordinate add up in another order."""
    assert_same_points(with_correctives, 2, torch.float64, 1e-12)


def test_points_are_those_of_the_whole_body_in_the_papers_fusion(paper: EhmAssets) -> None:
    """Both round their tables to single precision, one before the products, the other behind them."""
    assert_same_points(paper, 3, torch.float64, 2e-7)


def assert_same_points(assets: EhmAssets, num: int, dtype: torch.dtype, tolerance: float) -> None:
    extra = np.array([12000, 5, 5, 3456])
    whole, few = EHMs(assets).to(dtype), KeypointBody(assets, extra_vertex_ids=extra).to(dtype)
    assert few.skin_weights.shape[1] < 500
    for transl in (None, torch.randn(num, 3, dtype=dtype)):
        given = map_tensors(people(num, seed=num), lambda value: value.to(dtype))
        given = dataclasses.replace(given, transl_m=transl)
        expected, found = whole(given), few(given)
        torch.testing.assert_close(found.joints, expected.joints, rtol=0, atol=tolerance)
        torch.testing.assert_close(found.keypoints, expected.keypoints, rtol=0, atol=tolerance)
        torch.testing.assert_close(found.extra_vertices, expected.vertices[:, extra], rtol=0, atol=tolerance)


def test_correctives_move_the_keypoints(assets: EhmAssets, with_correctives: EhmAssets) -> None:
    given = people(3)
    apart = KeypointBody(assets)(given).keypoints - KeypointBody(with_correctives)(given).keypoints
    assert apart.norm(dim=-1).max() > 1e-3


def test_gradients_are_those_of_the_whole_body(with_correctives: EhmAssets) -> None:
    assert_same_gradients(with_correctives, 1e-9)


def test_gradients_are_those_of_the_whole_body_in_the_papers_fusion(paper: EhmAssets) -> None:
    assert_same_gradients(paper, 1e-5)


def assert_same_gradients(assets: EhmAssets, tolerance: float) -> None:
    given = map_tensors(people(1), lambda value: value.double().requires_grad_())
    pull = torch.randn(1, 133, 3, dtype=torch.float64)
    bodies = EHMs(assets).double(), KeypointBody(assets).double()
    whole, few = (torch.autograd.grad((body(given).keypoints * pull).sum(), tensors_of(given)) for body in bodies)
    for name, one, other in zip(given.named(), whole, few, strict=True):
        torch.testing.assert_close(
            other, one, rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("fusion", ["blended", "paper"])
def test_joints_alone_are_those_beside_vertices(with_correctives: EhmAssets, fusion) -> None:
    body = KeypointBody(dataclasses.replace(with_correctives, fusion=fusion))
    for given in (people(3), dataclasses.replace(people(3, seed=1), transl_m=None)):
        torch.testing.assert_close(body.posed_joints(given), body(given).joints, rtol=0, atol=0)
    with pytest.raises(ValueError, match="expected BodySize"):
        body.posed_joints(dataclasses.replace(people(3), betas=torch.zeros(3, 4)))


@pytest.mark.parametrize("fusion", ["blended", "paper"])
def test_vertices_at_rest_are_those_of_people_who_stand_still(assets: EhmAssets, fusion) -> None:
    assets, ids = dataclasses.replace(assets, fusion=fusion), np.array([7, 4000, 12])
    shape = {name: getattr(people(2), name) for name in ("betas", "flame_shape", "head_scale")}
    still = EhmParameters.neutral(2, **shape)
    found = KeypointBody(assets, extra_vertex_ids=ids).extra_vertices_at_rest(still)
    torch.testing.assert_close(found, EHMs(assets)(still).vertices[:, ids], rtol=0, atol=2e-6)


def test_fewer_coefficients_than_the_body_has(assets: EhmAssets) -> None:
    given = people(2)
    names = ("betas", "flame_shape", "flame_expression")
    short = dataclasses.replace(given, **{name: getattr(given, name)[:, :4] for name in names})
    body = KeypointBody(assets, BodySize(num_betas=4, num_flame_shape=4, num_expression=4))
    found = body(short).keypoints
    torch.testing.assert_close(found, EHMs(assets)(short).keypoints, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"expected BodySize\(num_betas=4, .* got BodySize\(num_betas=10, "):
        body(given)


@pytest.mark.parametrize("fusion", ["blended", "paper"])
def test_nothing_asks_the_device_for_a_value(assets: EhmAssets, fusion) -> None:
    """Tensors of the meta device have no values: reading one raises."""
    assets = dataclasses.replace(assets, fusion=fusion)
    body = KeypointBody(assets, extra_vertex_ids=np.arange(5)).to("meta")
    found = body(map_tensors(people(2), lambda value: value.to("meta")))
    assert found.keypoints.shape == (2, 133, 3)
    assert found.extra_vertices.shape == (2, 5, 3)


def test_without_extra_vertices_there_are_none(assets: EhmAssets) -> None:
    assert KeypointBody(assets)(people(2)).extra_vertices.shape == (2, 0, 3)


@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_an_extra_vertex_that_does_not_exist_is_refused(assets: EhmAssets, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"extra_vertex_ids reach from .*{wrong}.* has vertices 0 to"):
        KeypointBody(assets, extra_vertex_ids=np.array([3, wrong]))


def test_a_pose_that_is_not_a_number_gives_points_that_are_none(assets: EhmAssets) -> None:
    """The head's yaw picks the outline's points: it must not pick one that does not exist."""
    given = people(2)
    given.global_orient[1] = torch.nan
    keypoints = KeypointBody(assets)(given).keypoints
    assert keypoints[0].isfinite().all()
    assert keypoints[1].isnan().all()
