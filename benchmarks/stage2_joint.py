"""May the renderer learn along with the regressor in stage 2? What it takes over of poses that are wrong.

    python -m benchmarks.stage2_joint --renderer runs/renderer.safetensors --out work/stage2        (some minutes)

The faces and the bias of ``benchmarks.stage2``: expressions half as strong, mouths less open, heads larger. The texture
learns, by the gradients of the pictures' loss, while faces are posed as the biased labels say, which is how a joint
training begins; the looks of a person are found without derivatives. Then held-out faces are drawn by it on the way
from the truth (0) to what labels with that bias say (1): where do pictures fit best? There they pull a regressor.
"""

from __future__ import annotations

import argparse
import copy
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.stage2_faces import Faces, biased, exact, said_of
from benchmarks.stage2_training import BATCH, World, batches
from model.batches import take_rows
from model.renderer.photometric import Photometric

STEPS = 75
RATES = {"mean": 2e-3, "directions": 5e-4, "offset_m": 1e-4}
"""Of the texture's colours, 0..1, and of what clothes and hair add to the body, metres."""
WAY = torch.linspace(-0.5, 1.5, 9)
HELD_OUT = 96


def learnt_along(world: World, numbers: Tensor, steps: int = STEPS) -> Photometric:
    """The renderer after it has learnt with the training faces as ``numbers`` (N, 12) pose them."""
    photometric = copy.deepcopy(world.photometric)
    texture = photometric.renderer.texture
    learnt = [{"params": [getattr(texture, name).requires_grad_()], "lr": lr} for name, lr in RATES.items()]
    optimiser = torch.optim.Adam(learnt, betas=(0.9, 0.99))
    for rows in batches(len(numbers), steps, seed=1):
        people, photos = take_rows((world.faces.truth, world.faces.photos), rows)
        loss = photometric.compare(world.mesh(said_of(people, numbers[rows])), photos).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return photometric.requires_grad_(False)


@torch.no_grad()
def best_fit(world: World, photometric: Photometric, faces: Faces, truth: Tensor, label: Tensor) -> np.ndarray:
    """(N,) where on the way from the truth to the labels the picture of each face fits best."""
    losses = []
    for rows in torch.arange(len(truth)).split(BATCH):
        people, photos = take_rows((faces.truth, faces.photos), rows)
        posed = [world.mesh(said_of(people, torch.lerp(truth[rows], label[rows], share))) for share in WAY]
        losses.append(torch.stack([photometric.compare(mesh, photos) for mesh in posed], 1))
    return WAY[torch.cat(losses).argmin(1)].numpy()


def report(found: dict[str, np.ndarray]) -> str:
    """A table: name -> where pictures fit best."""
    lines = ["| renderer | pictures fit best at (se) | nearer to the label than to the truth |", "|:--|--:|--:|"]
    for name, best in found.items():
        error = best.std(ddof=1) / len(best) ** 0.5
        lines.append(f"| {name} | {best.mean():+.2f} ({error:.2f}) | {(best > 0.5).mean():.0%} |")
    return "\n".join(lines)


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description="What a renderer that learns along takes over of wrong poses.")
    parser.add_argument("--renderer", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("work/stage2"))
    parser.add_argument("--people", type=int, default=1200)
    parser.add_argument("--held-out", type=int, default=512)
    stated = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    stated.out.mkdir(parents=True, exist_ok=True)
    world = World(stated.out, stated.renderer, stated.people, stated.held_out)
    rows = torch.arange(min(HELD_OUT, stated.held_out))
    held = world.held_out
    faces = Faces(**{name: take_rows(getattr(held, name), rows) for name in ("truth", "photos", "colours")})
    truth, label = exact(faces.truth), biased(faces.truth, noise=0.0)
    renderers = {
        "frozen": world.photometric,
        "learnt along, faces posed by the truth": learnt_along(world, exact(world.faces.truth)),
        "learnt along, faces posed by the labels": learnt_along(world, biased(world.faces.truth, noise=0.0)),
    }
    print(report({name: best_fit(world, own, faces, truth, label) for name, own in renderers.items()}))


if __name__ == "__main__":
    main()
