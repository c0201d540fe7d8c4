"""Labels and photos of a training at addresses in a store are selected and read as those in folders."""

from pathlib import Path

import pytest
from labelled_photos import labelled_photos
from local_s3 import bucket  # noqa: F401 (a fixture)

from datasets_manifest.placed_settings import with_places
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from datasets_manifest.settings import read_settings
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet
from datasets_manifest.shards.snapshot import read_snapshot
from datasets_manifest.stores import place_of, put
from tasks.training.labelled_photos import open_labelled, read_labelled, write_labelled

BODY = {"name": "b", "sha256": "0"}


def opened(path, images):
    entry = with_places(
        read_settings(LabelSet, {"path": str(path), "images": str(images)}, "test"), LabelSet, Path("/")
    )
    return open_labelled(entry, LabelFilter(), max_dropped_share=0.0, body_model=BODY, size=DEFAULT_SIZE)


@pytest.mark.parametrize("folder", ["", "/a/b"])  # Labels may lie in a bucket itself.
def test_a_training_reads_from_a_store(tmp_path, bucket, folder):  # noqa: F811
    here = labelled_photos(tmp_path)
    labels, photos = place_of(bucket + folder), place_of(f"{bucket}/photos of {len(folder)}")
    for path in (tmp_path / "labels/small").rglob("*.parquet"):
        put(labels / str(path.relative_to(tmp_path / "labels/small")), path.read_bytes())
    for path in (tmp_path / "photos").iterdir():
        put(photos / path.name, path.read_bytes())
    if folder:
        (put(labels / ".hidden/x.parquet", b""), put(labels / "train/notes.txt", b""))
    there = opened(labels, photos)
    assert there.selection.table.equals(here.selection.table)
    assert there.selection.snapshot_hash == here.selection.snapshot_hash
    assert there.images.read("000.jpg") == here.images.read("000.jpg")
    request = write_labelled(tmp_path / "selection.arrow", [there], [])
    ((again,), _) = read_labelled(tmp_path / "selection.arrow", request)
    assert str(again.selection.path) == str(labels)
    assert again.images.read("001.jpg") == here.images.read("001.jpg")
    (photos / "003.jpg").unlink()
    with pytest.raises(ValueError, match=r"1 of 6 photos .* are not in s3://.*, such as 003.jpg"):
        opened(labels, photos)
    assert read_snapshot(labels).num_shards == 1


def test_what_is_not_there_is_said(tmp_path, bucket):  # noqa: F811
    labelled_photos(tmp_path)
    with pytest.raises(ValueError, match=f"There is no shard below {bucket}/none"):
        opened(f"{bucket}/none", tmp_path / "photos")
    with pytest.raises(ValueError, match="see that the bucket is there"):
        opened("s3://no-such-bucket/none", tmp_path / "photos")
    with pytest.raises(ValueError, match=f"6 of 6 photos .* are not in {bucket}/none"):
        opened(tmp_path / "labels/small", f"{bucket}/none")
