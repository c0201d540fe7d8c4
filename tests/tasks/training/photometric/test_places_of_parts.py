"""Where a part is: pictures move all that the labels move, so that two opinions of it come to rest."""

import torch
from open_renderers import noise_pictures, photometric
from training_rig import TINY, random_batch

from model.batches import take_rows
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.skeleton import HEAD, PELVIS
from model.imaging.crop_camera import project_into_crop
from model.regressor.loss_config import LossConfig
from model.regressor.network import EhmRegressor, Prediction
from model.renderer.part_windows import KEYPOINTS
from model.rotations import rotvec_to_rotmat
from tasks.training.photometric.balance import Balance, groups_of
from tasks.training.photometric.dataset import PicturedBatch
from tasks.training.photometric.objective import PhotometricObjective

FACING = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
FOCAL = 5000 / 256
SCALE = 6.0
"""The head fills a crop of a third of a metre."""


def said_by(turn, place):
    """A person by a turn of the pelvis (3,) and a place across the line of sight (2,)."""
    person = EhmParameters.neutral(1, global_orient=(rotvec_to_rotmat(turn) @ FACING)[None])
    return Prediction(parameters=person, camera=torch.cat([torch.full((1,), SCALE), place])[None])


def test_where_pictures_and_labels_do_not_agree_a_head_comes_to_rest():
    """Labels are right, pictures see the head elsewhere. A turn of the pelvis moves a head as the camera does: if
    pictures moved the camera alone, labels would answer with the turn, and the camera would run away."""
    body = KeypointBody(load_open_body())

    def face(said):
        posed = body(said.parameters)
        return project_into_crop(posed.keypoints - posed.joints[:, :1], said.camera, FOCAL)[:, KEYPOINTS["head"]]

    joints = body(said_by(torch.zeros(3), torch.zeros(2)).parameters).joints[0]
    turn, start = torch.zeros(3), (joints[PELVIS] - joints[HEAD])[:2]
    truth = face(said_by(turn, start))
    wrong = truth + torch.tensor([0.02, 0.0])
    place = start + torch.tensor([0.002, 0.0])
    balance = Balance({"place": groups_of(["head"])["place"]}, 1.0, 1000)
    moved = []
    for _ in range(60):
        turn, place = turn.detach().requires_grad_(), place.detach().requires_grad_()
        said = said_by(turn, place)
        drawn = balance.weighted(said)
        labels, pictures = (face(said) - truth).abs().sum(), (face(drawn) - wrong).abs().sum()
        balance.measure(labels, said, pictures, drawn)
        slopes = torch.autograd.grad(0.3 * labels + pictures, (turn, place))
        turn, place = (value.detach() - 1e-5 * slope for value, slope in zip((turn, place), slopes, strict=True))
        moved.append(float((place - start).norm()))
    off_m = 0.02 * 2 / SCALE
    assert max(moved[30:]) < 1.5 * off_m


def face_and_whole_person():
    """A person of whom the face alone is shown, and one of whom all is, with noise for a picture."""
    batch = random_batch(2, 5)
    batch.keypoints_2d[..., 2] = 1.0
    batch.keypoints_2d[0, :, 2] = 0.0
    batch.keypoints_2d[0, KEYPOINTS["head"], 2] = 1.0
    batch.body_valid[:] = torch.tensor([False, True])
    batch.joint_seen[:] = True
    batch.face_valid[:] = True
    known = {name: getattr(batch, name) for name in batch.__slots__}
    return PicturedBatch(**known, pictures={"head": noise_pictures(2, 32, 6)})


def objective_of(balance):
    body, drawer = KeypointBody(load_open_body()), photometric(reach=100.0)
    return PhotometricObjective(EhmRegressor(TINY), body, LossConfig(unseen=0.02), "fp32", drawer, balance, 0.0)


def test_pictures_move_nothing_that_a_crop_does_not_show(monkeypatch):
    """As labels do not: a face alone hangs on joints that nobody sees, which stay at the mean."""
    balance = Balance(groups_of(["head"]), 1.0, 1000)
    balance.squares += 1.0
    balance.calls += 1  # measured already
    objective = objective_of(balance)
    predict, said = objective.predict, []

    def watched(given):
        found = predict(given)
        for value in found[0].parameters.named().values():
            value.retain_grad()
        said.append(found[0].parameters)
        return found

    monkeypatch.setattr(objective, "predict", watched)
    objective(face_and_whole_person())[0].backward()
    face, whole = range(2)
    for name in ("body_pose", "head_scale"):
        slope = getattr(said[0], name).grad
        assert not slope[face].any(), name
        assert slope[whole].any(), name
    assert said[0].jaw_pose.grad.flatten(1).any(1).all()
    assert said[0].global_orient.grad.flatten(1).any(1).all()


def test_what_pictures_do_not_move_has_no_weight():
    faces = take_rows(face_and_whole_person(), torch.tensor([0, 0]))
    objective = objective_of(Balance(groups_of(["head"]), 1.0, 1000))
    objective(faces)
    weights = objective.balance.figures()
    assert weights["weight_head_scale"] == 0
    assert weights["weight_jaw"] > 0
    assert weights["weight_place"] > 0
