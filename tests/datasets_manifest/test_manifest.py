"""A manifest is strict: what it does not say, or says wrongly, is named before anything is read."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from inventories import inventory_of
from tar_files import write_tar
from video_files import write_video

from datasets_manifest.canonical import config_hash
from datasets_manifest.manifest import MANIFEST_FOLDER, load_manifest, manifest_ids, open_adapter, open_source
from datasets_manifest.sources.images import decode_image


def content(**changes):
    known = {
        "id": "mine",
        "version": "1",
        "licence": "own photos",
        "access": "ask me",
        "adapter": "folder",
        "root": "photos",
        "split": "all",
        "boxes": "detector",
        "keypoints": "none",
        "purpose": "a test",
        "layout": {"include": ["*.jpg"]},
    }
    return {key: value for key, value in (known | changes).items() if value is not ...}


def write(folder, **changes):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(content(**changes)))
    return path


@pytest.mark.parametrize("name", manifest_ids())
def test_every_manifest_of_the_project_is_valid(name):
    manifest = load_manifest(name)
    assert manifest.id == name
    assert len(manifest.hash) == 64
    assert (MANIFEST_FOLDER / f"{name}.yaml").read_text().startswith("# ")


def test_the_manifests_that_the_readme_names_are_there():
    demo = {"demo_photos", "demo_portrait", "demo_people", "demo_clip", "demo_rig"}
    assert demo | {"coco_wholebody_val", "my_photos"} <= set(manifest_ids())


def test_an_unknown_id_gets_the_list_of_known_ones():
    with pytest.raises(
        ValueError, match=r"no manifest 'demo_photo'; known are .*demo_photos, demo_portrait, demo_rig, .*my_photos"
    ):
        load_manifest("demo_photo")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown setting colour; known are access, adapter"),
        ({"licence": ...}, "licence: is missing"),
        ({"version": 1.0}, r"version: expected a text \(in quotes\), got 1.0"),
        ({"purpose": " "}, "purpose: expected a text that is not empty"),
        ({"adapter": "lmdb"}, "no adapter 'lmdb'; known are coco, folder, npz_people"),
        ({"boxes": "manifest"}, "boxes: adapter folder has detector, got 'manifest'"),
        ({"boxes": "guess"}, "boxes: expected one of manifest, detector, got 'guess'"),
        ({"keypoints": "coco"}, "keypoints: adapter folder has none, got 'coco'"),
        ({"layout": {"includes": ["a"]}}, "setting includes; known are frames, group_frames, include, recursive"),
        ({"layout": {"include": "*.jpg"}}, "include: expected a list"),
        ({"layout": {"recursive": "yes"}}, "recursive: expected true or false"),
        ({"layout": ["a"]}, "layout: expected a mapping"),
        ({"adapter": "synthetic", "layout": {"count": 0}}, "count: expected more than 0"),
        ({"adapter": "coco", "layout": {}}, "annotations: is missing"),
        (
            {"adapter": "coco", "keypoints": "coco_wholebody", "layout": {"annotations": "a.json"}},
            "keypoints: is 'coco_wholebody' but boxes is 'detector'",
        ),
        ({"id": "../../etc"}, "id: .*got '../../etc'"),
        ({"expected": {"images": 0}}, "expected.images: expected more than 0, got 0"),
        ({"trusted": ["arms"]}, r"trusted\[0\]: expected one of body, left_hand"),
        ({"id": "a/b"}, "becomes part of a path"),
        ({"split": ".."}, "split: .*got '..'"),
        ({"id": "x\n"}, "becomes part of a path"),
        ({"id": "-rf"}, "becomes part of a path"),
    ],
)
def test_a_wrong_manifest_is_refused_with_what_is_wrong(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        load_manifest(write(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "\0", "!!python/object/apply:os.system ['touch executed']"])
def test_a_file_that_is_no_manifest_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"Manifest x\.yaml"):
        load_manifest("x.yaml")
    assert not (tmp_path / "executed").exists()


def test_the_hash_covers_all_but_the_place(tmp_path):
    manifest = load_manifest(write(tmp_path))
    assert load_manifest(write(tmp_path), root_override="/elsewhere").hash == manifest.hash
    assert replace(manifest, version="2").hash != manifest.hash
    assert replace(manifest, layout={"include": ["*.png"]}).hash != manifest.hash
    told = {"steps": ["sign the form"], "distributor": "somebody", "expected": {"images": 3}, "never_train": True}
    assert load_manifest(write(tmp_path, **told)).hash == manifest.hash
    assert load_manifest(write(tmp_path, trusted=["body", "face"])).hash != manifest.hash


def test_the_hash_is_that_of_before_parts_were_trusted(tmp_path):
    stated = content(layout={"include": ["*.jpg"]})
    del stated["root"]
    assert load_manifest(write(tmp_path)).hash == config_hash(stated)


def test_a_missing_folder_is_said_in_one_sentence_with_the_way_to_the_data(tmp_path):
    manifest = load_manifest(write(tmp_path), root_override=tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"the folder .*nowhere does not exist.*ask me"):
        open_adapter(manifest)


@pytest.mark.parametrize(
    "root", ["package:no_such_package_here/data", "package:os;rm/x", "package:", "package:yaml.nodes/x"]
)
def test_data_in_a_package_that_is_not_there(tmp_path, root):
    with pytest.raises(ValueError, match="not installed"):
        _ = load_manifest(write(tmp_path, root=root)).root_path


def test_the_demo_portrait_is_one_photo():
    (record,) = inventory_of(open_adapter(load_manifest("demo_portrait"))).records
    assert record.image_id == "grace_hopper.jpg"


def test_the_demo_photos_are_two_pictures_of_people():
    pytest.importorskip("skimage", reason="the demo photos lie inside scikit-image, which is not installed")
    manifest = load_manifest("demo_photos")
    inventory, images = inventory_of(open_adapter(manifest)), open_source(manifest)
    assert [record.image_id for record in inventory.records] == ["astronaut.png", "camera.png"]
    assert not inventory.missing
    shapes = {decode_image(images.read(record.path), name=record.path).shape for record in inventory.records}
    assert shapes == {(512, 512, 3)}


def test_a_relative_root_is_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    assert inventory_of(open_adapter(load_manifest(write(tmp_path)))).records == ()
    assert load_manifest("my_photos").root_path == Path("data/my_photos")


@pytest.fixture
def media(tmp_path, monkeypatch):
    """The working folder, with photos, a video and a tar file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Meine Fotos (1)/deep").mkdir(parents=True)
    for name in ("Meine Fotos (1)/b.jpg", "Meine Fotos (1)/deep/[a].PNG", "Meine Fotos (1)/deep/x.PNG"):
        (tmp_path / name).write_bytes(b"photo")
    write_video(tmp_path / "Meine Fotos (1)/walk.v2.avi", 3)
    write_tar(tmp_path / "some.tar", [("m.jpg", b"photo")])
    return tmp_path


FRAMES = [f"walk.v2.avi::{i:06d}" for i in range(3)]


@pytest.mark.parametrize(
    ("path", "name", "images"),
    [
        ("Meine Fotos (1)", "Meine-Fotos-1", ["b.jpg", "deep/[a].PNG", "deep/x.PNG", *FRAMES]),
        ("Meine Fotos (1)/", "Meine-Fotos-1", ["b.jpg", "deep/[a].PNG", "deep/x.PNG", *FRAMES]),
        ("Meine Fotos (1)/deep/..", "Meine-Fotos-1", ["b.jpg", "deep/[a].PNG", "deep/x.PNG", *FRAMES]),
        ("Meine Fotos (1)/walk.v2.avi", "walk.v2", FRAMES),
        ("Meine Fotos (1)/deep/[a].PNG", "a", ["[a].PNG"]),
        ("some.tar", "some", ["m.jpg"]),
    ],
)
def test_a_path_of_photos_or_videos_is_a_data_set(media, path, name, images):
    manifest = load_manifest(path)
    assert (manifest.id, manifest.split) == (name, "all")
    inventory = inventory_of(open_adapter(manifest))
    assert [record.path for record in inventory.records] == images
    assert inventory.missing == ()


def test_a_name_without_a_letter_to_use_is_a_name_all_the_same(media):
    (media / "фото").mkdir()
    assert load_manifest("фото").id == "photos"
    assert load_manifest(".").id == media.name


def test_the_id_of_a_manifest_and_a_yaml_file_come_before_a_path(media):
    (media / "demo_photos").mkdir()
    assert load_manifest("demo_photos").access.startswith("Comes with")
    assert load_manifest("./demo_photos").access.startswith("Named by its path")
    assert load_manifest(write(media)).id == "mine"


@pytest.mark.parametrize("path", ["gone", "gone.mp4", "notes.txt", "gone.yaml"])
def test_a_path_of_neither_is_refused(media, path):
    (media / "notes.txt").write_text("text")
    with pytest.raises(ValueError, match=r"There is no manifest .* or of a folder, photo, video or tar file"):
        load_manifest(path)


def test_a_file_of_another_kind_is_told_the_suffixes(media):
    (media / "clip.flv").write_bytes(b"")
    with pytest.raises(ValueError, match=r"clip\.flv is not by its suffix: expected one of \.3gp, \.avi, .*\.yaml"):
        load_manifest("clip.flv")
