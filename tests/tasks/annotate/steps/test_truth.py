"""3D that a data set ships is part of the fit, in the frame and from the origin that it states, and labels say so."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from people_in_3d import IDS, body_rows, job_of, known, plan_of
from plans import read_plan, write_plan
from scipy.spatial.transform import Rotation

from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.evidence import unpack_arrays
from datasets_manifest.schema.part_files import plan_schema
from datasets_manifest.schema.truth_3d import Truth3d, pack_truth_3d
from fitting.inputs import Observations
from model.body.skeleton import KEYPOINT_JOINT
from tasks.annotate.delta_theta import delta_theta
from tasks.annotate.provenance import labelled_body
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.known_bodies import with_known_bodies
from tasks.annotate.steps.refine import refine_labels
from tasks.annotate.steps.truth import BODY, ESTIMATORS, POINTS, RELATIVE, KnownPeople, knows_people
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.posing import pose_bodies

TURNED = np.array([[0, -1, 0, 0.5], [1, 0, 0, 0.0], [0, 0, 1, 3.0]], np.float32)
TRUNK_AND_LIMBS = np.arange(17)


def points(x=0.1, y=0.2, z=0.3, score=1.0):
    """(133, 4) of which the nose is known."""
    found = np.zeros((133, 4), np.float32)
    found[0] = x, y, z, score
    return found


def test_points_are_in_the_frame_of_the_camera_wherever_they_were():
    in_camera, in_world = (Truth3d(frame=frame, keypoints_m=points()) for frame in ("camera", "world"))
    found = known([in_camera, in_world, None], world_to_camera=np.stack([TURNED, TURNED, TURNED]))
    places, sigma, *_ = found.points
    np.testing.assert_allclose(places[0, 0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(places[1, 0], [-0.2 + 0.5, 0.1, 3.3], rtol=1e-6)
    assert np.isfinite(sigma).sum(1).tolist() == [1, 1, 0]


def two_points(**said):
    return Truth3d(frame="camera", keypoints_m=points() + np.roll(points(0.1, 0.5), 1, axis=0), **said)


def test_what_says_nothing_of_how_people_stand_is_no_observation():
    alone = Truth3d(frame="camera", keypoints_m=points(), root_relative=True)
    unturned = two_points(root_relative=True, points_turned=False)
    somewhere = Truth3d(frame="world", keypoints_m=points())
    found = known([alone, unturned, somewhere], world_to_camera=np.full((3, 3, 4), np.nan))
    assert not found.has_points.any()
    assert np.isinf(found.points.sigma_m).all()
    assert found.sources == [ESTIMATORS] * 3


@pytest.mark.parametrize("are", ["keypoints", "joints"])
def test_points_relative_to_the_root_are_observations_but_for_a_shift(are):
    people = known([two_points(root_relative=True, points_are=are), two_points(points_are=are), None])
    assert people.sources == [RELATIVE, POINTS, ESTIMATORS]
    nothing = Observations(keypoints_px=torch.zeros(3, 133, 2), sigma_px=torch.full((3, 133), torch.inf))
    assert people.beside(nothing).points_are_relative.tolist() == [True, False, False]


def test_points_of_a_world_relative_to_the_root_are_turned_as_the_camera():
    relative = replace(two_points(root_relative=True), frame="world")
    places = known([relative], world_to_camera=np.stack([TURNED])).points.places_m[0]
    np.testing.assert_allclose(places[1] - places[0], TURNED[:, :3] @ [0, 0.3, 0], atol=1e-6)


def test_rows_of_people_that_are_not_planned_know_nothing():
    found = KnownPeople.of(plan_of(Truth3d(frame="camera", keypoints_m=points())), ["a/all/9#0", IDS[0]], None)
    assert found.has_points.tolist() == [False, True]


def test_a_point_that_is_half_sure_weighs_a_quarter():
    truth = Truth3d(frame="camera", keypoints_m=points(score=0.5), sigma_m=0.03)
    assert known([truth]).points[1][0, 0] == pytest.approx(0.06)


def test_joints_of_markers_are_joints_and_keypoints_are_keypoints():
    whole = np.concatenate([np.arange(133 * 3).reshape(133, 3) * 1e-3, np.ones((133, 1))], 1).astype(np.float32)
    markers, seen = (Truth3d(frame="camera", keypoints_m=whole, points_are=kind) for kind in ("joints", "keypoints"))
    nothing = Observations(keypoints_px=torch.zeros(2, 133, 2), sigma_px=torch.full((2, 133), torch.inf))
    given = known([markers, seen]).beside(nothing)
    assert torch.isfinite(given.points_sigma_m).any(1).tolist() == [False, True]
    assert torch.isfinite(given.joints_sigma_m).any(1).tolist() == [True, False]
    knee = KEYPOINT_JOINT[13]
    np.testing.assert_allclose(given.joints_m[0, knee], whole[13, :3])
    np.testing.assert_allclose(given.points_m[1, 13], whole[13, :3])


def body_of(model, size, frame="camera", **more):
    turns = np.random.default_rng(0).normal(size=size).astype(np.float32) * 0.3
    orient = np.array([0.0, 0.4, 0.0], np.float32)
    parameters = {"global_orient": orient, "body_pose": turns, "betas": np.full(10, 2.0, np.float32)}
    return Truth3d(frame=frame, model=model, parameters=parameters, **more)


def test_a_known_body_takes_the_place_of_the_one_that_was_found(tmp_path):
    people = known(
        [body_of("smplx", 63, pose_sigma_rad=0.05), None, body_of("smplx", 63, frame="world")],
        world_to_camera=np.stack([TURNED, TURNED, TURNED]),
    )
    assert people.sources == [BODY, ESTIMATORS, BODY]
    before, after = body_rows(3), with_known_bodies(job_of(tmp_path), body_rows(3), people)
    assert after["sample_id"].tolist() == list(IDS)
    np.testing.assert_allclose(after["body_pose"][0].ravel(), body_of("smplx", 63).parameters["body_pose"], atol=1e-6)
    np.testing.assert_allclose(after["sigma_rad"][0], 0.05)
    np.testing.assert_array_equal(after["body_pose"][1], before["body_pose"][1])
    expected = TURNED[:, :3] @ Rotation.from_rotvec([0, 0.4, 0]).as_matrix()
    np.testing.assert_allclose(Rotation.from_rotvec(after["global_orient"][2]).as_matrix(), expected, atol=1e-6)
    assert not after["betas"][0].any(), "betas of SMPL-X mean nothing to the open body"
    assert after["betas"][1].all()


def test_the_pose_of_smpl_is_carried_over(tmp_path):
    truth = body_of("smpl", 69)
    rows = with_known_bodies(job_of(tmp_path), body_rows(1), known([truth]))
    pose = Rotation.from_rotvec(truth.parameters["body_pose"].reshape(23, 3)[:21]).as_matrix()
    transfer = delta_theta(AnnotateConfig().body_model, tmp_path)
    carried = transfer.apply(torch.from_numpy(pose[None]), "conjugate")[0].numpy()
    found = Rotation.from_rotvec(rows["body_pose"][0].reshape(21, 3)).as_matrix()
    np.testing.assert_allclose(found, carried, atol=1e-5)
    assert np.abs(found - pose).max() > 0.01


def test_a_body_in_a_world_that_no_camera_knows_is_not_used(tmp_path):
    people = known([body_of("smplx", 63, frame="world")])
    assert people.sources == [ESTIMATORS]
    assert with_known_bodies(job_of(tmp_path), rows := body_rows(1), people) is rows


@pytest.fixture(scope="module")
def shard(rendered, tmp_path_factory):
    """A shard of rendered people, in a folder of its own."""
    folder = tmp_path_factory.mktemp("known")
    shutil.copytree(rendered.parent / "work", folder / "work")
    workspace = Workspace(work=folder / "work", labels=folder / "labels")
    return ShardJob(ShardRef(dataset="few", split="all", index=0), workspace, Origin.of(rendered).config())


def errors_m(labels, truth):
    """(P,) how far pelvises are from where they are."""
    found = np.stack(labels["transl_m"].to_pylist()).astype(float)
    return np.linalg.norm(found - truth["transl_m"], axis=1)


def test_the_fit_finds_the_depth_that_one_photo_does_not_tell(shard):
    plan = read_plan(shard.workspace, shard.shard)
    truth = unpack_arrays(plan, "truth")
    body = labelled_body(shard.config)
    parameters = {name: values for name, values in truth.items() if name not in ("keypoints_2d",)}
    posed = pose_bodies(body, parameters).keypoints.numpy()
    whole = np.zeros((len(posed), 133, 4), np.float32)
    whole[:, TRUNK_AND_LIMBS, :3], whole[:, TRUNK_AND_LIMBS, 3] = posed[:, TRUNK_AND_LIMBS], 1.0
    people: list[Truth3d | None] = [Truth3d(frame="camera", keypoints_m=own) for own in whole[:1]]
    of_root = whole[1] - np.append(posed[1, 11:13].mean(0), 0) * (whole[1, :, 3:] > 0)
    people.append(Truth3d(frame="camera", keypoints_m=of_root, root_relative=True))
    people += [None] * (len(posed) - 2)
    before = refine_labels(shard)
    assert "label_source" not in before.column_names

    packed = pack_truth_3d(people)
    schema = plan_schema(optional=packed.keys())
    columns = {name: plan[name] for name in plan.column_names} | packed
    write_plan(shard.workspace, shard.shard, table_from_columns(columns, schema), shard.plan.footer)
    job = ShardJob(shard.shard, shard.workspace, shard.config)
    assert knows_people(job.columns("plan"))
    labels = refine_labels(job)
    assert labels["label_source"].to_pylist() == [POINTS, RELATIVE, *[ESTIMATORS] * (len(people) - 2)]
    alone, known_better = errors_m(before, truth), errors_m(labels, truth)
    assert known_better[0] < 0.02 < alone[0]
    assert known_better[1] < 0.5 * alone[1]
    np.testing.assert_array_equal(known_better[2:], alone[2:])
