"""Published captures: cameras without the scale of their calibration, people in 3D where the cameras see them."""

import csv
import io
import json
import pickle
import re

import cv2
import numpy as np
import pytest
from inventories import inventory_of
from scenes import write_photo, write_scene_manifest
from scipy.io import savemat
from video_files import write_video

from datasets_manifest.adapters.base import CalibratedLens
from datasets_manifest.adapters.camera_files import CameraEntry
from datasets_manifest.adapters.captures.seen import box_of, project
from datasets_manifest.manifest import load_manifest, open_adapter

EGOHUMANS = {
    "kind": "egohumans",
    "images": "{scene}/exo/{camera}/images/{frame}.jpg",
    "cameras": "{scene}/colmap/workplace",
    "people": ["{scene}/processed_data/poses3d/{frame}.npy"],
    "fps": 20,
}
CAMERAS = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 1
1 OPENCV_FISHEYE 200 100 100 100 100 50 0 0 0 0
2 OPENCV_FISHEYE 1408 1408 600 600 704 704 0 0 0 0
"""
IMAGES = """# Image list with two lines of data per image:
#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME
#   POINTS2D[] as (X, Y, POINT3D_ID)
# Number of images: 2
1 1 0 0 0 0 0 2 1 cam01/00001.jpg

2 1 0 0 0 0 0 2 2 aria01/00001.jpg

"""
EGOEXO = {
    "kind": "egoexo4d",
    "images": "takes/{scene}/frame_aligned_videos/{camera}.mp4",
    "cameras": "takes/{scene}/trajectory/gopro_calibs.csv",
    "people": ["annotations/ego_pose/train/body/annotation/{take_uid}.json"],
}


def adapter_of(root, *, boxes="manifest", **layout):
    path = write_scene_manifest(root, **layout)
    path.write_text(path.read_text().replace("boxes: detector", f"boxes: {boxes}"))
    return open_adapter(load_manifest(path))


def save_object(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array(content, object), allow_pickle=True)
    path.write_bytes(file.getvalue())


def points(*places):
    """(17, 4) of a body of which so many joints are known."""
    found = np.zeros((17, 4))
    found[: len(places), :3], found[: len(places), 3] = places, 1.0
    return found


@pytest.fixture
def tagging(tmp_path):
    """A scene with one outer camera; the first joint of a person lies on its axis, 2 m in front of it."""
    root = tmp_path / "egohumans"
    scene = root / "01_tagging/001_tagging"
    workplace = scene / "colmap/workplace"
    workplace.mkdir(parents=True)
    (workplace / "cameras.txt").write_text(CAMERAS)
    (workplace / "images.txt").write_text(IMAGES)
    transforms = {"aria01": np.diag([2.0, 2.0, 2.0, 1.0])}
    (workplace / "colmap_from_aria_transforms.pkl").write_bytes(pickle.dumps(transforms, protocol=4))
    for number in (1, 2):
        write_photo(scene / f"exo/cam01/images/{number:05d}.jpg", (200, 100))
    person = points((0, 0, 1), (0.4, 0, 1), (-0.4, 0.2, 1), (0, -0.4, 1))
    save_object(scene / "processed_data/poses3d/00001.npy", {"aria02": person})
    return root


def test_the_scale_of_the_calibration_is_in_no_camera(tagging):
    inventory = inventory_of(adapter_of(tagging, **EGOHUMANS))
    (record,) = inventory.records
    assert (record.path, record.width, record.height) == (
        "01_tagging/001_tagging/exo/cam01/images/00001.jpg",
        200,
        100,
    )
    np.testing.assert_allclose(record.place.world_to_camera, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], atol=1e-12)
    (person,) = record.people
    assert (person.track, person.index, person.truth_3d.frame) == (2, 2, "world")
    assert person.truth_3d.keypoints_m.shape == (133, 4)
    camera = CameraEntry(
        size_px=(200, 100),
        focal_px=(100.0, 100.0),
        principal_px=(100.0, 50.0),
        lens="fisheye",
        coefficients=(0.0,) * 4,
        rotation_vector=(0.0, 0.0, 0.0),
        translation=(0.0, 0.0, 0.0),
    )
    seen = project(person.truth_3d.keypoints_m[:4, :3], camera, record.place.world_to_camera)
    # Equidistant: the angle of .4 m at 2 m, in rad, times 100 px.
    np.testing.assert_allclose(seen[:2], [[100, 50], [100 + 100 * np.arctan(0.2), 50]], atol=1e-5)
    np.testing.assert_allclose(
        person.bbox_xyxy, box_of(person.truth_3d.keypoints_m, camera, record.place.world_to_camera)
    )
    assert inventory.notes["moments without people left out"] == 1


def test_where_people_are_to_be_found_every_moment_counts(tagging):
    inventory = inventory_of(adapter_of(tagging, boxes="detector", **EGOHUMANS))
    assert [(record.place.frame, record.people) for record in inventory.records] == [(1, ()), (2, ())]


def test_a_scene_without_glasses_has_its_scale_in_a_file(tagging):
    workplace = tagging / "01_tagging/001_tagging/colmap/workplace"
    (workplace / "colmap_from_aria_transforms.pkl").unlink()
    with pytest.raises(ValueError, match=r"expected colmap_from_aria_transforms\.pkl or scale\.npy"):
        list(adapter_of(tagging, **EGOHUMANS).entries())
    np.save(workplace / "scale.npy", np.diag([0.5, 0.5, 0.5, 1.0]))
    (record,) = inventory_of(adapter_of(tagging, **(EGOHUMANS | {"kind": "harmony4d"}))).records
    np.testing.assert_allclose(record.place.world_to_camera[:, 3], [0, 0, 1])


def test_the_nearest_photo_that_is_placed_says_where_a_camera_is(tagging):
    workplace = tagging / "01_tagging/001_tagging/colmap/workplace"
    (workplace / "images.txt").write_text(IMAGES + "3 1 0 0 0 0 0 2.2 1 cam01/00002.jpg\n\n")
    records = inventory_of(adapter_of(tagging, boxes="detector", **EGOHUMANS)).records
    np.testing.assert_allclose([record.place.world_to_camera[2, 3] for record in records], [1.0, 1.1])
    np.save(workplace / "cam01.npy", [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 6], [0, 0, 0, 1]])
    records = inventory_of(adapter_of(tagging, boxes="detector", **EGOHUMANS)).records
    np.testing.assert_allclose([record.place.world_to_camera[2, 3] for record in records], [3.0, 3.0])


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("cameras.txt", CAMERAS.replace("OPENCV_FISHEYE 200", "PINHOLE 200"), "expected OPENCV_FISHEYE with 8 numbers"),
        (
            "images.txt",
            IMAGES.replace("1 1 0 0 0 0 0 2 1 cam01", "1 1 0 0 0 0 0 2 7 cam01"),
            "camera 7, which cameras.txt",
        ),
        ("images.txt", IMAGES.replace("/00001.jpg", ""), "expected a placed photo"),
    ],
)
def test_a_calibration_that_is_wrong_is_a_sentence(tagging, file, content, said):
    (tagging / "01_tagging/001_tagging/colmap/workplace" / file).write_text(content)
    with pytest.raises(ValueError, match=said):
        list(adapter_of(tagging, **EGOHUMANS).entries())


def test_cameras_that_the_publisher_calls_invalid_do_not_count(tagging):
    with pytest.raises(ValueError, match="none of its cameras counts"):
        list(adapter_of(tagging, **EGOHUMANS, leave_out={"001_tagging": ["cam01"]}).entries())
    assert inventory_of(adapter_of(tagging, **EGOHUMANS, leave_out={"002_tagging": ["cam01"]})).records


def test_scenes_are_chosen_by_what_their_names_begin_with(tagging):
    def scenes(**chosen):
        return {record.place.group for record in inventory_of(adapter_of(tagging, **EGOHUMANS, **chosen)).records}

    everything = {"01_tagging/001_tagging"}
    assert scenes(scenes=["01_tagging/", "02_"]) == scenes(leave_scenes=["03_"]) == everything
    assert scenes(scenes=["02_"]) == scenes(leave_scenes=["01_tagging/"]) == set()


def test_the_official_test_sequences_are_apart_and_are_not_learnt_from():
    train, test = load_manifest("egohumans"), load_manifest("egohumans_test")
    assert all(re.search(test.photo_names[0], f"{name}001_{name[3:]}") for name in train.layout["leave_scenes"])
    assert not any(re.search(test.photo_names[0], f"{name}/001") for name in ("04_basketball", "06_badminton"))
    assert [train.never_train, test.never_train, load_manifest("harmony4d_test").never_train] == [False, True, True]


def test_a_hostile_file_of_people_is_refused(tagging):
    class Hostile:
        def __reduce__(self):
            return eval, ("1/0",)

    save_object(tagging / "01_tagging/001_tagging/processed_data/poses3d/00001.npy", {"aria01": Hostile()})
    with pytest.raises(ValueError, match="eval"):
        list(adapter_of(tagging, **EGOHUMANS).entries())


@pytest.fixture
def take(tmp_path):
    """A take of ten frames with one GoPro whose place is known; of frame 7 the wearer is known in 3D."""
    root = tmp_path / "egoexo"
    (root / "takes/cook/trajectory").mkdir(parents=True)
    (root / "takes/cook/frame_aligned_videos").mkdir()
    for name in ("cam01", "cam02", "aria01_214-1"):
        write_video(root / f"takes/cook/frame_aligned_videos/{name}.mp4", 10, "mp4v")
    columns = [
        *("cam_uid", " tx_world_cam", "ty_world_cam", "tz_world_cam"),
        *(f"q{axis}_world_cam" for axis in "xyzw"),
        *("image_width", "image_height", "intrinsics_type"),
        *(f"intrinsics_{i}" for i in range(8)),
        *("start_frame_idx", "end_frame_idx", "quality"),
    ]
    lens = [192, 128, "KANNALABRANDTK3", 100.0, 100.0, 95.5, 63.5, 0, 0, 0, 0]
    with (root / "takes/cook/trajectory/gopro_calibs.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerow(["cam01", 0, 0, -2, 0, 0, 0, 1, *lens, 0, 9, 1])
        rows.writerow(["cam02", 0, 1, -2, 0, 0, 0, 1, *lens, 0, 9, 0])
    (root / "takes.json").write_text(json.dumps([{"take_name": "cook", "take_uid": "u1"}]))
    poses = root / "annotations/ego_pose/train/body/annotation"
    poses.mkdir(parents=True)
    joints = {
        name: {"x": 0.1 * i, "y": 0.05 * i, "z": 1.0, "num_views_for_3d": 2}
        for i, name in enumerate(("nose", "left-eye", "left-wrist", "right-hip"))
    }
    joints["left_thumb_4"] = {"x": 0.0, "y": 0.1, "z": 1.0, "num_views_for_3d": 3}
    (poses / "u1.json").write_text(json.dumps({"7": [{"annotation3D": joints, "annotation2D": {}}], "8": []}))
    return root


def test_the_wearer_is_seen_by_cameras_whose_place_is_known(take):
    inventory = inventory_of(adapter_of(take, **EGOEXO))
    (record,) = inventory.records
    assert (record.place.group, record.place.camera, record.place.frame) == ("cook", "cam01", 7)
    assert record.lens == CalibratedLens(model="fisheye", coefficients=(0.0,) * 4, focal_xy_px=(50.0, 50.0))
    assert record.principal_px == (48.0, 32.0)
    np.testing.assert_allclose(record.place.world_to_camera[:, 3], [0, 0, 2])
    (person,) = record.people
    known = np.flatnonzero(person.truth_3d.keypoints_m[:, 3])
    assert known.tolist() == [0, 1, 9, 12, 95]
    assert inventory.notes["frames with no or several people in 3D"] == 1
    assert inventory.notes["cameras without a calibration that counts left out"] == 2


def test_frames_beyond_the_videos_are_of_another_rate(take):
    path = take / "annotations/ego_pose/train/body/annotation/u1.json"
    path.write_text(path.read_text().replace('"7"', '"14"'))
    with pytest.raises(ValueError, match="has a frame 14, its videos have 10"):
        list(adapter_of(take, **EGOEXO).entries())


def test_a_video_of_other_proportions_is_refused(take):
    path = take / "takes/cook/trajectory/gopro_calibs.csv"
    path.write_text(path.read_text().replace("192,128", "128,192"))
    with pytest.raises(ValueError, match=r"cam01.*calibrated for 128 x 192 px and its video has 96 x 64"):
        list(adapter_of(take, **EGOEXO).entries())


@pytest.fixture
def studio(tmp_path):
    """A sequence of two cameras, four frames and one that is annotated, whose pelvis is 3 m in front of the first."""
    root = tmp_path / "3dhp"
    scene = root / "S1/Seq1"
    (scene / "imageSequence").mkdir(parents=True)
    for camera in (0, 1):
        write_video(scene / f"imageSequence/video_{camera}.avi", 4)
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera, move in ((0, "0"), (1, "-1000")):
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            "  size        96 64",
            "  animated    0",
            "  intrinsic   150 0 47.5 0 0 150 31.5 0 0 0 1 0 0 0 0 1",
            f"  extrinsic   1 0 0 {move} 0 1 0 0 0 0 1 0 0 0 0 1",
            "  radial      0",
        ]
    (scene / "camera.calibration").write_text("\n".join(lines))
    joints = np.zeros((1, 28, 3))
    joints[0, :, 0], joints[0, :, 1], joints[0, :, 2] = np.linspace(-500, 500, 28), np.linspace(-300, 300, 28), 3000
    joints[0, 4] = 0, 0, 3000
    cells = np.empty((2, 1), object)
    cells[:, 0] = [joints.reshape(1, 84)] * 2
    savemat(scene / "annot.mat", {"annot3": cells})
    return root


def test_joints_of_the_studio_are_in_its_world_and_seen_by_both_cameras(studio):
    layout = {
        "kind": "mpi_inf_3dhp",
        "images": "{scene}/imageSequence/{camera}.avi",
        "cameras": "{scene}/camera.calibration",
        "people": ["{scene}/annot.mat"],
    }
    inventory = inventory_of(adapter_of(studio, **layout))
    assert [(r.place.group, r.place.camera, r.place.frame) for r in inventory.records] == [
        ("S1/Seq1", "video_0", 0),
        ("S1/Seq1", "video_1", 0),
    ]
    first, second = inventory.records
    np.testing.assert_allclose(second.place.world_to_camera[:, 3], [-1, 0, 0])
    assert (first.focal_px, first.principal_px, first.lens) == (150.0, (48.0, 32.0), None)
    (person,) = first.people
    assert (person.truth_3d.points_are, person.truth_3d.frame) == ("joints", "world")
    shoulder = person.truth_3d.keypoints_m[5]
    np.testing.assert_allclose(
        shoulder, [*np.array([-500 + 1000 * 9 / 27, -300 + 600 * 9 / 27, 3000]) / 1e3, 1], rtol=1e-6
    )
    assert inventory.notes["frames without people in 3D"] == 3
    (studio / "S1/Seq1/annot.mat").write_bytes(b"no file of MATLAB")
    with pytest.raises(ValueError, match=r"is no annot\.mat of MPI-INF-3DHP"):
        list(adapter_of(studio, **layout).entries())


def test_points_are_where_opencv_has_them_and_nowhere_behind():
    camera = CameraEntry(
        size_px=(640, 480),
        focal_px=(400.0, 410.0),
        principal_px=(321.0, 239.0),
        lens="brown",
        coefficients=(0.1, -0.05, 0.001, 0.002, 0.01),
        rotation_vector=(0.0, 0.0, 0.0),
        translation=(0.0, 0.0, 0.0),
    )
    places = np.array([[0.1, 0.2, 2.0], [0.1, 0.2, -2.0]])
    turn = cv2.Rodrigues(np.array([0.0, 0.3, 0.0]))[0]
    seen = project(places, camera, np.concatenate([turn, [[0.0], [0.0], [0.5]]], 1))
    matrix = np.array([[400.0, 0, 321.0], [0, 410.0, 239.0], [0, 0, 1]])
    expected, _ = cv2.projectPoints(
        places[:1], np.array([0.0, 0.3, 0.0]), np.array([0.0, 0.0, 0.5]), matrix, np.array(camera.coefficients)
    )
    np.testing.assert_allclose(seen[0], expected.ravel(), atol=1e-9)
    assert np.isnan(seen[1]).all()
