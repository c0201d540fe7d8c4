"""Our body models against the package `smplx` on the same files, with and without pose correctives."""

from pathlib import Path

import pytest
import torch
from model_files import write_licensed_like_files

from model.body.assets import BodyAssets
from model.body.convert import convert_model
from model.body.flame import FLAME
from model.body.keypoints import Keypoints
from model.body.skeleton import CONTOUR, SMPLX_JOINT_NAMES
from model.body.skinned import SkinnedBody
from model.rotations import rotvec_to_rotmat

smplx = pytest.importorskip("smplx", reason="the oracle of these tests is an optional, non-commercial package")
from smplx.lbs import batch_rodrigues  # noqa: E402

TOLERANCE_M = 1e-5
NUM = 8
YAWS_DEG = (-80.0, -38.6, -12.3, 0.0, 0.4, 17.2, 38.7, 75.0)
SMPLX_OF_KEYPOINT = (
    55, 57, 56, 59, 58, 16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8, 60, 61, 62, 63, 64, 65,
    *range(127, 144), *range(76, 127),
    20, 37, 38, 39, 66, 25, 26, 27, 67, 28, 29, 30, 68, 34, 35, 36, 69, 31, 32, 33, 70,
    21, 52, 53, 54, 71, 40, 41, 42, 72, 43, 44, 45, 73, 49, 50, 51, 74, 46, 47, 48, 75,
)  # fmt: skip
"""The 133 keypoints among the 144 joints of the package."""


@pytest.fixture(scope="module", params=["open", "licensed_like"])
def folder(request: pytest.FixtureRequest, package_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "open":
        return package_files
    return write_licensed_like_files(package_files, tmp_path_factory.mktemp(request.param), seed=7)


def _random(*shape: int, scale: float = 0.4, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * scale


def _mats(rotvec: torch.Tensor) -> torch.Tensor:
    return batch_rodrigues(rotvec.reshape(-1, 3)).reshape(*rotvec.shape[:-1], 3, 3)


def _assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max().item() < TOLERANCE_M


def _pose(num: int) -> torch.Tensor:
    return _random(NUM, num, 3)


@pytest.fixture(scope="module")
def body(folder: Path) -> tuple[BodyAssets, torch.nn.Module]:
    """Our assets and the package's model of one SMPL-X file."""
    oracle = smplx.create(
        str(folder), model_type="smplx", ext="npz", num_betas=10, num_expression_coeffs=12, use_pca=False,
        flat_hand_mean=True, use_face_contour=True, batch_size=NUM,
    )  # fmt: skip
    return convert_model("smplx", folder / "smplx/SMPLX_NEUTRAL.npz"), oracle


def _smplx_arguments() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    pose, betas, expression = _pose(len(SMPLX_JOINT_NAMES)), _random(NUM, 10, scale=1.0), _random(NUM, 12, scale=1.0)
    arguments = {
        "betas": betas, "expression": expression, "global_orient": pose[:, 0], "body_pose": pose[:, 1:22].flatten(1),
        "jaw_pose": pose[:, 22], "leye_pose": pose[:, 23], "reye_pose": pose[:, 24],
        "left_hand_pose": pose[:, 25:40].flatten(1), "right_hand_pose": pose[:, 40:].flatten(1),
    }  # fmt: skip
    return pose, betas, expression, arguments


def test_smplx_equals_the_package(body: tuple[BodyAssets, torch.nn.Module]) -> None:
    assets, oracle = body
    pose, betas, expression, arguments = _smplx_arguments()
    with torch.no_grad():
        theirs = oracle(**arguments)
        mats = _mats(pose)
        ours = SkinnedBody(assets, num_betas=10, num_expression=12)(
            betas=betas, expression=expression, global_orient=mats[:, 0], body_pose=mats[:, 1:22],
            jaw_pose=mats[:, 22], eye_pose=mats[:, 23:25], left_hand_pose=mats[:, 25:40],
            right_hand_pose=mats[:, 40:],
        )  # fmt: skip
    _assert_close(ours.vertices, theirs.vertices)
    _assert_close(ours.joints, theirs.joints[:, :55])


def test_keypoints_equal_the_package_joints(body: tuple[BodyAssets, torch.nn.Module]) -> None:
    assets, oracle = body
    pose, _, _, arguments = _smplx_arguments()
    arguments |= {"global_orient": pose[:, 0] * 0, "body_pose": arguments["body_pose"].clone()}
    with torch.no_grad():
        theirs = oracle(**arguments)
        mats = _mats(pose)
        # The package turns the contour by the chain up to the neck; the head's own joint is left out there.
        neck = mats[:, 3] @ mats[:, 6] @ mats[:, 9] @ mats[:, 12]
        ours = Keypoints(assets)(theirs.vertices, theirs.joints[:, :55], neck, "body")
    _assert_close(ours, theirs.joints[:, list(SMPLX_OF_KEYPOINT)])


def test_contour_follows_the_yaw_as_in_the_package(body: tuple[BodyAssets, torch.nn.Module]) -> None:
    assets, oracle = body
    yaw_rad = torch.deg2rad(torch.tensor(YAWS_DEG))
    orient = torch.stack([torch.zeros(NUM), yaw_rad, torch.zeros(NUM)], dim=-1)
    keypoints = Keypoints(assets)
    half_turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    with torch.no_grad():
        theirs = oracle(global_orient=orient)
        ours = keypoints(theirs.vertices, theirs.joints[:, :55], _mats(orient), "body")
        in_camera = keypoints(theirs.vertices, theirs.joints[:, :55], half_turn @ _mats(orient), "camera")
    _assert_close(ours[:, CONTOUR], theirs.joints[:, 127:])
    _assert_close(in_camera[:, CONTOUR], theirs.joints[:, 127:])


def test_flame_equals_the_package(folder: Path) -> None:
    oracle = smplx.create(str(folder), model_type="flame", num_betas=20, num_expression_coeffs=10, batch_size=NUM)
    assets = convert_model("flame", folder / "flame/FLAME_NEUTRAL.pkl")
    pose, betas, expression = _pose(5), _random(NUM, 20, scale=1.0), _random(NUM, 10, scale=1.0)
    mats = _mats(pose)
    with torch.no_grad():
        theirs = oracle(
            betas=betas, expression=expression, global_orient=pose[:, 0], neck_pose=pose[:, 1], jaw_pose=pose[:, 2],
            leye_pose=pose[:, 3], reye_pose=pose[:, 4],
        )  # fmt: skip
        ours = FLAME(assets, num_betas=20, num_expression=10)(
            betas=betas, expression=expression, global_orient=mats[:, 0], neck_pose=mats[:, 1], jaw_pose=mats[:, 2],
            eye_pose=mats[:, 3:5],
        )  # fmt: skip
    _assert_close(ours.vertices, theirs.vertices)
    _assert_close(ours.joints, theirs.joints[:, :5])


@pytest.mark.parametrize("side", ["left", "right"])
def test_mano_equals_the_package(folder: Path, side: str) -> None:
    path = folder / f"mano/MANO_{side.upper()}.pkl"
    oracle = smplx.create(
        str(path), model_type="mano", is_rhand=side == "right", use_pca=False, flat_hand_mean=True, batch_size=NUM
    )
    pose, betas = _pose(16), _random(NUM, 10, scale=1.0)
    mats = _mats(pose)
    with torch.no_grad():
        theirs = oracle(betas=betas, global_orient=pose[:, 0], hand_pose=pose[:, 1:].flatten(1))
        model = SkinnedBody(convert_model("mano", path), num_betas=10)
        ours = model(betas=betas, global_orient=mats[:, 0], hand_pose=mats[:, 1:])
    _assert_close(ours.vertices, theirs.vertices)
    _assert_close(ours.joints, theirs.joints[:, :16])


def test_smpl_equals_the_package(folder: Path) -> None:
    oracle = smplx.create(str(folder), model_type="smpl", batch_size=NUM)
    pose, betas = _pose(24), _random(NUM, 10, scale=1.0)
    mats = _mats(pose)
    with torch.no_grad():
        theirs = oracle(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1))
        ours = SkinnedBody(convert_model("smpl", folder / "smpl/SMPL_NEUTRAL.pkl"), num_betas=10)(
            betas=betas, global_orient=mats[:, 0], body_pose=mats[:, 1:]
        )
    _assert_close(ours.vertices, theirs.vertices)
    _assert_close(ours.joints, theirs.joints[:, :24])


def test_rotation_matrices_equal_the_package() -> None:
    rotvec = _random(64, 3, scale=1.5)
    assert (rotvec_to_rotmat(rotvec) - batch_rodrigues(rotvec)).abs().max() < 1e-6


def test_pose_correctives_are_kept_or_found_to_be_zero(folder: Path, body: tuple[BodyAssets, torch.nn.Module]) -> None:
    assert (body[0].posedirs is None) == folder.name.startswith("open")
