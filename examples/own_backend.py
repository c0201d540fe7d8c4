"""Annotates with a hand estimator of our own: python examples/own_backend.py [folder]. Some 10 seconds.

The estimator says that every hand is open. It reads no pixel; a network would, from `batch.images` and its keypoints.
Two rendered people stand in for photos, and their known truth for the other estimators.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from flows.cli.app import app
from model.estimators import EstimatorInfo, HandsOutput, PersonBatch, register

MANIFEST = """
id: two_people
version: "1"
licence: rendered from the open body (CC0)
access: rendered on first use
adapter: synthetic
root: work/two_people
split: all
layout: {count: 2, seed: 1}
boxes: manifest
keypoints: coco_wholebody
purpose: example
"""
PARAMS = """
annotate:
  keypoints: {backend: simulated}
  body: {backend: simulated}
  hands: {backend: open_hands}
  face: {backend: simulated}
"""


@register("hands", "open_hands")
class OpenHands:
    """One row a person, left and right hand."""

    info = EstimatorInfo(name="open_hands", version="1", licence="CC0")

    def estimate(self, batch: PersonBatch) -> HandsOutput:
        num, flat = len(batch), np.eye(3, dtype=np.float32)
        return HandsOutput(
            valid=np.ones((num, 2), bool),
            score=np.ones((num, 2), np.float32),
            hand_pose=np.broadcast_to(flat, (num, 2, 15, 3, 3)),
            wrist_orient=np.broadcast_to(flat, (num, 2, 3, 3)),
            sigma_rad=np.full((num, 2), 0.3, np.float32),
            reasons=[(None, None)] * num,
        )


folder = Path(sys.argv[1] if len(sys.argv) > 1 else "work/own_backend")
folder.mkdir(parents=True, exist_ok=True)
(folder / "two_people.yaml").write_text(MANIFEST)
(folder / "params.yaml").write_text(PARAMS)
command = ["annotate", str(folder / "two_people.yaml"), "--params", str(folder / "params.yaml"), "--local"]
app(command, standalone_mode=False)

labels = pd.read_parquet(folder / "labels")
print(labels[["sample_id", "status", "left_hand_valid", "right_hand_valid", "reproj_left_hand_px"]].to_string())
