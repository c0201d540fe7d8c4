"""Reads labels with pandas alone, no code of this project: python examples/read_labels.py [labels]. A second.

Run `make demo` first, or name another folder of labels.
"""

import json
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

folder = sys.argv[1] if len(sys.argv) > 1 else "labels"
labels = pd.read_parquet(folder)  # one row a person, also one who failed
print(labels.groupby(["dataset", "status"]).size().to_string(), "\n")

failed = labels[labels.status == "failed"]
print(failed[["sample_id", "error_code", "error_detail"]].head(3).to_string(), "\n")

good = labels[labels.body_valid].sort_values("body_quality", ascending=False)
pose = np.stack(good.body_pose.to_list()).reshape(-1, 21, 3)  # axis-angle, radians, SMPL-X joint order
knees_deg = np.degrees(np.linalg.norm(pose[0, 3:5], axis=1))
print(f"{len(good)} bodies; the knees of the best one bend by {knees_deg.round()} degrees")

# What a column means, and how its file was made, stands in the file itself.
shard = pq.ParquetFile(next(iter(pq.ParquetDataset(folder).files)))
field = shard.schema_arrow.field("body_pose")
print("body_pose:", {key.decode(): value.decode() for key, value in field.metadata.items()})
footer = {key.decode(): value.decode() for key, value in shard.metadata.metadata.items()}
print("body model:", json.loads(footer["body_model"])["name"], "- schema", footer["schema_version"])
