"""Corrected keypoints in annotations: obeyed again and again, taken back without a trace, and of nobody else."""

import dataclasses
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from annotated_project import annotate, step_states
from small_pages import small_pages

from datasets_manifest.corrections.kept import Corrections
from datasets_manifest.corrections.schema import CORRECTION_FORM, Correction, CorrectionSitting
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.shards.shard import Shard, read_footer
from datasets_manifest.sources.images import ImageError
from tasks.annotate.look.corrections import correction_lines, correction_states
from tasks.annotate.settings import Origin
from tasks.annotate.steps.corrected import obey, photo_sha256
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.refine import refine_labels
from tasks.annotate.steps.refit import found_keypoints, refit
from tasks.annotate.steps.step import run_step
from tasks.annotate.workspace import ShardRef, Workspace
from tasks.report.provenance import Provenance

PARAMETERS = ("body_pose", "left_hand_pose", "transl_m", "betas", "keypoints_2d")
LEFT_WRIST, RIGHT_KNEE = 9, 14
SHARD, OTHER = (ShardRef(dataset="few", split="all", index=index) for index in (0, 1))


class Project:
    """Four people in two shards, of whom the first is corrected."""

    def __init__(self, rendered, folder):
        shutil.copytree(rendered.parent / "work", folder / "work")
        shutil.copytree(rendered.parent / "labels", folder / "labels")
        places = {
            f"output.{name}": str(folder / name) for name in ("work", "labels", "corrections", "report", "metrics")
        }
        self.origin = Origin.of(rendered, places)
        self.config, self.folder = self.origin.config(), folder
        self.workspace = Workspace.of(self.config.output)

    def job(self, shard=SHARD, keep_in=None):
        return ShardJob(shard, self.workspace, self.config, keep_in)

    def refine(self, shard=SHARD, keep_in=None):
        return run_step("refine", self.job(shard, keep_in), refine_labels).state

    @property
    def person(self):
        return str(self.job().columns("keypoints")["sample_id"][0])

    def labels(self):
        return {path.name: path.read_bytes() for path in sorted(self.workspace.labels.rglob("*.parquet"))}

    def columns(self):
        with Shard(self.workspace.step_path("refine", SHARD)) as shard:
            return shard.columns(LABEL_SCHEMA)

    def stated(self, shard=SHARD):
        return read_footer(self.workspace.step_path("refine", shard)).manifest.get("corrections")

    def correction(self, keypoint=RIGHT_KNEE, by_px=(12.0, -9.0), **changes):
        found = found_keypoints(self.job(), self.person)
        x, y, score = (float(value) for value in found["keypoints_2d"][0, keypoint])
        said = Correction(
            sample_id=self.person, keypoint=keypoint, state="moved", x_px=x + by_px[0], y_px=y + by_px[1], was_x_px=x,
            was_y_px=y, was_score=score, bbox_xyxy=tuple(found["bbox_xyxy"][0].tolist()),
            photo_sha256=photo_sha256(str(found["image"][0]), self.job().photos().source), corrected_by="me",
            corrected_utc=datetime.now(UTC),
        )  # fmt: skip
        return dataclasses.replace(said, **changes)

    def keep(self, *said):
        folder, now = self.config.output.corrections, datetime.now(UTC)
        CorrectionSitting(CORRECTION_FORM, folder, "few", started_utc=now, code_version="1").add(*said)

    def told(self):
        return list(correction_lines(correction_states(self.workspace, self.config), self.workspace, self.origin))


@pytest.fixture
def project(rendered, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    project = Project(rendered, tmp_path)
    for shard in (SHARD, OTHER):
        assert project.refine(shard, tmp_path / "before") == "done"  # with the time that the environment states
    return project


def test_a_correction_is_obeyed_by_its_shard_alone_and_leaves_no_trace_when_it_is_taken_back(project):
    before, rows = project.labels(), project.columns()
    said = project.correction()
    tried = Columns(refit(project.job(), project.person, [said]))
    assert project.labels() == before
    project.keep(said)
    assert project.told()[0].startswith(
        "few/all corrections: 0 corrected keypoints of 0 people obeyed; 1 shard to be refined again (`pear annotate "
    )
    assert (project.refine(), project.refine(OTHER), project.refine()) == ("done", "skipped", "skipped")
    after, labels = project.labels(), project.columns()
    assert after["00001.parquet"] == before["00001.parquet"]
    assert project.stated() == {"people": 1, "keypoints": 1, "stale": 0}
    assert project.stated(OTHER) is None
    assert project.told() == ["few/all corrections: 1 corrected keypoint of 1 people obeyed"]
    np.testing.assert_allclose(labels["keypoints_2d"][0, RIGHT_KNEE, :2], [said.x_px, said.y_px])
    assert np.abs(labels["body_pose"][0] - rows["body_pose"][0]).max() > 1e-3
    for name in PARAMETERS:
        np.testing.assert_allclose(tried[name][0], labels[name][0], atol=1e-4)
        np.testing.assert_allclose(labels[name][1:], rows[name][1:], atol=1e-5)
    project.keep(project.correction(state="none", x_px=None, y_px=None))
    assert project.refine() == "done"
    assert project.labels() == before
    assert project.told() == []


def test_an_unusable_keypoint_is_as_if_nobody_had_seen_it(project):
    project.keep(project.correction(LEFT_WRIST, state="unusable", x_px=None, y_px=None))
    project.refine()
    np.testing.assert_array_equal(project.columns()["keypoints_2d"][0, LEFT_WRIST], 0)
    assert project.job().corrected_keypoints["sigma_px"][0, LEFT_WRIST] == np.inf


def test_what_is_about_another_person_or_photo_is_counted_and_not_obeyed(project):
    before = project.columns()
    project.keep(
        project.correction(LEFT_WRIST, bbox_xyxy=(0.0, 0.0, 1.0, 1.0)),
        project.correction(RIGHT_KNEE, photo_sha256="of another photo"),
        project.correction(0, sample_id=project.person.replace("#0", "#7")),
    )
    project.refine()
    assert project.stated() == {"people": 0, "keypoints": 0, "stale": 3}
    assert project.told() == ["few/all corrections: 0 corrected keypoints of 0 people obeyed, 3 stale"]
    for name in PARAMETERS:
        np.testing.assert_array_equal(project.columns()[name], before[name])


class PhotosRead:
    """Photos of four bytes each, and how often they are read."""

    def __init__(self):
        self.read_of = []

    def read(self, image):
        self.read_of.append(image)
        return image.encode()[:4]


def in_one_photo(*boxes, numbers):
    """Keypoints of people with boxes (4,) in one photo, numbered as said."""
    keypoints = np.ones((len(boxes), 133, 3))
    return Columns(
        table_from_columns(
            {
                "sample_id": [f"few/all/a.jpg#{n}" for n in numbers], "dataset": ["few"] * len(boxes),
                "split": ["all"] * len(boxes), "image": ["a.jpg"] * len(boxes), "person": list(numbers),
                "status": ["ok"] * len(boxes), "bbox_xyxy": np.array(boxes, float), "keypoints_2d": keypoints,
                "sigma_px": keypoints[..., 0],
            },
            PART_SCHEMAS["keypoints"],
        )
    )  # fmt: skip


def test_of_people_who_overlap_each_keeps_their_own_corrections_however_they_are_numbered():
    left, right = (100.0, 50.0, 300.0, 550.0), (160.0, 50.0, 360.0, 550.0)  # an intersection over union of 0.54
    photos = PhotosRead()
    corrections = Corrections.of(
        Correction(
            sample_id=f"few/all/a.jpg#{n}", keypoint=keypoint, state="moved", x_px=7.0, y_px=8.0, was_x_px=1.0,
            was_y_px=1.0, was_score=1.0, bbox_xyxy=box, photo_sha256=photo_sha256("a.jpg", PhotosRead()),
            corrected_by="me", corrected_utc=datetime.now(UTC),
        )
        for n, box in enumerate((left, right))
        for keypoint in (0, 1)
    )  # fmt: skip
    people, count = obey(in_one_photo(left, right, numbers=(0, 1)), corrections, photos)
    assert (count.people, count.keypoints, count.stale) == (2, 4, 0)
    assert (people["keypoints_2d"][:, :2, 0] == 7).all()
    assert photos.read_of == ["a.jpg"]
    swapped = in_one_photo(left, right, numbers=(1, 0))
    people, count = obey(swapped, corrections, photos)
    assert (count.people, count.keypoints, count.stale) == (0, 0, 4)
    assert people is swapped


def test_a_photo_that_vanished_ends_the_shard_and_blames_nobody(project, monkeypatch):
    project.keep(project.correction())
    gone = ImageError(ErrorCode.IMAGE_MISSING, "it is not there")
    monkeypatch.setattr(
        "datasets_manifest.sources.folder_source.FolderSource.read", lambda *_: (_ for _ in ()).throw(gone)
    )
    with pytest.raises(RuntimeError, match="it is not there; the photo was readable when its keypoints were made"):
        project.refine()


def test_refit_says_who_cannot_be_corrected(project):
    with pytest.raises(ValueError, match="nobody#0 is not among the people of few/all/00000"):
        refit(project.job(), "few/all/nobody#0", [])


def test_a_refit_without_corrections_is_the_label(project):
    row = Columns(refit(project.job(), project.person, []))
    for name in PARAMETERS:
        np.testing.assert_allclose(row[name][0], project.columns()[name][0], atol=1e-4)


def test_the_report_counts_them(project):
    project.keep(project.correction(), project.correction(LEFT_WRIST, photo_sha256="of another photo"))
    project.refine()
    provenance = Provenance()
    for shard in (SHARD, OTHER):
        provenance.add(read_footer(project.workspace.step_path("refine", shard)))
    assert provenance.corrections == {"people": 1, "keypoints": 1, "stale": 1}
    assert len(provenance.manifests) == 1


@pytest.mark.long
def test_a_run_does_the_corrected_shards_again_and_a_run_from_the_beginning_obeys_them_too(project):
    def run():
        with small_pages(), step_states() as states:
            assert annotate(project.origin.params, **project.origin.overrides).is_good
        return {name for name, state in states.items() if state == "done"}

    assert run() == set()
    project.keep(project.correction(), project.correction(LEFT_WRIST, state="unusable", x_px=None, y_px=None))
    assert run() == {"refine/few/all/00000"}
    assert run() == set()
    after = project.labels()
    page = (project.folder / "report/index.html").read_text()
    assert "<dt>Corrected by hand</dt><dd>2 keypoints of 1 people</dd>" in page
    shutil.rmtree(project.workspace.work / "parts")
    shutil.rmtree(project.workspace.labels)
    run()
    assert project.labels() == after
