"""What a sample says in the crop is what the label says in the photo."""

import dataclasses

import numpy as np
import pytest
import torch

from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, LABEL_FIELDS
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.skeleton import CONTOUR, FACE, LEFT_HAND, RIGHT_HAND, SMPLX_PARENTS
from model.imaging.crop_camera import photo_rotation
from model.imaging.squares import Square, apply_affine, invert_affine
from model.regressor.augment import Augmentation
from model.regressor.flip import CoefficientMirror
from model.regressor.sample import LabelRow, collate, label_parameters, make_sample

FOCAL, PRINCIPAL, SIZE = 420.0, np.array([160.0, 120.0]), (320, 240)


@pytest.fixture(scope="module")
def ehm():
    return EHMs(load_open_body())


@pytest.fixture(scope="module")
def mirror(ehm):
    return CoefficientMirror.of(ehm.assets, DEFAULT_SIZE)


def label(ehm, seed=0, transl=(0.9, -0.3, 3.2)):
    """A person away from the photo's centre, with the keypoints where its camera sees them."""
    rng = np.random.default_rng(seed)
    drawn = {field.name: rng.normal(0, 0.15, field.column_shape(DEFAULT_SIZE)) for field in LABEL_FIELDS}
    known = {
        "global_orient": [np.pi - 0.2, 0.1, 0.2], "betas": rng.normal(0, 1, 10), "flame_shape": np.zeros(10),
        "flame_expression": np.zeros(10), "eyelids": [0.2, 0.7], "head_scale": [1.1, 1.0, 0.9],
    }  # fmt: skip
    parameters = {name: np.array(value, np.float32) for name, value in (drawn | known).items() if name != "transl_m"}
    row = LabelRow(
        sample_id=f"set/train/photo#{seed}",
        image="photo.jpg",
        size_px=SIZE,
        box_xyxy=np.array([200.0, 20.0, 300.0, 220.0], np.float32),
        keypoints_2d=np.zeros((133, 3), np.float32),
        focal_px=FOCAL,
        principal_px=PRINCIPAL.astype(np.float32),
        parameters=parameters,
        part_valid=np.ones(4, bool),
        joint_seen=np.arange(22) % 3 > 0,
        body_group_valid=np.array([True, True, True, False, False, True]),
        eyes_valid=False,
        eyelids_valid=True,
        weight=np.array([0.1, 0.2, 0.3, 0.4], np.float32),
    )
    with torch.no_grad():
        posed = ehm(dataclasses.replace(label_parameters([row]), transl_m=torch.tensor([transl])))
    points = posed.keypoints[0].numpy().astype(float)
    pixels = FOCAL * points[:, :2] / points[:, 2:] + PRINCIPAL
    keypoints = np.column_stack([pixels, np.full(133, 0.8)]).astype(np.float32)
    return dataclasses.replace(row, keypoints_2d=keypoints), np.array(transl)


PHOTO = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
CUTS = [
    Augmentation(square=Square(centre_px=(250.0, 110.0), side_px=260.0)),
    Augmentation(square=Square(centre_px=(250.0, 110.0), side_px=300.0, roll_rad=0.7)),
    Augmentation(square=Square(centre_px=(230.0, 130.0), side_px=280.0), mirrored=True),
    Augmentation(square=Square(centre_px=(260.0, 90.0), side_px=320.0, roll_rad=-0.9), mirrored=True),
]


@pytest.mark.parametrize("augmentation", CUTS)
def test_keypoints_and_posed_label_agree_in_the_crops_camera(ehm, mirror, augmentation):
    """The ray of a keypoint of the crop, in the crop's camera, passes through the point of the posed target."""
    row, transl = label(ehm)
    batch = collate([make_sample(row, PHOTO, augmentation, 64)], mirror)
    square, crop = augmentation.square, batch.keypoints_2d[0].numpy().astype(float)
    pixels = apply_affine(invert_affine(batch.crop_from_image[0].numpy()), (crop[:, :2] + 0.5) * 64)
    to_photo = photo_rotation(
        torch.tensor(square.centre_px, dtype=torch.float64),
        torch.tensor(FOCAL, dtype=torch.float64),
        torch.from_numpy(PRINCIPAL),
        torch.tensor(square.roll_rad, dtype=torch.float64),
    ).numpy()
    rays = np.column_stack([(pixels - PRINCIPAL) / FOCAL, np.ones(133)]) @ to_photo
    pelvis = transl @ to_photo
    if augmentation.mirrored:
        rays, pelvis = rays * [-1, 1, 1], pelvis * [-1, 1, 1]
    with torch.no_grad():
        posed = ehm(dataclasses.replace(batch.target, transl_m=torch.from_numpy(pelvis[None]).float()))
    points = posed.keypoints[0].numpy()
    expected = points[:, :2] / points[:, 2:]
    # Which points of the head are its outline depends on the camera that looks at it.
    points = np.setdiff1d(np.arange(133), np.arange(CONTOUR.start, CONTOUR.stop))
    # 1e-3 is 3 mm at this distance: what the mirrored body of the open model differs by.
    atol = 1.5e-3 if augmentation.mirrored else 2e-5
    np.testing.assert_allclose((rays[:, :2] / rays[:, 2:])[points], expected[points], atol=atol)


def test_the_heads_turn_is_that_of_the_posed_body(ehm):
    row, _ = label(ehm, 3)
    parameters = label_parameters([row])
    turns = torch.cat([parameters.global_orient[:, None], parameters.body_pose], 1)[0]
    expected, joint = torch.eye(3), 15
    chain = []
    while joint >= 0:
        chain.append(joint)
        joint = SMPLX_PARENTS[joint]
    for joint in reversed(chain):
        expected = expected @ turns[joint]
    torch.testing.assert_close(parameters.head_orient[0], expected)


def test_a_mirrored_sample_exchanges_left_and_right(ehm, mirror):
    row, _ = label(ehm)
    row = dataclasses.replace(row, part_valid=np.array([True, True, False, True]))
    cut = Augmentation(square=Square(centre_px=(250.0, 110.0), side_px=500.0))
    plain = make_sample(row, PHOTO, cut, 64)
    flipped = make_sample(row, PHOTO, dataclasses.replace(cut, mirrored=True), 64)
    np.testing.assert_array_equal(flipped.part_valid, [True, False, True, True])
    np.testing.assert_allclose(flipped.keypoints_2d[5], plain.keypoints_2d[6] * [-1, 1, 1], atol=1e-6)
    assert flipped.joint_seen[1] == plain.joint_seen[2]
    assert flipped.body_group_valid.tolist() == [True, True, False, True, True, False]
    np.testing.assert_array_equal(flipped.weight, plain.weight[[0, 2, 1, 3]])
    assert np.abs(flipped.crop[:, :, ::-1].astype(int) - plain.crop).max() <= 8  # positions are rounded to 1/32 px
    off = make_sample(row, PHOTO, dataclasses.replace(cut, mirrored=True), 64, mirrored_faces=False)
    assert not off.part_valid[3]
    batch = collate([plain, flipped], mirror)
    torch.testing.assert_close(batch.target.eyelids[1], batch.target.eyelids[0].flip(0))
    assert batch.left_hand_valid.tolist() == [True, False]


def test_parts_outside_what_the_network_reads_do_not_supervise(ehm):
    row, _ = label(ehm)
    centre = row.keypoints_2d[FACE, :2].mean(0)
    near = Augmentation(square=Square(centre_px=(float(centre[0]), float(centre[1])), side_px=40.0))
    sample = make_sample(row, PHOTO, near, 64)
    np.testing.assert_array_equal(sample.part_valid, [True, False, False, True])
    far = Augmentation(square=Square(centre_px=(float(centre[0]), float(centre[1]) + 60), side_px=40.0))
    assert not make_sample(row, PHOTO, far, 64).part_valid[3]
    for part in (LEFT_HAND, RIGHT_HAND):
        assert (sample.keypoints_2d[part, 2] == np.float32(0.8)).all()


def test_colours_are_scaled_and_cut_off():
    rgb = np.full((64, 64, 3), 200, np.uint8)
    cut = Augmentation(square=Square(centre_px=(32.0, 32.0), side_px=32.0), gains=(0.5, 1.0, 2.0))
    row = LabelRow(
        **{f.name: None for f in dataclasses.fields(LabelRow)}
        | {"keypoints_2d": np.zeros((133, 3)), "part_valid": np.ones(4, bool), "joint_seen": np.ones(22, bool)}
    )
    crop = make_sample(row, rgb, cut, 32).crop
    assert [int(crop[c, 16, 16]) for c in range(3)] == [100, 200, 255]


def test_a_batch_has_the_stated_shapes(ehm, mirror):
    rows = [label(ehm, seed)[0] for seed in range(3)]
    batch = collate([make_sample(row, PHOTO, CUTS[k], 64) for k, row in enumerate(rows)], mirror)
    assert len(batch) == 3
    assert (batch.crops.shape, batch.crops.dtype) == ((3, 3, 64, 64), torch.uint8)
    assert (batch.keypoints_2d.shape, batch.keypoints_2d.dtype) == ((3, 133, 3), torch.float32)
    assert (batch.crop_from_image.shape, batch.crop_from_image.dtype) == ((3, 2, 3), torch.float64)
    assert (batch.joint_seen.shape, batch.joint_seen.dtype) == ((3, 22), torch.bool)
    assert (batch.body_group_valid.shape, batch.body_group_valid.dtype) == ((3, 6), torch.bool)
    assert (batch.weight.shape, batch.weight.dtype) == ((3, 4), torch.float32)
    assert (batch.eyes_valid.tolist(), batch.eyelids_valid.tolist()) == ([False] * 3, [True] * 3)
    assert batch.sample_ids == tuple(row.sample_id for row in rows)
    for name, value in batch.target.named().items():
        assert value.shape[0] == 3, name
        assert value.dtype == torch.float32, name
    turns = batch.target.global_orient
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(3, 3, 3), atol=1e-5, rtol=0)


def test_a_mirrored_crop_needs_the_mirror(ehm):
    row, _ = label(ehm)
    with pytest.raises(ValueError, match="coefficients are mirrored must be given"):
        collate([make_sample(row, PHOTO, CUTS[2], 64)])
