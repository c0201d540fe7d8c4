"""Trains a small network on labels of one's own: python examples/train_on_labels.py [folder]. Some 20 seconds.

Any labels will do, whoever made them: `path` is a folder of label files, `images` where their photos lie. Here rendered
people stand in for photos, and their known truth for the estimators. A few steps teach nothing; they show the way.
"""

import json
import sys
from pathlib import Path

from flows.cli.app import app

MANIFEST = """
id: {name}
version: "1"
licence: rendered from the open body (CC0)
access: rendered on first use
adapter: synthetic
root: unused
split: {split}
layout: {{count: {count}, seed: {seed}}}
boxes: manifest
keypoints: coco_wholebody
purpose: example
"""
ANNOTATION = """
annotate:
  keypoints: {backend: simulated}
  body: {backend: simulated}
  hands: {backend: simulated}
  face: {backend: simulated}
"""
TRAINING = """
train:
  datasets: [{path: labels/mine/train, images: work/datasets/mine}]
  validation: [{path: labels/other/val, images: work/datasets/other}]
  network:
    backbone: {size: "", width: 64, depth: 2, heads: 2, stem: convolutions}
    decoder: {width: 64, depth: 1, heads: 2, hidden: 128}
    crop_px: 128
    side_px: 16
  optimiser: {lr: 1.0e-3, warmup_steps: 2}
  steps: 8
  run: {batch_size: 4, device: cpu, loader_workers: 0}
  every: {log: 2, checkpoint: 4, evaluate: 8, pictures: 8}
"""

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "work/train_on_labels")
folder.mkdir(parents=True, exist_ok=True)
(folder / "mine.yaml").write_text(MANIFEST.format(name="mine", split="train", count=6, seed=1))
(folder / "other.yaml").write_text(MANIFEST.format(name="other", split="val", count=2, seed=2))
(folder / "params.yaml").write_text(ANNOTATION)
(folder / "params.train.yaml").write_text(TRAINING)

manifests = [str(folder / "mine.yaml"), str(folder / "other.yaml")]
app(["annotate", *manifests, "--params", str(folder / "params.yaml"), "--local"], standalone_mode=False)
app(["train", "--params", str(folder / "params.train.yaml"), "--local"], standalone_mode=False)

metrics = json.loads((folder / "metrics/train.json").read_text())
print(
    {
        name: value
        for name, value in metrics.items()
        if name in ("step", "people", "pa_mpjpe_mm", "mean_pose_pa_mpjpe_mm")
    }
)
