"""Frames of videos are annotated, looked at and learnt from as photos are."""

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from annotated_project import annotate, step_states
from manifests import write_manifest
from training_crops import training_crops
from video_files import write_video

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import read_footer, read_shard
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sources.images import decode_image
from model.estimators.base import EstimatorInfo, KeypointsOutput
from model.estimators.registry import register
from tasks.annotate.look.inspect import draw_sample, find_label
from tasks.annotate.settings import load_config
from tasks.annotate.workspace import Workspace

pytestmark = pytest.mark.long


def write_around(path, photo):
    """A video that loses nothing, whose frame 1 is a photo."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height = photo.shape[1], photo.shape[0]
        stream.pix_fmt = "bgr0"
        for rgb in (255 - photo, photo, photo // 2):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="bgr0")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def filmed(rendered, tmp_path_factory):
    """The rendered people of the project once more, each as a frame of a clip, annotated; the folder of the project."""
    photos = rendered.parent / "work/datasets/few"
    root = tmp_path_factory.mktemp("filmed")
    clips = root / "clips"
    (clips / "images").mkdir(parents=True)
    truth = read_shard(photos / "truth.parquet", LABEL_SCHEMA)
    names = truth["image"].to_pylist()
    for name in names:
        photo = decode_image((photos / name).read_bytes(), name=name)
        write_around((clips / name).with_suffix(".mkv"), photo)
    frames = [name.rpartition(".")[0] + ".mkv::000001" for name in names]
    column = truth.schema.get_field_index("image")
    truth = truth.set_column(column, truth.schema.field(column), pa.array(frames))
    write_shard(clips / "truth.parquet", truth, read_footer(photos / "truth.parquet"))
    params = root / "params.yaml"
    params.write_text(rendered.read_text() + f"  roots: {{few: {clips}}}\n")
    annotate(params)
    return root


def test_frames_get_the_labels_of_the_same_photos(rendered, filmed):
    annotate(rendered)
    for plain in (rendered.parent / "labels").rglob("*.parquet"):
        labels = pq.read_table(filmed / plain.relative_to(rendered.parent))
        assert labels.drop_columns("image").equals(pq.read_table(plain).drop_columns("image"))
        assert all(name.endswith(".mkv::000001") for name in labels["image"].to_pylist())


def test_training_sees_almost_the_same_crops(rendered, filmed):
    plain = training_crops(rendered.parent / "labels/few/all", rendered.parent / "work/datasets/few", "sample_id")
    from_frames = training_crops(filmed / "labels/few/all", filmed / "clips", "sample_id")
    assert plain.keys() == from_frames.keys()
    assert plain
    for name, crop in plain.items():  # A large JPEG is decoded smaller than it is; a frame is not.
        assert np.abs(np.asarray(from_frames[name], float) - np.asarray(crop, float)).mean() < 3


def test_a_frame_is_drawn_and_stands_on_the_report(filmed):
    config = load_config(filmed / "params.yaml", {})
    workspace = Workspace.of(config.output)
    row, shard = find_label(workspace, "few/all/images/000000#0")
    assert row["image"] == "images/000000.mkv::000001"
    picture = decode_image(draw_sample(row, shard, workspace, config), name="sample")
    assert picture.std() > 20
    assert (filmed / "reports/annotate/index.html").read_text().count("<img") > 0


@register("keypoints", "test_finds_nobody")
class Nobody:
    """Finds nobody, but says how bright a frame is."""

    info = EstimatorInfo(name="nobody", version="1")
    seen: list[tuple[str, float]] = []

    def estimate(self, image, boxes, annotated):
        self.seen.append((image.image_id, float(np.asarray(image.rgb)[:, 60:].mean())))
        return KeypointsOutput(
            boxes_xyxy=np.zeros((0, 4)), box_source=[], scores=np.zeros(0), keypoints=np.zeros((0, 133, 3)),
            sigma_px=np.zeros((0, 133)), part_valid=np.zeros((0, 4), bool), part_details=[], limb_details=[],
            valid=np.zeros(0, bool), reasons=[], evidence={},
        )  # fmt: skip


@pytest.fixture
def project(tmp_path):
    """Settings of a project with a folder of clips, one of them cut, one no video."""
    root = tmp_path / "clips"
    root.mkdir()
    write_video(root / "a.avi", 10)
    whole = write_video(root / "b.mkv", 20, "mp4v").read_bytes()
    (root / "b.mkv").write_bytes(whole[: len(whole) // 2])
    (root / "c.mp4").write_bytes(b"no video")
    write_video(root / "d.avi", 6)
    write_manifest(tmp_path / "clips.yaml", "clips", root, layout="{frames: {every: 2}}")
    params = tmp_path / "params.yaml"
    params.write_text(
        f"""
annotate:
  datasets: [{tmp_path / "clips.yaml"}]
  keypoints: {{backend: test_finds_nobody}}
  body: {{backend: simulated}}
  hands: {{backend: simulated}}
  face: {{backend: simulated}}
  run: {{images_per_shard: 5, workers: 1, retries: 0}}
"""
    )
    return params


def shards(project):
    """Of each shard the clip and number of its frames, and what is said of them."""
    paths = sorted((project.parent / "labels/clips/all").glob("*.parquet"))
    return [
        [(row["sample_id"].removeprefix("clips/all/"), row["error_code"]) for row in pq.read_table(path).to_pylist()]
        for path in paths
    ]


def rows(video, numbers, code="no_person_found"):
    return [(f"{video}::{number:06d}#0", code) for number in numbers]


def test_every_chosen_frame_has_a_row_in_the_order_of_its_clip(project):
    Nobody.seen.clear()
    annotate(project)
    found = [row for shard in shards(project) for row in shard]
    num_read = sum(row == (f"b.mkv::{2 * i:06d}#0", "no_person_found") for i, row in enumerate(found[5:15]))
    assert 2 < num_read < 8
    assert found == [
        *rows("a.avi", range(0, 10, 2)),
        *rows("b.mkv", range(0, 2 * num_read, 2)),
        *rows("b.mkv", range(2 * num_read, 20, 2), "video_truncated"),
        *rows("c.mp4", [0], "video_unreadable"),
        *rows("d.avi", range(0, 6, 2)),
    ]
    bright = {name: value for name, value in Nobody.seen if name.startswith("clips/all/a.avi")}
    assert list(bright.values()) == pytest.approx([24 * i for i in range(5)], abs=4)


def test_a_replaced_clip_does_its_own_frames_again(project):
    annotate(project)
    write_video(project.parent / "clips/d.avi", 6, "MPNG")
    with step_states() as states:
        annotate(project)
    done = {name for name, state in states.items() if name.startswith("keypoints") and state == "done"}
    assert done == {"keypoints/clips/all/00002"}


def test_two_paths_of_one_name_do_not_share_labels(project):
    for folder in ("first", "second"):
        (project.parent / folder).mkdir()
        write_video(project.parent / folder / "walk.avi", 2 if folder == "first" else 3)
    first, second = (str(project.parent / folder / "walk.avi") for folder in ("first", "second"))
    annotate(project, datasets=[first])
    annotate(project, datasets=[first])
    with pytest.raises(ValueError, match=r"walk/all was annotated from .*first/walk\.avi, not from .*second"):
        annotate(project, datasets=[second])
    (project.parent / "first").rename(project.parent / "moved")
    assert annotate(project, datasets=[str(project.parent / "moved/walk.avi")]).is_good
