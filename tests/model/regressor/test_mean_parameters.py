"""Where the regressor starts: an upright person, SPIN's file in its layout, or the mean of labels."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import roma
import torch

from datasets_manifest.schema.ehm_fields import EHM_FIELDS
from model.batches import map_tensors
from model.body.parameters import EhmParameters
from model.body.skeleton import SMPLX_JOINT_NAMES
from model.regressor.config import RegressorConfig
from model.regressor.mean_parameters import FLAME_READOUTS, SMPLX_READOUTS, from_smpl_mean, neutral, of_labels
from model.regressor.network import EhmRegressor
from model.rotations import sixd_to_rotmat

CONFIG = RegressorConfig(num_betas=4, num_flame_shape=3, num_expression=2)
SPIN = Path(__file__).parents[3].parent / "shared" / "data" / "smpl" / "smpl_mean_params.npz"


def rotations(*shape, seed=0, spread=0.6):
    """Rotations (*shape, 3, 3) within ``spread`` rad of the identity."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator), dim=-1)
    return roma.rotvec_to_rotmat(vectors * spread * torch.rand(*shape, 1, generator=generator))


def labels_of(num=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return EhmParameters(
        global_orient=rotations(num, seed=seed),
        body_pose=rotations(num, 21, seed=seed + 1),
        left_hand_pose=rotations(num, 15, seed=seed + 2),
        right_hand_pose=rotations(num, 15, seed=seed + 3),
        betas=torch.randn(num, 4, generator=generator),
        head_orient=rotations(num, seed=seed + 4),
        jaw_pose=rotations(num, seed=seed + 5),
        eye_pose=rotations(num, 2, seed=seed + 6),
        eyelids=torch.rand(num, 2, generator=generator),
        flame_shape=torch.randn(num, 3, generator=generator),
        flame_expression=torch.randn(num, 2, generator=generator),
        head_scale=1 + 0.1 * torch.randn(num, 3, generator=generator),
    )


def rows_of(matrices):
    """Rotations (N, 3, 3) in SPIN's layout (6 N,)."""
    return matrices[..., :2].reshape(-1).numpy()


def equal(mean, other):
    return {name for name, tensor in mean.items() if torch.equal(tensor, other[name])}


def test_every_parameter_of_the_face_has_a_readout():
    assert set(FLAME_READOUTS) == {field.name for field in EHM_FIELDS if field.part == "face"}
    assert set(neutral(CONFIG)) == {*SMPLX_READOUTS, *FLAME_READOUTS}


def test_neutral_is_upright_with_relaxed_arms():
    pose = sixd_to_rotmat(neutral(CONFIG)["pose"])
    assert torch.equal(pose[0], torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    assert torch.equal(sixd_to_rotmat(neutral(CONFIG)["head_orient"]), pose[0])
    left, right = (pose[SMPLX_JOINT_NAMES.index(f"{side}_shoulder")] for side in ("left", "right"))
    # In the T pose the left arm points to +x, the right one to -x; y is up.
    down = torch.tensor([0.0, -1.0, 0.0])
    for arm in (left[:, 0], -right[:, 0]):
        assert float(arm @ down) == pytest.approx(np.sin(np.radians(60)), abs=1e-6)
    turned = {0, *(SMPLX_JOINT_NAMES.index(f"{side}_shoulder") for side in ("left", "right"))}
    assert {k for k in range(52) if not torch.equal(pose[k], torch.eye(3))} == turned


def test_spins_layout_is_converted():
    matrices = rotations(24, spread=3)
    mean = from_smpl_mean({"pose": rows_of(matrices), "cam": np.array([0.8, 0.1, -0.1]), "shape": np.ones(10)}, CONFIG)
    assert torch.allclose(sixd_to_rotmat(mean["pose"][:22]), matrices[:22], atol=1e-5)
    assert torch.equal(mean["pose"][22:], neutral(CONFIG)["pose"][22:])
    assert torch.allclose(mean["camera"], torch.tensor([0.8, 0.1, -0.1]))
    assert not bool(mean["betas"].any()), "SMPL's coefficients are not those of SMPL-X"
    EhmRegressor(
        dataclasses.replace(CONFIG, backbone=dataclasses.replace(CONFIG.backbone, size="", width=32, depth=1, heads=2)),
        mean,
    )


def test_column_layout_is_named():
    columns = rotations(24, spread=3)[..., :2].transpose(-1, -2).reshape(-1).numpy()
    with pytest.raises(ValueError, match=r"stored row by row.*but read column after column they are"):
        from_smpl_mean({"pose": columns, "cam": np.zeros(3)}, CONFIG)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pose": np.ones(144), "cam": np.zeros(3)}, "nor are they read column after column"),
        ({"pose": np.full(144, np.nan), "cam": np.zeros(3)}, "nor are they read column after column"),
        ({"pose": np.ones(132), "cam": np.zeros(3)}, r"pose is \(132,\), expected \(144,\)"),
        ({"pose": rows_of(rotations(24))}, "cam is missing, the file has pose"),
    ],
)
def test_other_files_are_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        from_smpl_mean(arrays, CONFIG)


@pytest.mark.skipif(not SPIN.is_file(), reason="SPIN's smpl_mean_params.npz is not beside the project")
def test_spins_own_file():
    """Its person faces the camera, upright: the root is in the camera frame as it is."""
    with np.load(SPIN) as arrays:
        mean = from_smpl_mean(dict(arrays), CONFIG)
    assert torch.allclose(sixd_to_rotmat(mean["pose"][0]), torch.diag(torch.tensor([1.0, -1.0, -1.0])), atol=1e-5)
    assert torch.allclose(mean["camera"], torch.tensor([0.9, 0.0, 0.0]))


def test_mean_of_equal_labels_is_the_label():
    one = labels_of(1)
    mean = of_labels(map_tensors(one, lambda tensor: tensor.repeat_interleave(5, 0)), CONFIG)
    pose = torch.cat([one.global_orient[:, None], one.body_pose, one.left_hand_pose, one.right_hand_pose], 1)[0]
    assert torch.allclose(sixd_to_rotmat(mean["pose"]), pose, atol=1e-6)
    assert torch.allclose(sixd_to_rotmat(mean["eye_pose"]), one.eye_pose[0], atol=1e-6)
    for name in ("betas", "eyelids", "flame_shape", "flame_expression", "head_scale"):
        assert torch.allclose(mean[name], getattr(one, name)[0], atol=1e-6)


def test_mean_of_opposite_turns_is_between():
    turn = roma.rotvec_to_rotmat(torch.tensor([[0.0, 0.9, 0.0], [0.0, -0.3, 0.0]]))
    labels = labels_of(2)
    mean = of_labels(dataclasses.replace(labels, global_orient=turn), CONFIG)
    expected = roma.rotvec_to_rotmat(torch.tensor([0.0, 0.3, 0.0]))
    assert torch.allclose(sixd_to_rotmat(mean["pose"][0]), expected, atol=1e-6)


def test_no_rotation_nearby_is_closer_to_the_labels():
    labels = labels_of(9)

    def distance(rotation):
        return float((labels.head_orient - rotation).square().sum())

    best = sixd_to_rotmat(of_labels(labels, CONFIG)["head_orient"])
    for nearby in rotations(50, seed=7, spread=0.2):
        assert distance(best) <= distance(nearby @ best) + 1e-5


def test_only_valid_labels_count():
    labels = labels_of(6)
    valid = torch.tensor([True, True, False, True, False, True])
    broken = map_tensors(
        labels, lambda tensor: torch.where(valid.view(-1, *[1] * (tensor.ndim - 1)), tensor, torch.nan)
    )
    flags = dict.fromkeys(("body_valid", "left_hand_valid", "right_hand_valid", "face_valid"), valid)
    mean = of_labels(broken, CONFIG, **flags)
    chosen = of_labels(map_tensors(labels, lambda tensor: tensor[valid]), CONFIG)
    assert equal(mean, chosen) == set(mean)


def test_parts_that_nobody_has_are_neutral():
    none = torch.zeros(6, dtype=torch.bool)
    base = neutral(CONFIG)
    hands = of_labels(labels_of(), CONFIG, left_hand_valid=none, right_hand_valid=none)
    assert torch.equal(hands["pose"][22:], base["pose"][22:])
    assert not torch.equal(hands["pose"][:22], base["pose"][:22])
    face = {"head_orient", "jaw_pose", "eye_pose", "eyelids", "flame_shape", "flame_expression", "head_scale"}
    assert equal(of_labels(labels_of(), CONFIG, face_valid=none), base) == face | {"camera"}
    assert equal(of_labels(labels_of(), CONFIG, body_valid=none), base) == {"betas", "head_scale", "camera"}
    assert equal(of_labels(labels_of(), CONFIG, eyes_valid=none), base) == {"eye_pose", "camera"}
    assert equal(of_labels(labels_of(), CONFIG, eyelids_valid=none), base) == {"eyelids", "camera"}


def test_labels_of_other_counts_are_refused():
    with pytest.raises(ValueError, match=r"betas is \(4,\), the regressor needs \(10,\)"):
        of_labels(labels_of(), RegressorConfig())


def test_not_finite_is_refused():
    labels = labels_of()
    labels.betas[0, 0] = torch.nan
    with pytest.raises(ValueError, match="betas is not finite"):
        of_labels(labels, CONFIG)
