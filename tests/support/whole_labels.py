"""Labels of made-up people with every column stated, as shards."""

from label_shards import footer
from table_rows import table_from_rows

from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.selection_columns import QUALITIES
from datasets_manifest.shards.store import shard_path, write_shard

LISTS = {
    field.name: tuple(int(n) for n in field.metadata[b"shape"].decode().split("x"))
    for field in LABEL_SCHEMA
    if b"shape" in field.metadata
}


def person(number, rng, split="train", dataset="demo", lists=LISTS, **changes):
    """A row with every column stated."""
    row = {
        "sample_id": f"{dataset}/{split}/{number}.jpg#0",
        "dataset": dataset,
        "split": split,
        "image": f"{number}.jpg",
        "image_width": 100,
        "image_height": 80,
        "person": 0,
        "status": "ok",
        "focal_px": 500.0,
        **dict.fromkeys(QUALITIES, 0.5),
        **dict.fromkeys(("eyes_valid", "eyelids_valid"), True),
        **{f"{part}_valid": True for part in PART_NAMES},
        **{name: rng.normal(size=shape) for name, shape in lists.items()},
        "bbox_xyxy": [10.0, 10.0, 40.0, 70.0],
        "joint_seen": rng.random(22) < 0.5,
        "body_group_valid": rng.random(6) < 0.5,
    }
    return row | changes


def failed(number, rng, **changes):
    row = person(number, rng, status="failed", error_code="fit_not_finite", **changes)
    flags = {f"{part}_valid": False for part in PART_NAMES}
    return {k: v for k, v in row.items() if k not in LISTS and k not in QUALITIES} | flags


def write(folder, rows, shard=0, schema=LABEL_SCHEMA, **changes):
    name, split = rows[0]["dataset"], rows[0]["split"]
    write_shard(shard_path(folder, name, split, shard), table_from_rows(rows, schema), footer(**changes))
