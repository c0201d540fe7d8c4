"""EgoHumans and Harmony4D: cameras without the scale of their calibration, people where the cameras see them."""

import io
import pickle
import re

import numpy as np
import pytest
from inventories import inventory_of
from scenes import GLASSES, open_scenes, write_photo
from scipy.spatial.transform import Rotation

from datasets_manifest.adapters.camera_files import CameraEntry
from datasets_manifest.adapters.captures.aria import upright_camera, upright_place
from datasets_manifest.adapters.captures.base import WORN_PARTS
from datasets_manifest.adapters.captures.seen import box_of, project
from datasets_manifest.manifest import load_manifest
from datasets_manifest.schema.trusted import TRUSTED_PARTS

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
    inventory = inventory_of(open_scenes(tagging, **EGOHUMANS))
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
    inventory = inventory_of(open_scenes(tagging, boxes="detector", **EGOHUMANS))
    assert [(record.place.frame, record.people) for record in inventory.records] == [(1, ()), (2, ())]


def test_a_scene_without_glasses_has_its_scale_in_a_file(tagging):
    workplace = tagging / "01_tagging/001_tagging/colmap/workplace"
    (workplace / "colmap_from_aria_transforms.pkl").unlink()
    with pytest.raises(ValueError, match=r"expected colmap_from_aria_transforms\.pkl or scale\.npy"):
        list(open_scenes(tagging, **EGOHUMANS).entries())
    np.save(workplace / "scale.npy", np.diag([0.5, 0.5, 0.5, 1.0]))
    (record,) = inventory_of(open_scenes(tagging, **(EGOHUMANS | {"kind": "harmony4d"}))).records
    np.testing.assert_allclose(record.place.world_to_camera[:, 3], [0, 0, 1])


def test_the_nearest_photo_that_is_placed_says_where_a_camera_is(tagging):
    workplace = tagging / "01_tagging/001_tagging/colmap/workplace"
    (workplace / "images.txt").write_text(IMAGES + "3 1 0 0 0 0 0 2.2 1 cam01/00002.jpg\n\n")
    records = inventory_of(open_scenes(tagging, boxes="detector", **EGOHUMANS)).records
    np.testing.assert_allclose([record.place.world_to_camera[2, 3] for record in records], [1.0, 1.1])
    np.save(workplace / "cam01.npy", [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 6], [0, 0, 0, 1]])
    records = inventory_of(open_scenes(tagging, boxes="detector", **EGOHUMANS)).records
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
        list(open_scenes(tagging, **EGOHUMANS).entries())


def test_cameras_that_the_publisher_calls_invalid_do_not_count(tagging):
    with pytest.raises(ValueError, match="none of its cameras counts"):
        list(open_scenes(tagging, **EGOHUMANS, leave_out={"001_tagging": ["cam01"]}).entries())
    assert inventory_of(open_scenes(tagging, **EGOHUMANS, leave_out={"002_tagging": ["cam01"]})).records


def test_scenes_are_chosen_by_what_their_names_begin_with(tagging):
    def scenes(**chosen):
        return {record.place.group for record in inventory_of(open_scenes(tagging, **EGOHUMANS, **chosen)).records}

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
        list(open_scenes(tagging, **EGOHUMANS).entries())


EGO = {"ego": "{scene}/ego/{camera}/images/rgb/{frame}.jpg", "ego_cameras": "{scene}/ego/{camera}/calib/{frame}.txt"}
HANDS = [(0.1 * x, -0.3 + 0.05 * y, 0.4) for x in (-1, 1) for y in (0, 1)]
"""Points before the eyes of the wearer."""


@pytest.fixture
def worn(tagging):
    """The scene of EgoHumans with two glasses; those of aria02 have a world of their own, turned and moved against the
    scene's, and are at the scene's (3, 0, 0) in frame 1, looking at it."""
    scene = tagging / "01_tagging/001_tagging"
    own = np.eye(4)
    own[:3, :3], own[:3, 3] = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix(), [1.0, 2.0, 3.0]
    to_colmap = np.diag([2.0, 2.0, 2.0, 1.0])
    transforms = {"aria01": to_colmap, "aria02": to_colmap @ own}
    (scene / "colmap/workplace/colmap_from_aria_transforms.pkl").write_bytes(pickle.dumps(transforms, protocol=4))
    to_sensor = np.eye(4)
    to_sensor[:3] = np.linalg.inv([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ look_from_the_side()
    for name, place in (("aria01", np.eye(4)), ("aria02", to_sensor @ own)):
        write_photo(scene / f"ego/{name}/images/rgb/00001.jpg", (352, 352))
        write_photo(scene / f"ego/{name}/images/rgb/00002.jpg", (352, 352))
        lines = ["Serial, intrinsics (radtanthinprism), extrinsic (3x4)", "serial", " ".join(map(str, GLASSES))]
        lines += [" ".join(str(number) for number in place[:3].T.ravel()), *["0"] * 4]
        path = scene / f"ego/{name}/calib/00001.txt"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines))
    wearer = np.zeros((133, 4))
    wearer[:4] = [[*place, 1] for place in (np.array(HANDS) @ look_from_the_side()[:, :3]) + [3.0, 0.0, 0.0]]
    other = np.zeros((133, 4))
    other[:4] = [(0, 0, 1, 1), (0.4, 0, 1, 1), (-0.4, 0.2, 1, 1), (0, -0.4, 1, 1)]
    save_object(scene / "processed_data/poses3d/00001.npy", {"aria01": other, "aria02": wearer})
    return tagging


def look_from_the_side():
    """(3, 4) world to the camera of upright photos at (3, 0, 0), that looks along -x."""
    turn = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    return np.concatenate([turn, -turn @ [[3.0], [0.0], [0.0]]], 1)


def test_glasses_do_not_count_unless_they_are_asked_for(worn):
    cameras = {record.place.camera for record in inventory_of(open_scenes(worn, **EGOHUMANS)).records}
    assert cameras == {"cam01"}


def test_glasses_are_where_their_calibration_of_the_moment_says(worn):
    inventory = inventory_of(open_scenes(worn, **EGOHUMANS, **EGO, boxes="detector"))
    records = {record.place.camera: record for record in inventory.records if record.place.frame == 1}
    np.testing.assert_allclose(records["aria02"].place.world_to_camera, look_from_the_side(), atol=1e-9)
    np.testing.assert_allclose(records["aria01"].place.world_to_camera, upright_place(np.eye(3, 4)), atol=1e-9)
    assert records["aria02"].lens.model == "fisheye624"
    assert records["aria02"].focal_px == pytest.approx(610 / 4)
    assert [record.place.camera for record in inventory.records if record.place.frame == 2] == ["cam01"]
    assert inventory.notes["photos by glasses whose place is not known left out"] == 2


def test_of_who_wears_the_camera_hands_alone_are_trusted(worn):
    inventory = inventory_of(open_scenes(worn, **EGOHUMANS, **EGO))
    people = {record.place.camera: {own.track: own for own in record.people} for record in inventory.records}
    assert people["aria02"][2].trusted == WORN_PARTS
    assert people["aria02"].keys() == {1, 2}
    assert people["aria02"][1].trusted == people["cam01"][1].trusted == frozenset(TRUSTED_PARTS)
    record = next(record for record in inventory.records if record.place.camera == "aria02")
    seen = project(
        people["aria02"][2].truth_3d.keypoints_m[:4, :3], upright_camera(GLASSES, (352, 352)),
        record.place.world_to_camera,
    )  # fmt: skip
    box = people["aria02"][2].bbox_xyxy
    assert ((seen > box[:2]) & (seen < box[2:])).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ego_cameras": None}, "both or neither"),
        ({"ego": "{scene}/{camera}.mp4"}, "images are photos, got"),
        ({"ego": "{scene}/ego.jpg"}, "ego: expected a path with {camera} and {frame}"),
        ({"kind": "mpi_inf_3dhp"}, "glasses are of egohumans, harmony4d, egoexo4d"),
    ],
)
def test_a_layout_of_glasses_that_cannot_be_is_a_sentence(worn, changed, said):
    with pytest.raises(ValueError, match=said):
        open_scenes(worn, **(EGOHUMANS | EGO | changed))
