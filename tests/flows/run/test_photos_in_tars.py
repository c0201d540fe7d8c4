"""Photos in a tar file are annotated, learnt from and predicted on as the same photos in a folder."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from annotated_project import annotate
from tar_files import write_tar
from training_crops import training_crops

from datasets_manifest.sources.frame_choice import FrameChoice
from tasks.predict.inputs import decode_frames, find_sources

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def in_tar(rendered, tmp_path_factory):
    """The rendered people of the project once more, their photos in two tar files, annotated."""
    folder = rendered.parent / "work/datasets/few"
    root = tmp_path_factory.mktemp("tars")
    photos = root / "photos"
    photos.mkdir()
    shutil.copy(folder / "truth.parquet", photos)
    images = sorted(path.relative_to(folder).as_posix() for path in folder.glob("images/*"))
    for k in range(2):
        write_tar(photos / f"shard-{k:02d}.tar", [(image, (folder / image).read_bytes()) for image in images[k::2]])
    params = root / "params.yaml"
    params.write_text(rendered.read_text() + f"  roots: {{few: {photos}}}\n")
    annotate(params)
    return root


def test_annotation_gives_the_same_labels(rendered, in_tar):
    annotate(rendered)
    for plain in (rendered.parent / "labels").rglob("*.parquet"):
        packed = in_tar / plain.relative_to(rendered.parent)
        assert pq.read_table(packed).equals(pq.read_table(plain))


def test_training_gives_the_same_crops(rendered, in_tar):
    plain = training_crops(rendered.parent / "labels/few/all", rendered.parent / "work/datasets/few", "image")
    packed = training_crops(in_tar / "labels/few/all", in_tar / "photos", "image")
    assert plain.keys() == packed.keys()
    for name, crop in plain.items():
        np.testing.assert_array_equal(np.asarray(packed[name]), np.asarray(crop))


def pixels(folder):
    """Name of a photo -> what a prediction sees."""
    frames = [frame for source in find_sources([str(folder)]) for frame in decode_frames(source, FrameChoice())]
    return {frame.name.rpartition("/")[2]: frame for frame in frames}


def test_prediction_reads_the_same_pixels(rendered, in_tar):
    plain, packed = pixels(rendered.parent / "work/datasets/few/images"), pixels(in_tar / "photos")
    assert plain.keys() == packed.keys()
    for name, frame in plain.items():
        np.testing.assert_array_equal(packed[name].rgb, frame.rgb)
        archive, _, member = packed[name].source.name.partition("::")
        assert packed[name].label.endswith(f"{archive.rpartition('/')[2]}/{member.rpartition('.')[0]}")
