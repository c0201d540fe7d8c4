"""Human3.6M and MPI-INF-3DHP: cameras of a studio, joints in its world."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from inventories import inventory_of
from pickling import unpickled
from scenes import open_scenes
from scipy.io import savemat
from scipy.spatial.transform import Rotation
from video_files import write_video

from datasets_manifest.adapters.captures.human36m import CAMERAS as HUMAN36M_CAMERAS
from datasets_manifest.adapters.captures.human36m import Human36mCapture
from datasets_manifest.adapters.captures.seen import project


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
    inventory = inventory_of(open_scenes(studio, **layout))
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
        list(open_scenes(studio, **layout).entries())


HUMAN36M = {"kind": "human36m", "images": "{scene}.{camera}.mp4", "cameras": "metadata.xml"}


def write_metadata(root, cameras):
    """A file of cameras: (subject, index of the camera) to angles, place in mm, and the lens of each."""
    numbers = np.zeros(300)
    for (subject, index), (place, lens) in cameras.items():
        start = 6 * (11 * index + subject - 1)
        numbers[start : start + 6], numbers[264 + 9 * index : 273 + 9 * index] = place, lens
    text = " ".join(f"{number:.17g}" for number in numbers)
    (root / "metadata.xml").write_text(f"<metadata><w0>[{text}]</w0></metadata>")


def test_a_camera_of_human36m_without_angles_looks_along_z(tmp_path):
    root = tmp_path / "h36m"
    (root / "S1/Videos").mkdir(parents=True)
    write_video(root / "S1/Videos/Directions 1.54138969.mp4", 3, "mp4v")
    write_metadata(root, {(1, 0): ([0, 0, 0, 0, 0, -5000], [100, 100, 47.5, 31.5, 0, 0, 0, 0, 0])})
    inventory = inventory_of(open_scenes(root, boxes="detector", **HUMAN36M))
    assert [(r.place.group, r.place.camera, r.place.frame) for r in inventory.records] == [
        ("S1/Videos/Directions 1", "54138969", frame) for frame in range(3)
    ]
    record = inventory.records[0]
    np.testing.assert_allclose(record.place.world_to_camera, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 5]], atol=1e-12)
    assert record.principal_px == (48.0, 32.0)
    for centre in ([96.0, 64.0], [60.0, 31.5]):  # Of videos that were made smaller, or cut, after they were calibrated.
        write_metadata(root, {(1, 0): ([0, 0, 0, 0, 0, -5000], [100, 100, *centre, 0, 0, 0, 0, 0])})
        with pytest.raises(ValueError, match="of another size than was calibrated"):
            list(open_scenes(root, boxes="detector", **HUMAN36M).entries())
    with pytest.raises(ValueError, match=r"the 3D of Human3\.6M is not read"):
        list(open_scenes(root, **HUMAN36M, people=["S1.cdf"]).entries())
    (root / "metadata.xml").write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><metadata/>")
    with pytest.raises(ValueError, match="declares entities"):
        list(open_scenes(root, boxes="detector", **HUMAN36M).entries())


def test_real_joints_of_human36m_are_where_its_photos_show_them(tmp_path):
    folder = Path(__file__).parents[4].parent / "shared" / "data" / "h36m"
    if not (folder / "cameras.pkl").is_file():
        pytest.skip(f"needs the sample {folder}")
    cameras = unpickled((folder / "cameras.pkl").read_bytes())
    content = json.loads((folder / "h36m_coco.json").read_text())
    checked = 0
    for image, person in zip(content["images"], content["annotations"], strict=True):
        subject, number = image["file_name"].partition("_")[0], image["file_name"].split(".")[1].partition("_")[0]
        camera = cameras[(subject, number)]
        # The sample has the rotation from the camera, and metres; its lens is k1, k2, k3 and p1, p2.
        angles = Rotation.from_matrix(np.asarray(camera["R"]).T).as_euler("XYZ")
        place = [*angles, *(1e3 * np.ravel(camera["T"]))]
        lens = np.concatenate([np.ravel(camera[name]) for name in ("f", "c", "k", "p")])
        write_metadata(tmp_path, {(int(subject[1:]), HUMAN36M_CAMERAS.index(number)): (place, lens)})
        capture = Human36mCapture(SimpleNamespace(root=tmp_path), ())
        size = image["width"], image["height"]
        file = capture.cameras(f"{subject}/Videos/a", "metadata.xml", {number: size}.get)
        joints = np.array(person["keypoints_3d"]).reshape(17, 4)[:, :3]
        seen = project(joints, file.cameras[number], file.world_to_camera(number)) - 0.5
        np.testing.assert_allclose(seen, np.array(person["keypoints"]).reshape(17, 3)[:, :2], atol=0.3)
        checked += 1
    assert checked == 4
