"""Does stage 2 correct what labels have wrong? One state of stage 1, trained on in three ways on the same faces.

    python -m benchmarks.stage2 --renderer runs/renderer.safetensors --out work/stage2     (some hours; goes on)
    python -m benchmarks.stage2 --out work/stage2 --report

Faces are rendered. Their labels are noisy and have a bias that a picture can correct: expressions half as strong,
mouths less open, heads larger. From the state that a seed's stage 1 ends with, the same faces in the same order for
the same number of steps: the labels alone (`labels`), with pictures (`pictures`: the objective, the weights and the
renderer of ``pear train-photometric``), labels alone that pixels have refined (`refined`), and the truth as labels
(`exact`), which is as far as anything could go. With somebody else's pictures (`others`) nothing may be gained.

The network is a small one that is told body pose and camera: a perceptron on the colours where the mean face would be.
It says jaw, expression and head scale. So this measures what pixels teach a regressor that is aligned, not how a vision
transformer learns it, which takes days.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.stage2_faces import exact
from benchmarks.stage2_training import BATCH, World, perceptron, train
from datasets_manifest.files import write_text

ARMS = ("labels", "exact", "pictures", "refined", "others")
STAGE_1_STEPS = 1500


def run(world: World, seed: int, arm: str, steps: int, lr: float) -> None:
    """One arm from one seed's stage 1, unless its file is there."""
    path = world.out / f"seed{seed}-{arm}.json"
    if path.is_file():
        return
    started = time.process_time()
    torch.manual_seed(seed)
    network = perceptron(world.faces.colours.shape[1])
    train(world, network, world.label, STAGE_1_STEPS, 1000 + seed, 1e-3, pictures=False)
    before = world.errors(network)
    label = {"refined": world.refined, "exact": lambda: exact(world.faces.truth)}.get(arm, lambda: world.label)()
    drawn = arm in ("pictures", "others")
    record = train(world, network, label, steps, 2000 + seed, lr, pictures=drawn, own=arm != "others")
    result = {"before": before, "after": world.errors(network), "steps": steps, "lr": lr, **record}
    write_text(path, json.dumps(result | {"cpu_s": round(time.process_time() - started, 1)}) + "\n")
    print(f"seed {seed} {arm}: {time.process_time() - started:.0f} s of CPU", flush=True)


def report(out: Path) -> str:
    """A table of the arms that are there: errors, and differences to the labels alone, paired by person."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(out.glob("seed*-*.json"))}
    lines = ["| held-out | seeds | after stage 1 | labels | arm | difference (se of people; of seeds) | share |"]
    lines.append("|:--|--:|--:|--:|--:|--:|--:|")
    for arm in ARMS[1:]:
        seeds = [s for s in range(100) if f"seed{s}-{arm}" in found and f"seed{s}-labels" in found]
        for name in ("jaw_rad", "lips_mm", "face_mm", "scale_percent") if seeds else ():
            pairs = [(found[f"seed{s}-labels"], found[f"seed{s}-{arm}"]) for s in seeds]
            plain, own = (np.array([pair[k]["after"][name] for pair in pairs]) for k in (0, 1))
            before = np.array([pair[0]["before"][name] for pair in pairs]).mean()
            gap = own - plain
            people = gap.mean(0).std(ddof=1) / gap.shape[1] ** 0.5
            of_seeds = gap.mean(1).std(ddof=1) / len(seeds) ** 0.5 if len(seeds) > 1 else float("nan")
            lines.append(
                f"| {arm}: {name} | {len(seeds)} | {before:.4g} | {plain.mean():.4g} | {own.mean():.4g} | "
                f"{gap.mean():+.3g} ({people:.2g}; {of_seeds:.2g}) | {gap.mean() / plain.mean():+.0%} |"
            )
    return "\n".join(lines)


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="Stage 2 against stage 1, on labels with a bias.")
    parser.add_argument("--renderer", type=Path)
    parser.add_argument("--out", type=Path, default=Path("work/stage2"))
    parser.add_argument("--people", type=int, default=1200)
    parser.add_argument("--held-out", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--visits", type=int, default=10)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=ARMS[:-1])
    parser.add_argument("--report", action="store_true")
    stated = parser.parse_args()
    if not stated.report:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        stated.out.mkdir(parents=True, exist_ok=True)
        world = World(stated.out, stated.renderer, stated.people, stated.held_out)
        for seed in range(stated.seeds):
            for arm in stated.arms:
                run(world, seed, arm, stated.visits * stated.people // BATCH, stated.lr)
            print(report(stated.out), flush=True)
    print(report(stated.out))


if __name__ == "__main__":
    main()
