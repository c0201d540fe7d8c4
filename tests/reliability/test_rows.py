"""One row a sample, always; and what is wrong with the machine is in no row."""

import csv
import random
from collections import Counter

import pandas as pd
import pytest
from annotated_project import annotate
from image_files import BAD, GOOD, SOURCES
from manifests import write_manifest
from stub_estimators import StubKeypoints, write_stub_params

from model.estimators.registry import register

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
PHOTOS = 1000
ENDINGS = (".jpg", ".png", ".webp", ".bmp", ".tif", ".JPEG")


def fuzzed(rng):
    """A photo, a broken one, or one with some bytes changed."""
    kind = rng.random()
    if kind < 0.2:
        return rng.choice(list(SOURCES.values()))
    if kind < 0.4:
        return rng.choice([data for data, *_ in (*BAD.values(), *GOOD.values())])
    data = bytearray(rng.choice(list(SOURCES.values())))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data[: rng.randint(1, len(data))] if kind > 0.9 else data)


def written(folder, number):
    """A folder of so many of them; returns settings that annotate them."""
    rng = random.Random(0)
    (folder / "photos").mkdir()
    for n in range(number):
        (folder / "photos" / f"{n:04d}{rng.choice(ENDINGS)}").write_bytes(fuzzed(rng))
    manifest = write_manifest(folder / "fuzzed.yaml", "fuzzed", folder / "photos")
    return write_stub_params(folder, images_per_shard=100), {"datasets": [str(manifest)]}


@pytest.mark.promise(
    10,
    "No sample is lost without a word, and no error of the machine is blamed on one",
    "1,000 fuzzed photos: with a label, or failed and told, 1,000 together; too large a share of failures fails the "
    "run; an error of CUDA, memory or an import makes no row",
)
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_fuzzed_photos_are_a_thousand_rows(tmp_path, measured):
    params, asked = written(tmp_path, PHOTOS)
    result = annotate(params, run__max_failed_share=0.01, **asked)
    labels = pd.read_parquet(tmp_path / "labels")
    with (tmp_path / "reports/annotate/failures.csv").open() as file:
        told = Counter(row["code"] for row in csv.DictReader(file))
    assert result.failed_parts == 0
    assert len(labels) == labels["sample_id"].nunique() == PHOTOS
    assert labels["image"].nunique() == PHOTOS
    failed = labels[labels["status"] == "failed"]
    assert failed["error_code"].notna().all()
    assert failed["error_detail"].str.len().min() > 10
    assert Counter(failed["error_code"]) == told
    assert not result.is_good
    assert "allowed are 1%" in result.sentence
    whole = PHOTOS - len(failed)
    codes = ", ".join(f"{count} {code}" for code, count in sorted(told.items()))
    measured(
        f"{PHOTOS} photos: {whole} with a label, {len(failed)} failed and told ({codes}); the run is not called good"
    )


@register("keypoints", "unlucky")
class UnluckyKeypoints(StubKeypoints):
    """Meets an error of the machine at a photo."""

    error: Exception

    def estimate(self, image, boxes=None, annotated=None):
        if image.image_id.rpartition("/")[2].startswith("0002"):
            raise self.error
        return super().estimate(image, boxes, annotated)


@pytest.mark.promise(10)
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory"),
        pytest.param(MemoryError(), marks=pytest.mark.long),
        pytest.param(ImportError("libcudnn.so.9: cannot open shared object file"), marks=pytest.mark.long),
        pytest.param(AssertionError("a bug"), marks=pytest.mark.long),
        OSError(5, "Input/output error"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_the_machine_is_the_shards_and_no_samples(tmp_path, monkeypatch, error, measured):
    monkeypatch.setattr(UnluckyKeypoints, "error", error, raising=False)
    (tmp_path / "photos").mkdir()
    for n in range(4):
        (tmp_path / "photos" / f"{n:04d}.jpg").write_bytes(SOURCES["jpeg"])
    manifest = write_manifest(tmp_path / "few.yaml", "few", tmp_path / "photos")
    params = write_stub_params(tmp_path, images_per_shard=2)
    params.write_text(params.read_text().replace("keypoints: {backend: stub}", "keypoints: {backend: unlucky}"))
    result = annotate(params, datasets=[str(manifest)])
    labels = pd.read_parquet(tmp_path / "labels")
    assert list(labels["image"]) == ["0000.jpg", "0001.jpg"]
    assert result.failed_shards == ("few/all/00001",)
    measured(f"{type(error).__name__}: its shard fails, 0 rows")
