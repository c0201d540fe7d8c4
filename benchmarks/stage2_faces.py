"""Rendered faces for the benchmark of stage 2: photos, truth, labels with a bias, and what its network sees.

Legend: N people, M numbers that the network is given.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import read_shard
from datasets_manifest.sources.images import decode_image
from datasets_manifest.sources.masks import PERSON, UNKNOWN, read_mask
from model.batches import take_rows
from model.body.ehms import EHMs
from model.body.parameters import EhmParameters
from model.imaging.camera import Camera, project
from model.renderer.people import RestShape
from model.renderer.photometric import PartPictures
from model.rotations import rotvec_to_rotmat
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import TRUTH_FILE, synthesise

SIZE_PX = 96
MEAN = torch.tensor([0.09, *[0.0] * 10, 0.0])
STD = torch.tensor([0.11, *[0.6] * 10, 0.1])
"""Of jaw (radians), ten expressions and the logarithm of the head's scale among rendered people."""


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


def exact(truth: EhmParameters) -> Tensor:
    """(N, 12) the truth as labels."""
    return numbers_of(truth, jaw_of(truth))


def biased(truth: EhmParameters, seed: int = 3, noise: float = 0.5) -> Tensor:
    """(N, 12) labels: noise of half a deviation, expressions half as strong, mouths less open, heads larger."""
    label = exact(truth)
    label = label + noise * torch.randn(label.shape, generator=torch.Generator().manual_seed(seed))
    label[:, 1:11] *= 0.5
    label[:, 0] = 0.6 * label[:, 0] - 0.3
    label[:, 11] += 0.4
    return label
