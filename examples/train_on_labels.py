"""Trains a small network on labels of one's own: python examples/train_on_labels.py [labels images]. Some 10 seconds.

`labels` is a folder of label files, whoever made them, `images` where their photos lie; without them those of the demo.
A few steps teach nothing; they show the way. The run goes to work/train_on_labels, or where the third argument says.
"""

import json
import sys
from pathlib import Path

from flows.cli.app import app

TRAINING = """
train:
  datasets: [{{path: {labels}, images: {images}, weight: 1.0}}]
  network:
    backbone: {{size: "", width: 64, depth: 2, heads: 2, stem: convolutions}}
    decoder: {{width: 64, depth: 1, heads: 2, hidden: 128}}
    crop_px: 128
    side_px: 16
  optimiser: {{lr: 1.0e-3, warmup_steps: 2}}
  steps: 8
  run: {{batch_size: 4, device: cpu, loader_workers: 0}}
  every: {{log: 2, checkpoint: 4}}
"""

given = sys.argv[1:] or ["labels/demo_people/all", "work/datasets/demo_people"]
labels, images = (Path(name).resolve() for name in given[:2])
folder = Path(given[2] if len(given) > 2 else "work/train_on_labels")
folder.mkdir(parents=True, exist_ok=True)
(folder / "params.train.yaml").write_text(TRAINING.format(labels=labels, images=images))

# The same command again goes on where this one stopped; another setting begins another run.
app(["train", "--params", str(folder / "params.train.yaml"), "--local"], standalone_mode=False)

metrics = json.loads((folder / "metrics/train.json").read_text())
print({name: value for name, value in metrics.items() if name in ("step", "loss")})
