"""Many made-up labels for the viewer: people who can be posed, of every status, with every column stated.

python -m benchmarks.view_people FOLDER --people 1000000
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from benchmarks.label_sets import people_columns
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.store import shard_path, write_shard
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from tasks.view.kinds import LABELS

NUM_SETS = 8
SPLITS = ("train", "val")
REASONS = ("estimator_refused", "part_untrusted", "reprojection_too_large")
FAILURES = ("image_corrupt", "keypoints_too_few", "fit_not_finite")
DISTINCT = 500
"""People of other poses; the others are these again, under other names and with other figures."""


def write_people(folder: Path, people: int, shard_people: int = 1000) -> None:
    """Shards of people of eight data sets: two of three with every part trusted, one of twenty failed."""
    assets = load_open_body()
    with torch.inference_mode():
        base = people_columns(min(people, DISTINCT), moved=False, body=KeypointBody(assets))
    whole = table_from_columns(
        base
        | {"sample_id": [f"x/x/{k}#0" for k in range(min(people, DISTINCT))], "image": ["x"] * len(base["person"])},
        LABEL_SCHEMA,
    )
    for shard, first in enumerate(range(0, people, shard_people)):
        rng = np.random.default_rng(shard)
        count = min(shard_people, people - first)
        dataset, split = f"set_{shard % NUM_SETS}", SPLITS[shard // NUM_SETS % 10 == 9]
        table = whole.take(pa.array(rng.integers(0, whole.num_rows, count), pa.int64()))
        images = [f"{shard:05d}/{k // 2:06d}.jpg" for k in range(count)]
        state = rng.choice(3, count, p=[0.65, 0.3, 0.05])
        reasons = [[None, *REASONS][(k == 1) * (1 + n % 3)] if k < 2 else FAILURES[n % 3] for n, k in enumerate(state)]
        values = {
            "sample_id": [f"{dataset}/{split}/{image}#{k % 2}" for k, image in enumerate(images)],
            "dataset": [dataset] * count,
            "split": [split] * count,
            "image": images,
            "status": [("ok", "partial", "failed")[k] for k in state],
            "error_code": reasons,
            "error_detail": [None if reason is None else f"made up: {reason}" for reason in reasons],
        }
        for part in PART_NAMES:
            values[f"{part}_valid"] = (state == 0) | ((state == 1) & (rng.random(count) < 0.5))
        for name in LABELS.numbers:
            values[name] = pa.array(rng.random(count, np.float32), mask=(state == 2) | (rng.random(count) < 0.1))
        for name, own in values.items():
            place = table.schema.get_field_index(name)
            field = table.schema.field(place)
            column = own if isinstance(own, pa.Array) else pa.array(own)
            table = table.set_column(place, field, column.cast(pa.string()).dictionary_encode().cast(field.type)
                                     if pa.types.is_dictionary(field.type) else column.cast(field.type))  # fmt: skip
        footer = Footer(
            config={"step": "benchmark"}, code_version="0", manifest={"id": dataset, "licence": "CC0-1.0"},
            shard=f"{shard:05d}", body_model=dict(assets.entry),
        )  # fmt: skip
        write_shard(shard_path(folder, dataset, split, shard), table, footer)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--shard-people", type=int, default=1000)
    options = parser.parse_args(arguments)
    write_people(options.folder, options.people, options.shard_people)


if __name__ == "__main__":
    main()
