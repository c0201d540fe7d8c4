"""Kinematics and skinning against plain definitions, and off the CPU."""

import dataclasses

import pytest
import torch

from model.body import lbs
from model.body.assets import EhmAssets, load_open_body
from model.body.ehms import EHMs
from model.body.flame import FLAME
from model.body.parameters import EhmParameters
from model.body.skinned import SkinnedBody
from model.rotations import rotvec_to_rotmat

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def assets() -> EhmAssets:
    return load_open_body()


def few_joints_a_vertex(num_joints: int, num_vertices: int) -> torch.Tensor:
    """(J, V) weights of three random joints a vertex, of which the second may be the first."""
    rng = torch.Generator().manual_seed(1)
    weights = torch.zeros(num_joints, num_vertices, dtype=torch.float64)
    for vertex in range(num_vertices):
        weights[torch.randint(num_joints, (3,), generator=rng), vertex] += 1.0
    return weights / weights.sum(0)


@pytest.mark.parametrize("parents", [(-1,), (-1, 0, 1, 2, 3, 4, 5, 6, 7, 8), (-1, 0, 0, 1, 1, 2, 4, 4, 6, 0)])
def test_joints_follow_their_chains(parents: tuple[int, ...]) -> None:
    rng, num = torch.Generator().manual_seed(0), len(parents)
    rotations = rotvec_to_rotmat(torch.randn(2, num, 3, generator=rng).double())
    rest = torch.randn(2, num, 3, generator=rng).double()
    world, posed = lbs.forward_kinematics(rotations, rest, lbs.KinematicTree.from_parents(parents))
    for joint, parent in enumerate(parents):
        above = world[:, parent] if parent >= 0 else torch.eye(3).double()
        bone = rest[:, joint] - rest[:, parent] if parent >= 0 else rest[:, joint]
        start = posed[:, parent] if parent >= 0 else 0.0
        assert torch.allclose(world[:, joint], above @ rotations[:, joint], atol=1e-12)
        assert torch.allclose(posed[:, joint], start + (above @ bone[..., None])[..., 0], atol=1e-12)


def test_a_child_before_its_parent_is_refused() -> None:
    with pytest.raises(ValueError, match="before its children"):
        lbs.KinematicTree.from_parents((-1, 2, 0))


def test_sparse_skinning_is_dense_skinning_and_so_are_its_gradients() -> None:
    weights, rng = few_joints_a_vertex(9, 40), torch.Generator().manual_seed(2)
    values = [
        torch.randn(5, 40, 3, generator=rng, dtype=torch.float64, requires_grad=True),
        torch.randn(5, 9, 3, 4, generator=rng, dtype=torch.float64, requires_grad=True),
    ]
    support, found = lbs.SkinSupport(weights), []
    assert len(support.joints) < 3 * 40 + 1
    for given in (None, support):
        posed = lbs.skin(*values, weights, given)
        found.append((posed, *torch.autograd.grad(posed.pow(3).sum(), values)))
    for dense, sparse in zip(*found, strict=True):
        assert torch.allclose(dense, sparse, atol=1e-12)


def test_gradients_of_the_whole_body_are_those_of_differences(assets: EhmAssets) -> None:
    """Of the sum over all points, by two directions through every parameter of two people."""
    body, rng = EHMs(assets).double(), torch.Generator().manual_seed(3)
    start = {"betas": torch.zeros(2, 10), "head_scale": torch.ones(2, 3), "pose": torch.zeros(2, 21, 3)}
    start = {name: value.double().requires_grad_() for name, value in start.items()}
    along = {name: torch.randn(value.shape, generator=rng).double() for name, value in start.items()}

    def total(step: float) -> torch.Tensor:
        values = {name: value + step * along[name] for name, value in start.items()}
        pose = values.pop("pose") + 0.1
        return (
            body(EhmParameters.neutral(dtype=torch.float64, **values, body_pose=rotvec_to_rotmat(pose)))
            .vertices.pow(2)
            .sum()
        )

    gradients = torch.autograd.grad(total(0.0), list(start.values()))
    slope = sum((g * d).sum() for g, d in zip(gradients, along.values(), strict=True))
    with torch.no_grad():
        difference = (total(1e-5) - total(-1e-5)) / 2e-5
    assert slope.item() == pytest.approx(difference.item(), rel=1e-7)


def test_any_number_of_people_gives_the_rows_of_one(assets: EhmAssets) -> None:
    """Batches are worked through in slices on a CPU: none at all, less than one, several."""
    body, people = EHMs(assets), 2 * lbs.cpu_chunk(assets.smplx.num_vertices) + 1
    betas = torch.randn(people, 10, generator=torch.Generator().manual_seed(4))
    whole = body(EhmParameters.neutral(betas=betas, head_scale=torch.full((people, 3), 1.1))).vertices
    for row in (0, people // 2, people - 1):
        alone = body(EhmParameters.neutral(betas=betas[row], head_scale=torch.full((3,), 1.1))).vertices
        assert (whole[row] - alone).abs().max() < 2e-6
    assert body(EhmParameters.neutral(betas=betas[:0])).vertices.shape == (0, assets.smplx.num_vertices, 3)


def test_a_body_of_some_vertices_is_the_rows_of_the_whole(assets: EhmAssets) -> None:
    rng = torch.Generator().manual_seed(5)
    rich = dataclasses.replace(
        assets.smplx, posedirs=1e-3 * torch.randn(486, 3 * assets.smplx.num_vertices, generator=rng).numpy()
    )
    ids = torch.randperm(assets.smplx.num_vertices, generator=rng)[:50]
    arguments = {
        "betas": torch.randn(3, 10, generator=rng),
        "body_pose": rotvec_to_rotmat(0.3 * torch.randn(3, 21, 3, generator=rng)),
    }
    some = SkinnedBody(rich, num_betas=10, num_expression=0)
    whole = some(**arguments)
    some.keep_vertices(ids)
    found = some(**arguments)
    assert (found.vertices - whole.vertices[:, ids]).abs().max() < 1e-6
    assert torch.equal(found.joints, whole.joints)


def test_a_head_of_some_vertices_closes_its_eyes_too(assets: EhmAssets) -> None:
    ids = torch.arange(0, assets.flame.num_vertices, 7)
    head = FLAME(assets.flame)
    arguments = {"eyelids": torch.tensor([[1.0, 0.5]]), "betas": torch.ones(1, 10)}
    whole = head(**arguments)
    head.keep_vertices(ids)
    assert (head(**arguments).vertices - whole.vertices[:, ids]).abs().max() < 1e-6


def test_weights_that_are_mostly_above_zero_stay_dense(assets: EhmAssets) -> None:
    assert SkinnedBody(assets.smplx).skin_support is not None
    even = dataclasses.replace(assets.smplx, skin_weights=0 * assets.smplx.skin_weights + 1 / 55)
    assert SkinnedBody(even).skin_support is None


@pytest.mark.parametrize("fusion", ["blended", "paper"])
def test_ehms_runs_on_a_device_that_cannot_be_asked(assets: EhmAssets, fusion) -> None:
    """Tensors of the meta device have shapes but no values: reading one raises, and so does mixing devices."""
    meta = torch.device("meta")
    body = EHMs(dataclasses.replace(assets, fusion=fusion)).to(meta)
    out = body(EhmParameters.neutral(4, device=meta, transl_m=torch.zeros(4, 3, device=meta)))
    assert out.vertices.device == out.keypoints.device == meta
