"""Camera files: what they state is what comes out, and what is missing or cannot be is one sentence."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scenes import camera_entry, camera_file, look_at_middle, write_cameras

from datasets_manifest.adapters.base import CalibratedLens
from datasets_manifest.adapters.camera_files import read_cameras
from datasets_manifest.sources.opening import open_images


def read(folder, content):
    write_cameras(folder / "cameras.yaml", content)
    return read_cameras(open_images(folder), "cameras.yaml")


def with_right(**changed):
    return camera_file(cameras={"left": camera_entry(-45.0), "right": camera_entry(45.0, **changed)})


def test_one_camera_is_stated_in_all_ways(tmp_path):
    pose = look_at_middle(45.0)
    centre = -pose[:, :3].T @ pose[:, 3]
    ways = {
        "m": ({}, {}),
        "cm": ({"unit": "cm"}, {"translation": (100 * pose[:, 3]).tolist()}),
        "mm": ({"unit": "mm"}, {"translation": (1000 * pose[:, 3]).tolist()}),
        "the other way": (
            {"direction": "camera_to_world"},
            {"rotation": pose[:, :3].T.tolist(), "translation": centre.tolist()},
        ),
        "vector": ({}, {"rotation": None, "rotation_vector": cv2.Rodrigues(pose[:, :3])[0].ravel().tolist()}),
        "rounded": ({}, {"rotation": pose[:, :3].round(3).tolist()}),
    }
    for name, (said, of_camera) in ways.items():
        content = camera_file(cameras={"right": camera_entry(45.0, **of_camera)}, **said)
        found = read(tmp_path, content).world_to_camera("right")
        np.testing.assert_allclose(found, pose, atol=1e-3 if name == "rounded" else 1e-12, err_msg=name)
        np.testing.assert_allclose(found[:, :3] @ found[:, :3].T, np.eye(3), atol=1e-12)


def test_json_is_read_and_lenses_come_out(tmp_path):
    content = with_right(lens="brown", coefficients=[0.1, 0.0, 0.0, 0.0], focal_px=[110, 90])
    (tmp_path / "c.json").write_text(json.dumps(content))
    cameras = read_cameras(open_images(tmp_path), "c.json").cameras
    assert cameras["left"].distorting is None
    assert cameras["right"].distorting == CalibratedLens(
        model="brown", coefficients=(0.1, 0.0, 0.0, 0.0), focal_xy_px=(110.0, 90.0)
    )
    two = camera_entry(focal_px=[110.0, 90.0])
    assert read(tmp_path, camera_file(cameras={"a": two})).cameras["a"].distorting == CalibratedLens(
        model="brown", coefficients=(0.0,) * 4, focal_xy_px=(110.0, 90.0)
    )


MIRRORED = look_at_middle(45.0)[:, :3] * [[-1], [1], [1]]
TURNED = look_at_middle(45.0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (camera_file(unit=None), "unit: is missing"),
        (camera_file(unit="inch"), "unit: expected one of m, cm, mm, got 'inch'"),
        (camera_file(direction=None), "direction: is missing"),
        (camera_file(synchronised=None), "synchronised: is missing"),
        (camera_file(synchronised=False), r"cameras\.left\.time_offset_s: is missing"),
        (with_right(time_offset_s=0.5), r"cameras\.right\.time_offset_s: is stated, but synchronised is true"),
        (camera_file(cameras={}), "cameras: expected"),
        (camera_file(cameras=None), "cameras: is missing"),
        (with_right(size_px=None), r"cameras\.right\.size_px: is missing"),
        (with_right(lens=None), r"cameras\.right\.lens: is missing"),
        (with_right(focal_px=[0.0, 100.0]), r"cameras\.right\.focal_px\[0\]: expected more than 0"),
        (with_right(focal_px=[4.5, 4.5]), r"cameras\.right\.focal_px: 4\.5, 4\.5 px is too short for photos 96 px"),
        (with_right(focal_px=[float("nan"), 1.0]), r"cameras\.right\.focal_px\[0\]: expected a finite number, got nan"),
        (with_right(principal_px=[0.5, 0.5]), r"cameras\.right\.principal_px: 0\.5, 0\.5 is not within photos of 96"),
        (with_right(coefficients=[0.1]), r"cameras\.right\.coefficients: a lens none has 0, got 1"),
        (with_right(lens="fisheye", coefficients=[0.1] * 5), "a lens fisheye has 4, got 5"),
        (with_right(rotation=None), "expected either rotation or rotation_vector"),
        (with_right(rotation=(2 * MIRRORED).tolist()), r"cameras\.right\.rotation: its rows are no unit vectors"),
        (with_right(rotation=MIRRORED.tolist()), r"cameras\.right\.rotation: it is mirrored"),
        (with_right(translation=[0.0, float("inf"), 1.0]), r"cameras\.right\.translation\[1\]: expected a finite"),
        (with_right(zoom=2), r"cameras\.right: unknown setting zoom"),
        (camera_file(unit="mm"), r"cameras: left and right stand 0\.00566 m apart, .* check unit \(mm\)"),
        (with_right(translation=[0.0, 0.0, 4000.0]), r"cameras: left and right stand 4e\+03 m apart"),
        (with_right(rotation=camera_entry(-45.0)["rotation"]), "cameras: left and right stand 0 m apart"),
        ("no cameras", "expected a mapping"),
    ],
)  # fmt: skip
def test_what_is_missing_or_cannot_be_is_a_sentence(tmp_path, content, sentence):
    with pytest.raises(ValueError, match=rf"^Camera file {tmp_path}/cameras\.yaml: .*{sentence}"):
        read(tmp_path, content)


def test_a_camera_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Camera file .*/cameras\.yaml cannot be read \(No such file"):
        read_cameras(open_images(tmp_path), "cameras.yaml")


@pytest.fixture
def easymocap(tmp_path):
    """Files as EasyMocap writes them, of two cameras."""
    for file in ("intri.yml", "extri.yml"):
        storage = cv2.FileStorage(str(tmp_path / file), cv2.FILE_STORAGE_WRITE)
        storage.startWriteStruct("names", cv2.FileNode_SEQ)
        for name in ("01", "02"):
            storage.write("", name)
        storage.endWriteStruct()
        for name, degrees in (("01", -45.0), ("02", 45.0)):
            pose = look_at_middle(degrees)
            if file == "intri.yml":
                storage.write(f"K_{name}", np.array([[100.0, 0, 47.5], [0, 90.0, 31.5], [0, 0, 1]]))
                storage.write(f"dist_{name}", np.array([[0.1, 0.0, 0.0, 0.0, -0.02]]))
            else:
                storage.write(f"R_{name}", cv2.Rodrigues(pose[:, :3])[0])
                storage.write(f"Rot_{name}", pose[:, :3].copy())
                storage.write(f"T_{name}", pose[:, 3:].copy())
        storage.release()
    return {"easymocap": ".", "unit": "m", "synchronised": True, "size_px": [96, 64]}


def test_easymocaps_files_stand_for_cameras(tmp_path, easymocap):
    found = read(tmp_path, easymocap)
    assert list(found.cameras) == ["01", "02"]
    np.testing.assert_allclose(found.world_to_camera("02"), look_at_middle(45.0), atol=1e-9)
    camera = found.cameras["01"]
    assert (camera.principal_px, camera.size_px) == ((48.0, 32.0), (96, 64))
    assert camera.distorting == CalibratedLens(
        model="brown", coefficients=(0.1, 0.0, 0.0, 0.0, -0.02), focal_xy_px=(100.0, 90.0)
    )


def test_what_easymocap_does_not_state_is_asked_for(tmp_path, easymocap):
    for name, sentence in (("unit", "unit: is missing"), ("size_px", r"cameras\.01\.size_px: expected a list")):
        with pytest.raises(ValueError, match=sentence):
            read(tmp_path, {key: value for key, value in easymocap.items() if key != name})
    with pytest.raises(ValueError, match="unknown setting direction beside easymocap"):
        read(tmp_path, easymocap | {"direction": "camera_to_world"})
    (tmp_path / "extri.yml").write_text((tmp_path / "extri.yml").read_text().replace("T_02", "T_03"))
    with pytest.raises(ValueError, match=r"extri\.yml of EasyMocap needs T_02 with 3 numbers"):
        read(tmp_path, easymocap)
    (tmp_path / "intri.yml").unlink()
    with pytest.raises(ValueError, match=r"intri\.yml of EasyMocap cannot be read"):
        read(tmp_path, easymocap)


def test_the_camera_file_of_the_documentation_can_be_read(tmp_path):
    page = (Path(__file__).parents[3] / "docs/scenes.md").read_text(encoding="utf-8")
    block = next(block for block in page.split("```") if block.startswith("yaml\nunit: m "))
    (tmp_path / "cameras.yaml").write_text(block.removeprefix("yaml\n").replace("  right:\n    # ...\n", ""))
    camera = read_cameras(open_images(tmp_path), "cameras.yaml").cameras["left"]
    assert camera.distorting is not None
