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
import dataclasses
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datasets_manifest.files import write_text
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, LABEL_PARAMETERS
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.masks import PERSON, UNKNOWN, read_mask
from model.batches import take_rows
from model.body.assets import load_open_body
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera, project
from model.metrics.person import PosedByParameters, person_errors
from model.regressor.network import Prediction
from model.renderer.people import RestShape
from model.renderer.perceptual.term import build_perceptual
from model.renderer.photometric import PartPictures, Photometric, PhotometricConfig
from model.renderer.texture.file import load_renderer
from model.renderer.texture.texture import Looks
from model.rotations import rotvec_to_rotmat
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import TRUTH_FILE, synthesise
from tasks.training.photometric.balance import Balance, groups_of

SIZE_PX = 96
ARMS = ("labels", "exact", "pictures", "refined", "others")
BATCH = 16
STAGE_1_STEPS = 1500
MEAN = torch.tensor([0.09, *[0.0] * 10, 0.0])
STD = torch.tensor([0.11, *[0.6] * 10, 0.1])
"""Of jaw (radians), ten expressions and the logarithm of the head's scale among rendered people."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class WholePhotos(PartPictures):
    """Photos that are pictures of a face already, with the cameras of the photos."""

    focal_px: Tensor
    """(B,)."""
    principal_px: Tensor
    """(B, 2)."""

    def camera(self, focal_sides: float) -> Camera:
        """The photos' own."""
        return Camera(focal_px=self.focal_px, principal_px=self.principal_px)


@dataclass(frozen=True, kw_only=True, slots=True)
class Faces:
    """Rendered people."""

    truth: EhmParameters
    """N people, placed."""
    photos: WholePhotos
    """N photos."""
    colours: Tensor
    """(N, M) what the network sees."""


def load_faces(folder: Path, seed: int, count: int, ehm: EHMs) -> Faces:
    """Renders people and reads them."""
    config = SyntheticConfig(
        count=count, seed=seed, image_width=SIZE_PX, image_height=SIZE_PX, image_format="png", occluder_share=0.0,
        crop_shares=(0, 0, 0, 0, 0, 1), masks=True,
    )  # fmt: skip
    labels = synthesise(folder, config, ehm)
    rows = read_shard(folder / TRUTH_FILE, LABEL_SCHEMA).to_pylist()
    pixels, masks = [], []
    for row in rows:
        data = (folder / row["image"]).read_bytes()
        pixels.append(decode_image(data, name=row["image"]).transpose(2, 0, 1))
        masks.append(read_mask(Path(str(labels.masks)), row["image"], 0, (SIZE_PX, SIZE_PX)))
    mask = torch.from_numpy(np.stack(masks))[:, None]
    truth = EhmParameters.from_columns({n: np.array([row[n] for row in rows], np.float32) for n in LABEL_PARAMETERS})
    photos = WholePhotos(
        rgb=torch.from_numpy(np.stack(pixels)),
        person=torch.where(mask == PERSON, 255, 0).to(torch.uint8),
        known=mask != UNKNOWN,
        has_mask=torch.ones(count) > 0,
        window=torch.tensor([0.0, 0.0, 1.0]).expand(count, 3),
        is_shown=torch.ones(count) > 0,
        focal_px=torch.tensor([row["focal_px"] for row in rows], dtype=torch.float32),
        principal_px=torch.tensor([row["principal_px"] for row in rows], dtype=torch.float32),
    )
    return Faces(truth=truth, photos=photos, colours=_at_mean_face(truth, photos, ehm))


def _seen_vertices(rest: RestShape) -> np.ndarray:
    """Where the network looks: all of the lips, a third of the face."""
    eye, head = rest.joints_m["left_eye"], rest.joints_m["head"]
    front = (rest.points_m[:, 2] > head[2] + 0.02) & (rest.points_m[:, 1] < eye[1] + 0.03)
    face = np.flatnonzero((rest.on_head > 0.5) & front)
    return np.union1d(face[::3], np.flatnonzero(rest.regions["lips"] > 0.5))


@torch.no_grad()
def _at_mean_face(truth: EhmParameters, photos: WholePhotos, ehm: EHMs) -> Tensor:
    """(N, M) colours where the face would be with jaw, expression and scale of the mean."""
    seen = _seen_vertices(RestShape.from_assets(ehm.assets))
    found = []
    for rows in torch.arange(len(photos.focal_px)).split(32):
        photo = take_rows(photos, rows)
        mesh = ehm(said_of(take_rows(truth, rows), torch.zeros(len(rows), 12))).vertices[:, seen]
        place = project(mesh, photo.camera(1.0)) / SIZE_PX * 2 - 1
        own = F.grid_sample(photo.photo, place[:, None], align_corners=False)[:, :, 0]
        own = (own - own.median(2, keepdim=True).values) / (own.std(2, keepdim=True) + 0.02)
        found.append(own.flatten(1))
    return torch.cat(found)


def numbers_of(people: EhmParameters, jaw_rad: Tensor) -> Tensor:
    """(B, 12) what the network is to say, in deviations; the jaw's angle is given."""
    scale = people.head_scale.log().mean(1, keepdim=True)
    return (torch.cat([jaw_rad[:, None], people.flame_expression, scale], 1) - MEAN) / STD


def said_of(people: EhmParameters, numbers: Tensor) -> EhmParameters:
    """The people with jaw, expression and head scale replaced."""
    values = numbers * STD + MEAN
    jaw = rotvec_to_rotmat(F.pad(values[:, :1], (0, 2)))
    return dataclasses.replace(
        people, jaw_pose=jaw, flame_expression=values[:, 1:11], head_scale=values[:, 11:].exp().expand(-1, 3)
    )


def jaw_of(people: EhmParameters) -> Tensor:
    """(B,) angle about the axis by which a mouth opens, radians."""
    turn = people.jaw_pose
    return torch.atan2(turn[:, 2, 1] - turn[:, 1, 2], turn[:, 1, 1] + turn[:, 2, 2])


def biased(truth: EhmParameters, seed: int = 3) -> Tensor:
    """(N, 12) labels: noise of half a deviation, expressions half as strong, mouths less open, heads larger."""
    label = numbers_of(truth, jaw_of(truth))
    label = label + 0.5 * torch.randn(label.shape, generator=torch.Generator().manual_seed(seed))
    label[:, 1:11] *= 0.5
    label[:, 0] = 0.6 * label[:, 0] - 0.3
    label[:, 11] += 0.4
    return label


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

    def exact(self) -> Tensor:
        """(N, 12) the truth."""
        return numbers_of(self.faces.truth, jaw_of(self.faces.truth))

    def refined(self) -> Tensor:
        """(N, 12) labels after pixels have refined them; kept in a file."""
        path = self.out / "refined.npy"
        if not path.is_file():
            parts = [self._refine(rows) for rows in torch.arange(len(self.label)).split(BATCH)]
            np.save(path, torch.cat(parts).numpy())
        return torch.from_numpy(np.load(path))

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
            drawn = Prediction(parameters=balance.weighted(said)[0], camera=camera)
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
    label = {"refined": world.refined, "exact": world.exact}.get(arm, lambda: world.label)()
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
