"""Prediction undoes what training does to labels: a network that tells the truth about crops gives the true people."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from known_people import TINY, camera_of, crop_points, label_row, truthful
from regressor_batches import random_parameters

from model.batches import map_tensors
from model.body import lbs
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.skeleton import FACE, LEFT_HAND, RIGHT_HAND, SMPLX_PARENTS
from model.imaging.crop import crop_square, crop_transform
from model.imaging.crop_camera import project_into_crop
from model.regressor import predict
from model.regressor.joint_rotations import global_rotations
from model.regressor.mean_parameters import neutral
from model.regressor.network import EhmRegressor
from model.regressor.photo_people import PhotoPeople
from model.regressor.predict import Predictor
from model.regressor.runtime import mode_problem
from model.regressor.sample import label_parameters
from model.renderer.raster import project
from model.rotations import sixd_to_rotmat

SIZE = (960, 720)
PLACES = np.array([[0.0, 0.1, 6.0], [-2.2, 0.0, 6.5], [2.0, -1.0, 8.0], [0.4, 0.2, 3.5]])
"""In the middle, at both sides, and near; metres in the photo's camera."""
FOCALS = (1152.0, 1152.0, 900.0, 1500.0)


@pytest.fixture(scope="module")
def body():
    return KeypointBody(load_open_body())


@pytest.fixture(scope="module")
def people(body):
    """Labels of four people and a photo each."""
    parameters = random_parameters(len(PLACES), seed=4)
    rows = [label_row(parameters, k, PLACES[k], SIZE, FOCALS[k], body) for k in range(len(PLACES))]
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8) for _ in rows]
    return rows, [cv2.GaussianBlur(image, (0, 0), 3) for image in noise]


def neutral_people(count):
    """Upright people who face the camera."""
    mean = neutral(TINY)
    pose = sixd_to_rotmat(mean["pose"]).expand(count, -1, 3, 3)
    head = sixd_to_rotmat(mean["head_orient"]).expand(count, 3, 3)
    return dataclasses.replace(
        map_tensors(random_parameters(count, seed=0), torch.zeros_like),
        global_orient=pose[:, 0],
        body_pose=pose[:, 1:22],
        left_hand_pose=pose[:, 22:37],
        right_hand_pose=pose[:, 37:],
        head_orient=head,
        jaw_pose=torch.eye(3).expand(count, 3, 3),
        eye_pose=torch.eye(3).expand(count, 2, 3, 3),
        head_scale=torch.ones(count, 3),
    )


def asked(people):
    rows, photos = people
    return [
        PhotoPeople(rgb=rgb, boxes_xyxy=row.box_xyxy[None], focal_px=row.focal_px, principal_px=row.principal_px)
        for row, rgb in zip(rows, photos, strict=True)
    ]


@pytest.fixture(scope="module", params=["with body", "without body"])
def predicted(request, people, body):
    """What comes out, the network that was asked, and the crops of training."""
    network, crops = truthful(TINY, *people, body)
    predictor = Predictor(network, body=body if request.param == "with body" else None, batch_size=3)
    return predictor.predict_photos(asked(people)), network, crops


def test_the_network_sees_the_crops_of_training(predicted):
    _, network, crops = predicted
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    seen = torch.cat(network.crops) * std + torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    assert torch.equal((seen * 255).round().to(torch.uint8), crops)


def test_a_truthful_network_gives_the_true_parameters(predicted, people):
    truth = label_parameters(people[0]).named()
    for name, expected in truth.items():
        found = torch.cat([getattr(one.parameters, name) for one in predicted[0]])
        assert torch.allclose(found, expected, atol=2e-5), name


def test_people_are_placed_where_they_stand(predicted):
    with_body = predicted[0][0].joints_m is not None
    for one, place in zip(predicted[0], PLACES, strict=True):
        error = np.linalg.norm(one.parameters.transl_m[0].numpy() - place) / np.linalg.norm(place)
        assert error < (0.02 if with_body else 0.07), (one.parameters.transl_m, place)


def test_the_pelvis_is_seen_where_the_camera_of_the_crop_says(predicted):
    """With a body all joints have a say, so the pelvis alone may be off, but not by much."""
    network = predicted[1]
    shown = project_into_crop(torch.zeros(4, 1, 3), network.camera_told, TINY.focal_sides)[:, 0].numpy()
    for k, one in enumerate(predicted[0]):
        pixel = project(one.parameters.transl_m[0].numpy(), one.focal_px, one.principal_px)
        square = one.squares[0]
        at = crop_points(pixel[None], crop_transform(square, TINY.crop_px), TINY.crop_px)[0]
        assert np.abs(at - shown[k]).max() < (1e-5 if one.joints_m is None else 0.03)


def test_keypoints_are_seen_where_the_camera_of_the_crop_says(people, body):
    network, _ = truthful(TINY, *people, body)
    found = Predictor(network, body=body).predict_photos(asked(people))
    posed = body(network.parameters_told)
    shown = project_into_crop(posed.keypoints - posed.joints[:, :1], network.camera_told, TINY.focal_sides).numpy()
    for k, one in enumerate(found):
        at = crop_points(one.keypoints_px[0], crop_transform(one.squares[0], TINY.crop_px), TINY.crop_px)
        error = np.linalg.norm(at - shown[k], axis=-1)
        # The crop's camera is far away, the photo's is not: that part of the difference no placing can take away.
        assert np.median(error) < 0.02
        label = people[0][k].keypoints_2d[:, :2]
        off = np.median(np.linalg.norm(one.keypoints_px[0] - label, axis=-1)) / one.squares[0].side_px
        assert off < (0.004 if PLACES[k][2] > 5 else 0.012)


def test_people_who_stand_in_their_photos_are_seen(predicted, people):
    """All but the parts that look away or lie outside, as the keypoints of the labels tell."""
    for one, row in zip(predicted[0], people[0], strict=True):
        if one.joints_m is None:
            assert one.seen is None
            continue
        inside = ((row.keypoints_2d[:, :2] > 0) & (row.keypoints_2d[:, :2] < SIZE)).all(1)
        assert one.seen[0, 0] == (inside[5:13].mean() >= 0.5)
        assert one.seen[0, 1:3].tolist() == [inside[part].mean() >= 0.5 for part in (LEFT_HAND, RIGHT_HAND)]


@pytest.mark.parametrize(("distance_m", "worst"), [(0.6, 0.04), (1.0, 0.03), (2.0, 0.015)])
def test_a_head_is_drawn_where_its_crop_shows_it(body, distance_m, worst):
    """Legs that nobody sees have no say in where the head is."""
    parameters = neutral_people(1)
    rooted = body(parameters)
    head = (rooted.joints[0, 15] - rooted.joints[0, 0]).numpy()
    place = np.array([0.05, 0.0, distance_m]) - head
    row = label_row(parameters, 0, place, SIZE, 1152.0, body)
    face = row.keypoints_2d[FACE, :2]
    middle, half = (face.min(0) + face.max(0)) / 2, 0.75 * np.ptp(face, axis=0)
    row = dataclasses.replace(row, box_xyxy=np.concatenate([middle - half, middle + half]))
    photo = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    network, _ = truthful(TINY, [row], [photo], body)
    posed = body(network.parameters_told)
    points = (posed.keypoints - posed.joints[:, :1])[0].double().numpy()
    square = crop_square(row.box_xyxy)
    shown = crop_points(row.keypoints_2d[:, :2], crop_transform(square, TINY.crop_px), TINY.crop_px)
    inside = (np.abs(shown) < 0.5).all(1)
    assert 60 < inside.sum() < 110
    network.camera_told[0] = torch.tensor(camera_of(points[inside], shown[inside], TINY))
    found = Predictor(network, body=body).predict(photo, row.box_xyxy[None], row.focal_px, row.principal_px)
    off = np.linalg.norm(found.keypoints_px[0] - row.keypoints_2d[:, :2], axis=1)[inside] / square.side_px
    assert np.median(off) < worst


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_photos_and_batches_do_not_mix_people(people, batch_size):
    torch.manual_seed(0)
    network = EhmRegressor(TINY).eval()
    rows, photos = people
    boxes = np.stack([row.box_xyxy for row in rows])
    many = [
        PhotoPeople(rgb=photos[0], boxes_xyxy=boxes[:1]),
        PhotoPeople(rgb=photos[1], boxes_xyxy=np.zeros((0, 4))),
        PhotoPeople(rgb=photos[2], boxes_xyxy=boxes[1:]),
    ]
    together = Predictor(network, batch_size=batch_size).predict_photos(many)
    assert [len(one) for one in together] == [1, 0, 3]
    for photo, result in zip(many, together, strict=True):
        for k, box in enumerate(photo.boxes_xyxy):
            alone = Predictor(network).predict(photo.rgb, box[None])
            for name, value in alone.parameters.named().items():
                assert torch.allclose(getattr(result.parameters, name)[k], value[0], atol=1e-5), name
            assert torch.allclose(result.parameters.transl_m[k], alone.parameters.transl_m[0], rtol=1e-4)
            assert result.squares[k] == alone.squares[0]


def test_nobody_anywhere(body):
    photo = np.zeros((64, 64, 3), np.uint8)
    nobody = Predictor(EhmRegressor(TINY).eval(), body=body).predict(photo, np.zeros((0, 4)))
    assert len(nobody) == 0
    assert nobody.is_finite.shape == (0,)
    assert nobody.keypoints_px.shape == (0, 133, 2)
    assert nobody.seen.shape == (0, 4)
    assert nobody.parameters.body_pose.shape == (0, 21, 3, 3)


def test_other_modes_always_run_whole_batches_and_give_the_same_people(people, monkeypatch):
    """The mode is only handed on: here it runs as written."""
    rows, photos = people
    boxes = np.stack([row.box_xyxy for row in rows])
    torch.manual_seed(0)
    network = EhmRegressor(TINY).eval()
    expected = Predictor(network, batch_size=3).predict(photos[0], boxes)
    counts, modes = [], []

    def accelerated(function, example_inputs, *, mode, precision):
        def run(crops):
            counts.append(len(crops))
            return function(crops)

        modes.append(mode)
        run(*example_inputs)
        return run

    monkeypatch.setattr(predict, "accelerate", accelerated)
    found = Predictor(network, batch_size=3, mode="graph").predict(photos[0], boxes)
    assert (modes, counts) == (["graph"], [3, 3, 3])
    assert len(found) == len(boxes) == 4
    assert torch.allclose(found.parameters.body_pose, expected.parameters.body_pose, atol=1e-5)
    assert torch.allclose(found.parameters.transl_m, expected.parameters.transl_m, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_graph_is_the_same(people):
    rows, photos = people
    torch.manual_seed(0)
    network = EhmRegressor(TINY).eval()
    boxes = np.stack([row.box_xyxy for row in rows])
    eager, graph = (
        Predictor(network, device="cuda", mode=mode, batch_size=3).predict(photos[0], boxes)
        for mode in ("eager", "graph")
    )
    assert torch.allclose(eager.parameters.body_pose, graph.parameters.body_pose, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(mode_problem("compile", torch.device("cpu")) is not None, reason="there is no C++ compiler")
def test_compiled_is_the_same(people):
    rows, photos = people
    torch.manual_seed(0)
    network = EhmRegressor(TINY).eval()
    eager, compiled = (
        Predictor(network, mode=mode, batch_size=2).predict(photos[0], rows[0].box_xyxy[None])
        for mode in ("eager", "compile")
    )
    assert torch.allclose(eager.parameters.body_pose, compiled.parameters.body_pose, atol=1e-4)


def test_bf16_is_close(people):
    torch.manual_seed(0)
    network = EhmRegressor(TINY).eval()
    rows, photos = people
    exact, rough = (
        Predictor(network, precision=p).predict(photos[0], rows[0].box_xyxy[None]) for p in ("fp32", "bf16")
    )
    difference = (exact.parameters.body_pose - rough.parameters.body_pose).abs().max()
    assert 0 < difference < 0.02
    assert rough.parameters.body_pose.dtype == torch.float32


def test_a_person_who_is_not_finite_is_marked_and_harms_nobody(people, body):
    network, _ = truthful(TINY, *people, body)
    network.parameters_told.betas[1] = torch.nan
    found = Predictor(network, body=body).predict_photos(asked(people))
    assert [one.is_finite.tolist() for one in found] == [[True], [False], [True], [True]]
    assert torch.isfinite(found[2].joints_m).all()


@pytest.mark.parametrize("box", [[0, 0, np.nan, 10], [5, 5, 6, 6], [2000, 0, 2100, 50], [30, 30, 10, 10]])
def test_a_box_that_is_none_is_refused(box):
    with pytest.raises(ValueError, match=r"box .* is not finite, too small or outside its photo \(64 x 48 px\)"):
        Predictor(EhmRegressor(TINY).eval()).predict(np.zeros((48, 64, 3), np.uint8), np.array([box]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"precision": "fp16"}, "expected one of fp32, tf32, bf16, got 'fp16'"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"device": "cuda:77"}, "device 'cuda:77' cannot be used here"),
        ({"device": "gpu"}, "device 'gpu' cannot be used here"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"mode": "fast"}, "mode: expected one of eager, compile, graph, got 'fast'"),
        ({"mode": "graph"}, "mode 'graph' is not possible: a CUDA graph needs"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Predictor(EhmRegressor(TINY).eval(), **wrong)


def test_a_network_in_training_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        Predictor(EhmRegressor(TINY).train())


def test_a_body_of_other_coefficients_is_refused(body):
    network = EhmRegressor(dataclasses.replace(TINY, num_betas=7)).eval()
    with pytest.raises(ValueError, match=r"gives 7 coefficients \(num_betas\), the body model takes 10"):
        Predictor(network, body=body)


def test_rotations_are_those_of_the_body_model():
    local = random_parameters(3, seed=1).local_rotations()
    tree = lbs.KinematicTree.from_parents(SMPLX_PARENTS)
    world, _ = lbs.forward_kinematics(local, torch.zeros(3, 55, 3), tree)
    assert torch.allclose(global_rotations(local), world[..., :3, :3], atol=1e-6)
