"""Photos are decoded once a shard, however many steps read them."""

from collections import Counter

import pyarrow.parquet as pq
import pytest
from annotated_project import PEOPLE, annotate, own_results

import flows.run.orchestrate
import tasks.annotate.steps.parts
from datasets_manifest.sources import decoded as decoded_photos

pytestmark = pytest.mark.long


def test_the_steps_of_a_shard_share_its_decoded_photos(rendered, tmp_path, monkeypatch):
    decoded = Counter()

    def decode(data, name, whole=decoded_photos.decode_image):
        decoded[name] += 1
        return whole(data, name=name)

    def publish(*arguments, whole=flows.run.orchestrate.publish):
        counts.update(decoded)  # The report decodes again, later.
        return whole(*arguments)

    counts = Counter()
    room_for_two = 2 * 640 * 512 * 3 / 2**20
    monkeypatch.setattr(decoded_photos, "decode_image", decode)
    monkeypatch.setattr(flows.run.orchestrate, "publish", publish)
    places = own_results(rendered, tmp_path)
    result = annotate(rendered, **places, run__images_per_shard=1, run__workers=1, run__photo_cache_mb=room_for_two)
    assert not result.failed_parts, result.sentence
    assert len(counts) == PEOPLE
    assert set(counts.values()) == {1}


def test_photos_one_by_one_give_the_same_files(rendered, tmp_path, monkeypatch):
    sizes = []

    def batch(people, rows, images, *arguments, whole=tasks.annotate.steps.parts._batch):
        sizes.append(len(images))
        return whole(people, rows, images, *arguments)

    monkeypatch.setattr(tasks.annotate.steps.parts, "_batch", batch)
    places = own_results(rendered, tmp_path)
    assert not annotate(rendered, **places, run__photo_chunk_mb=1e-6).failed_parts
    assert sizes == [1] * PEOPLE * 3, "body, hands and face"
    made = sorted((tmp_path / "work/parts").rglob("*.parquet"))
    assert len(made) == 4 * PEOPLE // 2
    for path in made:
        at_once = rendered.parent / "work" / path.relative_to(tmp_path / "work")
        assert pq.read_table(path).equals(pq.read_table(at_once)), path.name
