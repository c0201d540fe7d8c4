"""Tracks on disk: a file each, a list beside them; mistakes are one sentence."""

import json
import logging

import pytest
from moving_people import moving_columns, write_moving
from typer.testing import CliRunner

from fitting.sparse_body import SparseBody
from flows.cli.app import app
from model.body.assets import load_open_body
from tasks.display import Lines
from tasks.export.formats import FORMATS, TrackFormat
from tasks.export.run import ExportRequest, export_labels


def failed(columns):
    """The columns with everybody failed."""
    count = len(columns["status"])
    return columns | {"status": ["failed"] * count, "error_code": ["keypoints_too_few"] * count}


UNSEEN = Lines(logging.getLogger("tests"))


@pytest.mark.parametrize("form", [name for name, own in FORMATS.items() if isinstance(own, TrackFormat)])
def test_every_track_has_a_file_and_an_entry(labels, ehm, tmp_path, form):
    (written,) = export_labels(labels, ehm, ExportRequest(form=form, out=tmp_path), UNSEEN)
    folder = tmp_path / form / "moving" / "all"
    assert written.folder == folder
    listed = json.loads((folder / "export.json").read_text())
    ending = FORMATS[form].ending
    names = [f"studio.track0{ending}", f"studio.track1{ending}", f"days/clip.mp4.track0{ending}"]
    assert [own["file"] for own in listed["files"]] == names
    assert all((folder / name).is_file() for name in names)
    assert listed["licence"] == "labels: CC0-1.0; body model: CC0-1.0"
    assert (listed["files"][2]["bridged"], listed["files"][2]["gaps"]) == ([[3, 4]], [[8, 10]])
    assert list(written.lines()) == [
        f"{folder}: 3 tracks, 22 frames",
        "  2 bridged: nobody was found there",
        "  3 in 1 gap without a label, straight from the one before to the next",
    ]


def test_files_of_tracks_that_are_gone_are_deleted_and_others_kept(ehm, tmp_path):
    body = SparseBody.from_assets(load_open_body())
    folder = tmp_path / "out" / "bvh" / "moving" / "all"
    for people, names in ((2, ["scene.track0.bvh", "scene.track1.bvh"]), (1, ["scene.track0.bvh"])):
        write_moving(tmp_path / "labels", [moving_columns(body, people=people, frames=2)], ehm.assets.entry)
        export_labels(tmp_path / "labels", ehm, ExportRequest(form="bvh", out=tmp_path / "out"), UNSEEN)
        (folder / "mine.bvh").touch()
        assert sorted(path.name for path in folder.glob("*.bvh")) == ["mine.bvh", *names]


def test_a_single_frame_is_no_motion_and_told(ehm, tmp_path):
    body = SparseBody.from_assets(load_open_body())
    groups = [moving_columns(body, group=name, frames=frames) for name, frames in (("a", 2), ("b", 1))]
    write_moving(tmp_path / "labels", groups, ehm.assets.entry)
    (written,) = export_labels(tmp_path / "labels", ehm, ExportRequest(form="bvh", out=tmp_path), UNSEEN)
    assert list(written.lines())[1:] == ["  1 track of one frame left out"]


def test_mistakes_are_one_sentence(labels, ehm, tmp_path):
    write_moving(empty := tmp_path / "empty", [failed(moving_columns(SparseBody.from_assets(ehm.assets)))],
                 ehm.assets.entry)  # fmt: skip

    def refused(form="bvh", datasets=(), body=ehm, folder=labels):
        with pytest.raises(ValueError) as error:
            export_labels(
                folder, body, ExportRequest(form=form, out=tmp_path / "out", datasets=tuple(datasets)), UNSEEN
            )
        assert not (tmp_path / "out").exists()
        return str(error.value)

    assert refused("fbx") == f"--to fbx: expected one of {', '.join(FORMATS)}"
    assert "no labels of the data set dance" in refused(datasets=["dance", "moving"])
    assert "has no tracks of two frames or more of any data set: amass is" in refused("amass", folder=tmp_path / "none")
    assert "has no people of any data set for bvh" in refused(folder=tmp_path / "none")
    assert "has no people of the data set moving for coco" in refused("coco-wholebody", ["moving"], folder=empty)
    other = {**ehm.assets.entry, "sha256": "0" * 64}
    write_moving(tmp_path / "others", [moving_columns(SparseBody.from_assets(ehm.assets), frames=2)], other)
    assert "is of the body model open_body_smplx (000000000000" in refused(folder=tmp_path / "others")
    strange = moving_columns(SparseBody.from_assets(ehm.assets), group="a\\b", frames=2)
    write_moving(tmp_path / "strange", [strange], ehm.assets.entry)
    assert "is not a plain path" in refused(folder=tmp_path / "strange")


def test_the_command_tells_what_it_wrote(labels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"annotate: {{datasets: [demo_clip], output: {{labels: '{labels}'}}}}\n")
    answer = CliRunner().invoke(app, ["export", "moving", "--to", "bvh"])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.splitlines()[0] == "exports/bvh/moving/all: 3 tracks, 22 frames"
    assert CliRunner().invoke(app, ["export", "--to", "fbx"]).exit_code == 2
