"""Photos in a tar file are annotated, learnt from and predicted on as the same photos in a folder."""

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from annotated_project import annotate
from tar_files import write_tar

from datasets_manifest.shards.selection import select_labels
from datasets_manifest.sources.image_source import check_images
from datasets_manifest.sources.opening import open_images
from datasets_manifest.sources.video import FrameChoice
from model.regressor.augment import AugmentConfig
from model.regressor.config import RegressorConfig
from tasks.predict.inputs import decode_frames, find_sources
from tasks.training.regressor.dataset import LabelledPhotos, RegressorDataset


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


def crops(labels, photos):
    """Name of a photo -> the crop that a training sees, not augmented."""
    selection = select_labels(labels / "few/all", max_dropped_share=1.0)
    source = open_images(photos)
    check_images(selection.table["image"].unique().to_pylist(), source, labels=selection.path)
    people = LabelledPhotos(selection=selection, images=source)
    data = RegressorDataset([people], AugmentConfig.none(), RegressorConfig(crop_px=64, side_px=8), 0, shuffle=False)
    return {name: data[k].crop for k, name in enumerate(selection.table["image"].to_pylist())}


def test_training_gives_the_same_crops(rendered, in_tar):
    plain = crops(rendered.parent / "labels", rendered.parent / "work/datasets/few")
    packed = crops(in_tar / "labels", in_tar / "photos")
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
