"""What pixels changed in a finished annotation of rendered people, against the truth: before and after, in pairs.

    python -m benchmarks.pixel_labels work/quality/77   those of `benchmarks.quality`, annotated again with pixels
    python -m benchmarks.pixel_labels pixels            the demo's, annotated with `params.pixels.yaml`

The folder holds `labels` and `work`. What a changed part was before is in the labels themselves. People count who are
alone in their photo, for whom the truth is certain.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import roma
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.pixels import COLUMNS, paired_row
from benchmarks.table import Row, markdown
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.evidence import unpack_arrays
from datasets_manifest.schema.labels import LABEL_SCHEMA, PIXEL_PARTS, label_schema
from datasets_manifest.shards.shard import read_shard
from model.rotations import rotvec_to_rotmat
from tasks.synthetic.render import TRUTH_FILE

ERRORS = {
    "head": {
        "jaw deg": "jaw_pose",
        "expression": "flame_expression",
        "eyelids": "eyelids",
        "head scale %": "head_scale",
    },
    "left_hand": {"left fingers deg": "left_hand_pose"},
    "right_hand": {"right fingers deg": "right_hand_pose"},
}
"""Part -> error -> the parameter that it is of."""


def error_of(parameter: str, found: NDArray[np.float32], truth: NDArray[np.float32]) -> Tensor:
    """Errors (N,): degrees of a rotation, % of a scale, else of the coefficients; means over joints and numbers."""
    own, true = (torch.from_numpy(np.asarray(values, np.float64)) for values in (found, truth))
    if parameter.endswith("_pose"):
        first, second = (rotvec_to_rotmat(pose.reshape(len(pose), -1, 3)) for pose in (own, true))
        return torch.rad2deg(roma.rotmat_geodesic_distance(first, second)).mean(1)
    if parameter == "head_scale":
        return 100 * (own / true).log().abs().mean(1)
    return (own - true).abs().mean(1)


def rows_of(folder: Path, dataset: str) -> list[Row]:
    """A row an error of the changed parts of a data set, whose labels and truth lie in a folder."""
    schema = label_schema(by_pixels=True)
    shards = sorted((folder / "labels" / dataset).rglob("*.parquet"))
    table = pa.concat_tables([read_shard(path, schema) for path in shards])
    labels = Columns(table)
    truth = Columns(read_shard(folder / "work/datasets" / dataset / TRUTH_FILE, LABEL_SCHEMA))
    row_of = {image: row for row, image in enumerate(truth["image"])}
    images = Counter(labels["image"])
    alone = np.array([images[image] == 1 and image in row_of for image in labels["image"]])
    before = unpack_arrays(table, "before_pixels")
    rows = []
    for part, errors in ERRORS.items():
        changed = alone & np.isfinite(labels["photometric_gain"][:, PIXEL_PARTS.index(part)])
        true_rows = [row_of[image] for image in labels["image"][changed]]
        for name, parameter in errors.items() if changed.any() else ():
            now = labels[parameter][changed]
            was = now  # It is kept only where it was changed.
            if parameter in before:
                kept = before[parameter][changed].reshape(now.shape)
                was = np.where(np.isfinite(kept), kept, now)
            true = truth[parameter][true_rows]
            rows.append(paired_row(dataset, name, error_of(parameter, was, true), error_of(parameter, now, true)))
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Prints a table of all rendered data sets of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where labels and work lie")
    folder = parser.parse_args(arguments).folder
    names = [path.name for path in sorted((folder / "labels").iterdir())]
    rendered = [name for name in names if (folder / "work/datasets" / name / TRUTH_FILE).is_file()]
    print(markdown([row for name in rendered for row in rows_of(folder, name)], COLUMNS))


if __name__ == "__main__":
    main()
