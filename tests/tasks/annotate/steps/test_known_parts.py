"""Hands and faces that a data set knows: those that can be told exactly stand in the place of what was found."""

from dataclasses import replace

import numpy as np
import pytest
from inventories import inventory_of
from people_in_3d import IDS, body_rows, job_of, known
from published_people import pear_person, pyd
from scipy.spatial.transform import Rotation
from tar_files import write_tar

from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from datasets_manifest.schema.labels import ErrorCode, Refusal
from datasets_manifest.schema.part_files import HANDS_SCHEMA, face_schema
from datasets_manifest.schema.trusted import TRUSTED_PARTS
from datasets_manifest.schema.truth_3d import Truth3d
from model.body.assets import load_open_body
from model.estimators.base import FaceOutput, HandsOutput
from tasks.annotate.steps.face import face_columns
from tasks.annotate.steps.given import coarse_of
from tasks.annotate.steps.hands import hands_columns
from tasks.annotate.steps.known_parts import with_known_parts

RNG = np.random.default_rng(0)
HANDS = {name: RNG.normal(0, 0.2, 45).astype(np.float32) for name in ("left_hand_pose", "right_hand_pose")}
HEAD = {name: RNG.normal(0, 0.1, 3).astype(np.float32) for name in ("jaw_pose", "leye_pose", "reye_pose")}
FLAME = {
    "eyelids": np.array([0.2, 0.7], np.float32),
    "flame_shape": RNG.normal(0, 1, 300).astype(np.float32),
    "flame_expression": RNG.normal(0, 1, 50).astype(np.float32),
}
BODY = {"global_orient": np.array([0, 0.4, 0.1]), "body_pose": RNG.normal(0, 0.2, 63)}
OPEN = load_open_body().smplx
LOST = Refusal(ErrorCode.ESTIMATOR_REFUSED, "lost")


def truth(*, hands_from="flat", part_valid=(True,) * 4, **parameters):
    values = {name: np.asarray(value, np.float32) for name, value in (BODY | parameters).items()}
    return Truth3d(frame="camera", model="smplx", parameters=values, hands_from=hands_from, part_valid=part_valid)


def found_parts(count, *, left=True, face=True):
    """What estimators found: left hands or none, no right ones, faces or none."""
    key = {"sample_id": IDS[:count], "dataset": ["a"] * count, "split": ["all"] * count, "image": ["1"] * count}
    key |= {"person": [0] * count}
    valid = np.tile([left, False], (count, 1))
    hands = HandsOutput(
        valid=valid,
        score=np.full((count, 2), 0.5),
        hand_pose=np.tile(np.eye(3), (count, 2, 15, 1, 1)),
        wrist_orient=np.tile(np.eye(3), (count, 2, 1, 1)),
        sigma_rad=np.full((count, 2), 0.3),
        reasons=[(None if left else LOST, LOST)] * count,
    )
    faces = FaceOutput(
        valid=np.full(count, face),
        eyes_valid=np.zeros(count, bool),
        eyelids_valid=np.full(count, face),
        score=np.full(count, 0.5),
        flame_shape=np.full((count, 10), 0.5),
        flame_expression=np.full((count, 10), 0.25),
        jaw_pose=np.full((count, 3), 0.3),
        eye_pose=np.zeros((count, 6)),
        eyelids=np.full((count, 2), 0.4),
        head_orient=np.tile(np.eye(3), (count, 1, 1)),
        sigma_rad=np.full(count, 0.3),
        reasons=[None if face else LOST] * count,
    )
    return {
        "body": body_rows(count),
        "hands": Columns(table_from_columns(key | hands_columns(hands), HANDS_SCHEMA)),
        "face": Columns(table_from_columns(key | face_columns(faces), face_schema(DEFAULT_SIZE))),
    }


def head_and_wrist_turns():
    """Of ``BODY``, by the chain of joints above head and left wrist."""
    turns = Rotation.from_rotvec(BODY["body_pose"].reshape(21, 3)).as_matrix()
    root = Rotation.from_rotvec(BODY["global_orient"]).as_matrix()

    def chain(*joints):
        turn = root
        for joint in joints:
            turn = turn @ turns[joint - 1]
        return turn

    return chain(3, 6, 9, 12, 15), chain(3, 6, 9, 13, 16, 18, 20)


def rotation(rotvec):
    return Rotation.from_rotvec(rotvec).as_matrix()


def test_hands_and_jaw_take_the_place_of_what_was_found(tmp_path):
    people = known([None, truth(**HANDS, **HEAD)])
    assert people.sources == ["estimators", "body, left hand, right hand, face in 3D"]
    before = found_parts(2)
    after = with_known_parts(job_of(tmp_path), before, people)
    head, wrist = head_and_wrist_turns()
    hands, face = after["hands"], after["face"]
    for side in ("left", "right"):
        np.testing.assert_allclose(hands[f"{side}_hand_pose"][1].ravel(), HANDS[f"{side}_hand_pose"], atol=1e-6)
        assert hands[f"{side}_valid"].tolist() == [side == "left", True]
    np.testing.assert_allclose(rotation(hands["left_wrist_orient"][1]), wrist, atol=1e-5)
    np.testing.assert_allclose(rotation(face["head_orient"][1]), head, atol=1e-5)
    np.testing.assert_allclose(face["jaw_pose"][1], HEAD["jaw_pose"], atol=1e-6)
    np.testing.assert_allclose(
        face["eye_pose"][1].ravel(), np.concatenate([HEAD["leye_pose"], HEAD["reye_pose"]]), atol=1e-6
    )
    np.testing.assert_allclose(face["flame_expression"][1], before["face"]["flame_expression"][1])
    assert face["eyes_valid"].tolist() == [False, True]
    for part in ("hands", "face"):
        same = [own[part].table.slice(0, 1).to_pylist() for own in (after, before)]
        assert same[0] == same[1], "of others nothing changes"
    assert hands["status"].tolist() == ["partial", "ok"]


def test_a_hand_that_is_not_known_stays_as_it_was_found(tmp_path):
    people = known([truth(right_hand_pose=HANDS["right_hand_pose"])])
    before = found_parts(1)
    after = with_known_parts(job_of(tmp_path), before, people)
    assert people.sources == ["body, right hand in 3D"]
    assert after["face"] is before["face"]
    for name in before["hands"].table.column_names:
        if name.startswith("left"):
            assert after["hands"].table[name].to_pylist() == before["hands"].table[name].to_pylist()
    lost = with_known_parts(job_of(tmp_path), found_parts(1, left=False), people)["hands"]
    assert (lost["left_valid"].tolist(), lost["right_valid"].tolist(), lost["status"][0]) == (
        [False],
        [True],
        "partial",
    )


def test_a_face_that_nobody_found_is_neutral_but_for_what_is_known(tmp_path):
    after = with_known_parts(job_of(tmp_path), found_parts(1, face=False), known([truth(**HEAD)]))
    assert after["face"]["valid"].all()
    assert not after["face"]["flame_expression"].any()
    assert not after["face"]["eyelids_valid"].any()
    np.testing.assert_allclose(after["face"]["jaw_pose"][0], HEAD["jaw_pose"], atol=1e-6)
    coarse = coarse_of(with_known_parts(job_of(tmp_path), found_parts(1, face=False), known([truth(**HEAD, **HANDS)])))
    assert coarse.face_valid.all()
    assert coarse.hand_valid.all()


@pytest.mark.parametrize(
    "said",
    [
        {"part_valid": (True, False, False, False)},
        {"hands_from": "relaxed", "jaw_pose": np.zeros(3)},
        {name: value * 0 for name, value in (HANDS | HEAD).items()},
        {"left_hand_pose": np.ones(6), "right_hand_pose": np.ones(12), "jaw_pose": np.zeros(3)},
    ],
    ids=["not valid", "from a hand that is not there", "zeros", "coefficients of a space that is not there"],
)
def test_what_cannot_be_told_is_not_taken(tmp_path, said):
    people = known([truth(**(HANDS | HEAD | said))])
    before = found_parts(1)
    after = with_known_parts(job_of(tmp_path), before, people)
    assert people.sources == ["body in 3D"]
    assert after["hands"] is before["hands"]
    assert after["face"] is before["face"]


def test_parts_that_the_data_set_is_not_trusted_for_are_not_taken():
    trusted = [part in ("body", "feet", "legs", "left_hand") for part in TRUSTED_PARTS]
    assert known([truth(**HANDS, **HEAD)], trusted=trusted).sources == ["body, left hand in 3D"]


def test_hands_of_the_body_of_the_labels_turn_from_its_relaxed_hand_and_may_be_coefficients():
    pose = HANDS["left_hand_pose"]
    relaxed = known([truth(hands_from="relaxed", left_hand_pose=pose)], own_body=OPEN).hands(0)["left_hand_pose"]
    np.testing.assert_allclose(relaxed, pose + OPEN.hands_mean[0], atol=1e-6)
    few = np.array([0.5, -1.0, 0.2])
    people = [truth(hands_from=of, right_hand_pose=few) for of in ("flat", "relaxed")]
    found = [known([own], own_body=OPEN).hands(0)["right_hand_pose"] for own in people]
    np.testing.assert_allclose(found[0], few @ OPEN.hands_components[1, :3], atol=1e-6)
    np.testing.assert_allclose(found[1] - found[0], OPEN.hands_mean[1], atol=1e-6)


def test_a_head_of_flame_is_taken_by_a_body_of_its_space_alone(tmp_path):
    own = truth(**HEAD, **FLAME)
    assert known([own]).head(0).keys() == HEAD.keys()
    people = known([own], own_body=OPEN)
    face = with_known_parts(job_of(tmp_path), found_parts(1), people)["face"]
    for name, value in FLAME.items():
        np.testing.assert_allclose(face[name][0], value[: face[name].shape[1]], rtol=1e-6)
    assert face["eyelids_valid"].all()


def test_labels_written_as_those_of_pear_come_back(tmp_path):
    """Rotations of the camera's frame, which the file has with x to the left and y up."""
    flip = np.diag([-1.0, -1.0, 1.0])
    root = Rotation.from_matrix(flip) * Rotation.from_rotvec(BODY["global_orient"])
    body = {"global_pose": root.as_rotvec()[None], "body_pose": BODY["body_pose"].reshape(21, 3)}
    body |= {name: pose.reshape(15, 3) for name, pose in HANDS.items()} | {"camera_RT_params": np.eye(3, 4)}
    head = {"jaw_params": HEAD["jaw_pose"][None], "eyelid_params": FLAME["eyelids"][None]}
    head |= {"eye_pose_params": np.concatenate([HEAD["leye_pose"], HEAD["reye_pose"]])[None]}
    head |= {"shape_params": FLAME["flame_shape"][None], "expression_params": FLAME["flame_expression"][None]}
    person = pear_person(smplx_params=body, flame_params=head, hand_valid=1)
    write_tar(tmp_path / "0.tar", [("set/p1.jpg", b"jpeg"), ("set/p1.annotation.pyd", pyd([person]))])
    manifest = Manifest(
        id="tars", version="1", licence="x", access="x", adapter="tar_people", root=str(tmp_path), split="train",
        boxes="manifest", keypoints="none", purpose="test", layout={"records": "pear"},
    )  # fmt: skip
    (record,) = inventory_of(open_adapter(manifest)).records
    people = known([record.people[0].truth_3d], own_body=OPEN)
    assert people.sources == ["body, left hand, right hand, face in 3D"]
    after = with_known_parts(job_of(tmp_path), found_parts(1), people)
    np.testing.assert_allclose(after["body"]["global_orient"][0], BODY["global_orient"], atol=1e-5)
    for name, pose in HANDS.items():
        np.testing.assert_allclose(after["hands"][name][0].ravel(), pose, atol=1e-6)
    np.testing.assert_allclose(after["face"]["jaw_pose"][0], HEAD["jaw_pose"], atol=1e-6)
    np.testing.assert_allclose(after["face"]["flame_expression"][0], FLAME["flame_expression"][:10], rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"left_hand_pose": np.zeros(46)}, {"eyelids": np.zeros(3)}])
def test_parameters_of_another_size_are_refused(wrong):
    with pytest.raises(ValueError, match="of 3D truth must be a row of"):
        truth(**wrong)


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        truth(left_hand_pose=np.full(45, np.nan))
    assert replace(truth(**HANDS), part_valid=(True,) * 4).hands_from == "flat"
