"""The network of the benchmark of stage 2, its labels after pixels have refined them, and its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.stage2_faces import WholePhotos, biased, jaw_of, load_faces, said_of
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from model.batches import take_rows
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.metrics.person import PosedByParameters, person_errors
from model.regressor.network import Prediction
from model.renderer.perceptual.term import build_perceptual
from model.renderer.photometric import Photometric, PhotometricConfig
from model.renderer.texture.file import load_renderer
from model.renderer.texture.texture import Looks
from tasks.training.photometric.balance import Balance, groups_of

BATCH = 16
WEIGHTS = {"jaw_pose": 0.4, "flame_expression": 0.015, "head_scale": 0.65}
"""Of the labels' loss, as in params.train.yaml."""
KEEP_LABELS = 0.3
FRESH_LOOKS = 8
"""A face's looks are found again at every so manieth visit."""
REFINE_STEPS = 40
REFINE_RATE = torch.tensor([0.1, *[0.1] * 10, 0.06])
"""Step sizes of the refinement of labels, in deviations."""
PRIOR = 2e-5
"""Weight of a squared deviation from the label in its refinement."""


def perceptron(inputs: int) -> nn.Sequential:
    """The network; at first it says the mean."""
    network = nn.Sequential(
        nn.Linear(inputs, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 12)
    )
    for parameter in network[-1].parameters():
        nn.init.zeros_(parameter)
    return network


def labels_loss(said: EhmParameters, label: EhmParameters) -> Tensor:
    """The loss of stage 1 on what the network says, mean over the people."""
    terms = [w * (getattr(said, n) - getattr(label, n)).abs().sum() for n, w in WEIGHTS.items()]
    return torch.stack(terms).sum() / len(label.betas)


class World:
    """Faces, the renderer, and what is measured."""

    def __init__(self, out: Path, renderer: Path | None, people: int, held_out: int) -> None:
        self.assets = load_open_body()
        ehm = EHMs(self.assets).eval()
        self.out = out
        self.faces = load_faces(out / "faces", 5000, people, ehm)
        self.held_out = load_faces(out / "held_out", 9000, held_out, ehm)
        self.label = biased(self.faces.truth)
        self.posed = PosedByParameters(self.assets, DEFAULT_SIZE)
        if renderer is not None:
            mesh = self.assets.smplx
            faces = torch.from_numpy(np.asarray(mesh.faces, np.int64))
            drawer, _ = load_renderer(renderer.read_bytes(), faces, mesh.num_vertices, source=str(renderer))
            config = PhotometricConfig(rasteriser="native")
            term = build_perceptual(config.term)
            self.photometric = Photometric(self.assets, DEFAULT_SIZE, drawer, config, term, ("head",), 1.0)

    def mesh(self, people: EhmParameters) -> Tensor:
        """Vertices that are drawn."""
        return self.photometric.body(people).extra_vertices

    @torch.no_grad()
    def errors(self, network: nn.Module) -> dict[str, list[float]]:
        """Errors of each held-out person."""
        truth, found = self.held_out.truth, []
        said = said_of(truth, network.eval()(self.held_out.colours))
        network.train()
        for rows in torch.arange(len(truth.betas)).split(64):
            own, right = self.posed(take_rows(said, rows)), self.posed(take_rows(truth, rows))
            known = person_errors(own, right)
            lips = (own.rest_head - right.rest_head)[:, own.lips].norm(dim=-1).mean(1)  # pyright: ignore
            found.append({"lips_mm": 1e3 * lips.numpy(), "face_mm": known["head_canonical_mm"]})
        merged = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        merged["jaw_rad"] = (jaw_of(said) - jaw_of(truth)).abs().numpy()
        merged["scale_percent"] = (100 * (said.head_scale / truth.head_scale - 1).abs().mean(1)).numpy()
        return {name: [round(float(value), 6) for value in values] for name, values in merged.items()}

    def refined(self) -> Tensor:
        """(N, 12) labels after pixels have refined them; kept in files, with which it goes on."""
        parts = []
        for number, rows in enumerate(torch.arange(len(self.label)).split(BATCH)):
            path = self.out / f"refined-{number:03d}.npy"
            if not path.is_file():
                np.save(path, self._refine(rows).numpy())
            parts.append(torch.from_numpy(np.load(path)))
        return torch.cat(parts)

    def _refine(self, rows: Tensor) -> Tensor:
        people, photos, label = take_rows((self.faces.truth, self.faces.photos, self.label), rows)
        moved = torch.zeros_like(label).requires_grad_()
        optimiser = torch.optim.Adam([moved], lr=1.0, betas=(0.9, 0.95))
        looks, losses = None, []
        for step in range(REFINE_STEPS + 1):
            mesh = self.mesh(said_of(people, label + moved * REFINE_RATE))
            looks = self.photometric.looks(mesh.detach(), photos) if step % 10 == 0 else looks
            losses.append(self.photometric.compare(mesh, photos, looks))
            if step < REFINE_STEPS:
                optimiser.param_groups[0]["lr"] = 0.1 + 0.45 * (1 + np.cos(np.pi * step / REFINE_STEPS))
                optimiser.zero_grad()
                (losses[-1] + PRIOR * (moved * REFINE_RATE).square().sum(1)).sum().backward()
                optimiser.step()
        fell = (losses[-1] < losses[0])[:, None]
        return torch.where(fell, label + moved * REFINE_RATE, label).detach()


def batches(people: int, steps: int, seed: int) -> list[Tensor]:
    """Who is in each step: all, in random order, again and again."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(people) for _ in range(-(-steps * BATCH // people))])
    return [torch.from_numpy(order[k * BATCH : (k + 1) * BATCH]) for k in range(steps)]


def train(
    world: World, network: nn.Module, label: Tensor, steps: int, seed: int, lr: float, pictures: bool, own: bool = True
) -> dict:
    """Trains a network in place; figures of the pictures, for the record."""
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=1e-3)
    groups = {name: of for name, of in groups_of(("head",)).items() if name in ("jaw", "expression", "head_scale")}
    balance = Balance(groups, 1.0, 20)
    known: dict[int, tuple[int, Looks]] = {}
    faces, camera, losses = world.faces, torch.zeros(BATCH, 3), []
    for rows in batches(len(label), steps, seed):
        seen = faces.colours[rows] + 0.1 * torch.randn(len(rows), faces.colours.shape[1])
        people = take_rows(faces.truth, rows)
        said = Prediction(parameters=said_of(people, network(seen)), camera=camera)
        loss = labels_loss(said.parameters, said_of(people, label[rows]))
        if pictures:
            drawn = balance.weighted(said)
            mesh, photos = world.mesh(drawn.parameters), take_rows(faces.photos, rows if own else rows.roll(1))
            photo = world.photometric.compare(mesh, photos, _looks(world, known, rows, mesh, photos)).mean()
            balance.measure(loss, said, photo, drawn)
            losses.append(float(photo.detach()))
            loss = KEEP_LABELS * loss + photo
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    last = {name: round(float(value), 4) for name, value in balance.figures().items()}
    tenth = max(1, len(losses) // 10)
    return {"photo": [np.mean(losses[:tenth]), np.mean(losses[-tenth:])], **last} if pictures else {}


def _looks(world: World, known: dict[int, tuple[int, Looks]], rows: Tensor, mesh: Tensor, photos: WholePhotos) -> Looks:
    """Looks of some faces; each is found again now and then."""
    visits = {row: known[row][0] + 1 if row in known else 0 for row in rows.tolist()}
    stale = [place for place, row in enumerate(rows.tolist()) if visits[row] % FRESH_LOOKS == 0]
    if stale:
        index = torch.tensor(stale)
        found = world.photometric.looks(mesh.detach()[index], take_rows(photos, index))
        for place, *looks in zip(stale, *found, strict=True):
            known[int(rows[place])] = (0, Looks(*looks))
    for row, visit in visits.items():
        known[row] = (visit, known[row][1])
    return Looks(*(torch.stack(parts) for parts in zip(*(known[row][1] for row in rows.tolist()), strict=True)))
