"""Corrections of keypoints: the newest holds, one taken back is none, and none that was made is lost."""

import dataclasses
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datasets_manifest.corrections.kept import NONE, Corrections, read_corrections
from datasets_manifest.corrections.schema import CORRECTION_FORM, Correction, CorrectionSitting

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NOSE = Correction(
    sample_id="demo/train/a.jpg#0", keypoint=0, state="moved", x_px=10.5, y_px=20.25, was_x_px=9.0, was_y_px=18.0,
    was_score=0.5, bbox_xyxy=(0.0, 0.0, 40.0, 80.0), photo_sha256="ab", corrected_by="me", corrected_utc=START,
)  # fmt: skip


def change(**changes):
    return dataclasses.replace(NOSE, **changes)


def keep(folder, *said):
    sitting = CorrectionSitting(CORRECTION_FORM, folder, "demo", started_utc=START, code_version="1")
    sitting.add(*said)
    return sitting.path


UNUSABLE = {"state": "unusable", "x_px": None, "y_px": None}
BACK = {"state": "none", "x_px": None, "y_px": None}


def test_what_is_read_is_what_was_said(tmp_path):
    keep(tmp_path, NOSE, change(keypoint=132, **UNUSABLE), change(sample_id="demo/train/b#1"))
    found = read_corrections(tmp_path, "demo").of_sample
    assert found == {
        NOSE.sample_id: (NOSE, change(keypoint=132, **UNUSABLE)),
        "demo/train/b#1": (change(sample_id="demo/train/b#1"),),
    }


def test_the_newest_holds_whoever_said_it_and_one_taken_back_is_none(tmp_path):
    later = START + timedelta(seconds=1)
    keep(tmp_path, change(corrected_utc=later, x_px=1.0, corrected_by="b"), change(keypoint=5))
    keep(tmp_path, NOSE, change(keypoint=5, corrected_utc=later, **BACK))
    (only,) = read_corrections(tmp_path, "demo").of_sample[NOSE.sample_id]
    assert (only.keypoint, only.x_px, only.corrected_by) == (0, 1.0, "b")
    keep(tmp_path, change(corrected_utc=later + timedelta(seconds=1), **BACK))
    assert not read_corrections(tmp_path, "demo")


def test_a_digest_is_of_what_changes_labels_and_of_nothing_else():
    one = Corrections.of([NOSE, change(keypoint=5)])
    assert (
        Corrections.of([change(keypoint=5), change(corrected_by="b", note="why", was_score=None)]).digest == one.digest
    )
    assert not NONE.digest
    changes = ({"x_px": 11.0}, {"keypoint": 4}, {"photo_sha256": "cd"}, {"sample_id": "demo/train/a.jpg#1"}, UNUSABLE)
    digests = {Corrections.of([change(**own), change(keypoint=5)]).digest for own in changes}
    assert len(digests - {one.digest}) == len(changes)


def test_of_some_photos():
    both = Corrections.of([NOSE, change(sample_id="demo/train/a.jpg#1"), change(sample_id="demo/train/b.jpg#0")])
    assert list(both.in_photos({"demo/train/a.jpg"}).of_sample) == ["demo/train/a.jpg#0", "demo/train/a.jpg#1"]
    assert both.in_photos({"demo/train/a"}) is NONE


def test_a_data_set_that_was_never_corrected_has_none(tmp_path):
    assert read_corrections(tmp_path / "corrections", "demo") is NONE
    CorrectionSitting(CORRECTION_FORM, tmp_path, "demo", started_utc=START, code_version="1")
    assert not list(tmp_path.iterdir())


def test_a_data_set_is_no_path(tmp_path):
    with pytest.raises(ValueError, match="not a plain path"):
        read_corrections(tmp_path, "../demo")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"keypoint": 133}, "a keypoint is 0 to 132, not 133"),
        ({"keypoint": -1}, "a keypoint is 0 to 132, not -1"),
        ({"state": "gone"}, "a correction is moved, unusable, none, not 'gone'"),
        ({"x_px": float("nan")}, "needs a finite place in the photo"),
        ({"x_px": None}, "needs a finite place in the photo"),
        ({"state": "unusable"}, "and no other has one"),
        ({"corrected_utc": START.replace(tzinfo=None)}, "needs its time zone"),
    ],
)
def test_a_correction_that_is_none_is_refused(changes, sentence):
    with pytest.raises(ValueError, match=f"a.jpg#0: .*{sentence}"):
        change(**changes)


def test_what_is_no_file_of_corrections_is_refused_by_name(tmp_path):
    path = keep(tmp_path, NOSE)
    table = pq.read_table(path)
    for bad, sentence in (
        (table.replace_schema_metadata(None), "no file of corrections of version 1"),
        (table.set_column(1, table.schema.field(1), pa.array([133], pa.int16())), "has the keypoint '133', expected 0"),
        (table.set_column(2, table.schema.field(2), pa.array(["gone"])), "has the state 'gone', expected moved"),
    ):
        pq.write_table(bad, path)
        with pytest.raises(ValueError, match=rf"corrections: .*{path.name}.*{sentence}"):
            read_corrections(tmp_path, "demo")
    path.write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read"):
        read_corrections(tmp_path, "demo")


SITTING = """
import sys
sys.path.insert(0, sys.argv[2])
from test_corrections import change, CORRECTION_FORM, CorrectionSitting, START

sitting = CorrectionSitting(CORRECTION_FORM, sys.argv[1], "demo", started_utc=START, code_version="1")
for n in range(10_000):
    sitting.add(change(sample_id=f"demo/train/{n:05d}#0"))
    print(n, flush=True)
"""


def test_a_killed_sitting_loses_no_correction_that_was_kept(tmp_path):
    command = [sys.executable, "-c", SITTING, str(tmp_path), os.path.dirname(__file__)]
    sitting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert sitting.stdout is not None
    for _ in range(20):
        sitting.stdout.readline()
    os.kill(sitting.pid, signal.SIGKILL)
    kept = 20 + len(sitting.stdout.read().splitlines())
    sitting.wait()
    found = list(read_corrections(tmp_path, "demo").of_sample)
    assert found[:kept] == [f"demo/train/{n:05d}#0" for n in range(kept)]
