"""How far predictions on held-out people are from their labels, beside what the mean pose alone would give.

    mpjpe_mm, pa_mpjpe_mm   22 joints, pelvis to pelvis, and after similarity alignment; people with a valid body
    hand_pa_pve_mm          vertices of a hand after similarity alignment of that hand; every valid hand
    head_canonical_mm       mean distance of FLAME's vertices, head and neck at rest, scale one, eye midpoints together
    lip_max_mm              of the same the farthest of the lips' vertices, the root of the lip vertex error (LVE) of
                            MeshTalk and the paper; where the body says which vertices are lips
    head_scaled_mm          head_canonical_mm with the head's scale
    head_posed_mm           mean distance of the head's vertices in the body as it is posed, eye midpoints together
    head_pa_mm              FLAME's vertices at rest, scale one, after similarity alignment: the form of the face alone
    orient_deg              turn between the pelvis orientations in the crop's camera, median

A person whose part is not valid does not count in the figures of that part.

No picture of a head tells its size in metres, so head_canonical_mm holds much that nobody can see: `head_pa_mm` takes
size, place and turn out of it, as for hands.

Legend: B people, V vertices.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import roma
import torch
from torch import Tensor

from model.batches import map_tensors, take_rows
from model.body.assets import EhmAssets
from model.body.flame import FLAME
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.body.skeleton import LEFT_EYE, RIGHT_EYE
from model.metrics.joints import mpjpe_mm, pa_mpjpe_mm
from model.regressor.batch import TrainingBatch
from model.regressor.config import RegressorConfig
from model.regressor.mean_parameters import MeanParameters
from model.regressor.network import BODY_END, LEFT_HAND_END, EhmRegressor, normalise
from model.regressor.runtime import numerics
from model.regressor.targets import neutral_where_invalid
from model.rotations import sixd_to_rotmat
from tasks.training.engine.distributed import World, gathered

NUM_BODY_JOINTS = 22
"""Pelvis and the 21 body joints."""
_EYES = slice(3, 5)
"""FLAME's eye joints."""
MEASURES = (
    "pa_mpjpe_mm",
    "mpjpe_mm",
    "hand_pa_pve_mm",
    "head_canonical_mm",
    "lip_max_mm",
    "head_scaled_mm",
    "head_posed_mm",
    "head_pa_mm",
    "orient_deg",
)
MEAN_POSE = "mean_pose_"
"""Prefix of the figures of the mean parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """Errors of some people; NaN where the label says nothing of that part."""

    sample_ids: tuple[str, ...]
    """B sample ids."""
    values: Mapping[str, np.ndarray]
    """Measure to (B,), or (B, 2) for what there are two of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """Errors of a network and of its mean parameters on the same people."""

    network: Errors
    """Of each person."""
    mean_pose: Errors
    """Likewise."""

    @property
    def figures(self) -> dict[str, float | int | None]:
        """``people``, the means of the module's measures (the median of `orient_deg`) and the same of the mean pose
        under ``mean_pose_<measure>``; None where no person has that part."""
        found = {"people": len(self.network.sample_ids), **summarise(self.network)}
        return found | {f"{MEAN_POSE}{name}": value for name, value in summarise(self.mean_pose).items()}

    def parquet(self) -> bytes:
        """One row a person as the bytes of a file: ``sample_id`` and the columns of ``figures``, those of the hands
        with ``left_`` and ``right_`` before them; null where the label says nothing of that part."""
        columns: dict[str, pa.Array] = {"sample_id": pa.array(self.network.sample_ids, pa.string())}
        for prefix, errors in (("", self.network), (MEAN_POSE, self.mean_pose)):
            for name, values in errors.values.items():
                sides = ("left_", "right_") if values.ndim == 2 else ("",)
                for side, column in zip(sides, values.reshape(len(values), len(sides)).T, strict=True):
                    columns[f"{prefix}{side}{name}"] = pa.array(column, pa.float32(), mask=~np.isfinite(column))
        data = io.BytesIO()
        pq.write_table(pa.table(columns), data)
        return data.getvalue()


class Ruler:
    """Measures predictions against labels.

    Args:
        assets: The body of the labels.
        config: Numbers of coefficients.
        device: Where bodies are posed.
    """

    def __init__(self, assets: EhmAssets, config: RegressorConfig, device: torch.device | str = "cpu") -> None:
        parts = [assets.hand_vertex_ids["left"], assets.hand_vertex_ids["right"], assets.head_vertex_ids]
        self._part_sizes = [len(ids) for ids in parts]
        lips = assets.regions.get("lips", np.zeros(0, np.bool_))
        self._lips = np.flatnonzero(lips[assets.head_vertex_ids]) if lips.size else np.zeros(0, np.int64)
        self._body = KeypointBody(
            assets,
            num_betas=config.num_betas,
            num_flame_shape=config.num_flame_shape,
            num_expression=config.num_expression,
            extra_vertex_ids=np.concatenate(parts),
        ).to(device)
        self._flame = FLAME(
            assets.flame, num_betas=config.num_flame_shape, num_expression=config.num_expression
        ).to(device)  # fmt: skip

    @torch.no_grad()
    def errors(self, said: EhmParameters, batch: TrainingBatch) -> Errors:
        """Errors of predictions (B) against the labels of a batch (B); in float32 whatever the process is set to."""
        with numerics("fp32", batch.weight.device):
            return self._errors(said, batch)

    def _errors(self, said: EhmParameters, batch: TrainingBatch) -> Errors:
        label = neutral_where_invalid(batch)  # what is not valid may be anything, and must not end the alignment
        found, known = (self._body(**people.body_arguments()) for people in (said, label))
        joints, target = (_numpy(out.joints[:, :NUM_BODY_JOINTS]) for out in (found, known))
        *hands, head = zip(*(out.extra_vertices.split(self._part_sizes, 1) for out in (found, known)), strict=True)
        body = _numpy(batch.body_valid)
        values = {
            "mpjpe_mm": np.where(body, mpjpe_mm(joints, target), np.nan),
            "pa_mpjpe_mm": np.where(body, pa_mpjpe_mm(joints, target), np.nan),
            "hand_pa_pve_mm": _hands(hands, batch),
        }
        turn = roma.rotmat_geodesic_distance(said.global_orient, label.global_orient)
        values["orient_deg"] = np.where(body, np.degrees(_numpy(turn)), np.nan)
        face = _numpy(batch.face_valid)
        heads = self._head(said), self._head(label)
        values["head_canonical_mm"] = np.where(face, _distance_mm(*heads), np.nan)
        lips = [vertices[:, self._lips] for vertices in heads]
        values["lip_max_mm"] = np.where(face, _farthest_mm(*lips), np.nan)
        scaled = (head * people.head_scale[:, None] for head, people in zip(heads, (said, label), strict=True))
        values["head_scaled_mm"] = np.where(face & body, _distance_mm(*scaled), np.nan)
        eyes = (out.joints[:, [LEFT_EYE, RIGHT_EYE]].mean(1, keepdim=True) for out in (found, known))
        posed = (vertices - middle for vertices, middle in zip(head, eyes, strict=True))
        values["head_posed_mm"] = np.where(face & body, _distance_mm(*posed), np.nan)
        values["head_pa_mm"] = np.where(face, pa_mpjpe_mm(*(_numpy(vertices) for vertices in heads)), np.nan)
        return Errors(sample_ids=batch.sample_ids, values=values)

    def _head(self, people: EhmParameters) -> Tensor:
        """(B, V, 3) vertices of FLAME about the midpoint of the eyes, unit scale, not turned."""
        out = self._flame(
            betas=people.flame_shape,
            expression=people.flame_expression,
            jaw_pose=people.jaw_pose,
            eye_pose=people.eye_pose,
            eyelids=None if self._flame.eyelid_dirs is None else people.eyelids,
        )
        return out.vertices - out.joints[:, _EYES].mean(1, keepdim=True)


def mean_people(mean: MeanParameters, count: int) -> EhmParameters:
    """The mean parameters for each of some people."""
    pose = sixd_to_rotmat(mean.pose)
    one = EhmParameters(
        global_orient=pose[0],
        body_pose=pose[1:BODY_END],
        left_hand_pose=pose[BODY_END:LEFT_HAND_END],
        right_hand_pose=pose[LEFT_HAND_END:],
        betas=mean.betas,
        head_orient=sixd_to_rotmat(mean.head_orient),
        jaw_pose=sixd_to_rotmat(mean.jaw_pose),
        eye_pose=sixd_to_rotmat(mean.eye_pose),
        eyelids=mean.eyelids,
        flame_shape=mean.flame_shape,
        flame_expression=mean.flame_expression,
        head_scale=mean.head_scale,
    )
    return map_tensors(one, lambda value: value.expand(count, *value.shape))


@torch.no_grad()
def evaluate(network: EhmRegressor, batches: Iterable[TrainingBatch], ruler: Ruler, world: World) -> HeldOut:
    """Errors of a network and of its mean parameters on held-out people.

    Args:
        network: On this process' device.
        batches: This process' share of the people.
        ruler: On the same device.
        world: The processes that share the people.

    Returns:
        Of the people of all processes, ordered by sample id; on each process.
    """
    was_training = network.training
    network.eval()
    own: list[tuple[Errors, Errors]] = []
    for batch in batches:
        placed = batch.to(world.device)
        said = network(normalise(placed.crops)).parameters
        own.append((ruler.errors(said, placed), ruler.errors(mean_people(network.mean, len(placed)), placed)))
    network.train(was_training)
    pairs = [pair for share in gathered(own, world) for pair in share]
    return HeldOut(network=joined([pair[0] for pair in pairs]), mean_pose=joined([pair[1] for pair in pairs]))


def joined(errors: Sequence[Errors]) -> Errors:
    """The people of several batches ordered by sample id, the same however they were spread over processes."""
    if not errors:
        return Errors(sample_ids=(), values={})
    ids = [sample_id for entry in errors for sample_id in entry.sample_ids]
    order = np.argsort(np.array(ids, dtype=object), kind="stable")
    values = {name: np.concatenate([entry.values[name] for entry in errors])[order] for name in MEASURES}
    return Errors(sample_ids=tuple(ids[i] for i in order), values=values)


def summarise(errors: Errors) -> dict[str, float | None]:
    """One figure a measure, over those who have that part."""
    figures: dict[str, float | None] = {}
    for name in MEASURES:
        values = np.ravel(errors.values.get(name, ()))
        values = values[np.isfinite(values)]
        middle = np.median if name == "orient_deg" else np.mean
        figures[name] = round(float(middle(values)), 4) if len(values) else None
    return figures


def _hands(hands: Sequence[tuple[Tensor, Tensor]], batch: TrainingBatch) -> np.ndarray:
    """(B, 2) of the left and the right hand, each (found, known) vertices."""
    valid = (batch.left_hand_valid, batch.right_hand_valid)
    return np.stack(
        [
            np.where(_numpy(flag), pa_mpjpe_mm(*(_numpy(vertices) for vertices in hand)), np.nan)
            for hand, flag in zip(hands, valid, strict=True)
        ],
        axis=1,
    )


def _distance_mm(points: Tensor, target: Tensor) -> np.ndarray:
    return 1e3 * _numpy(torch.linalg.vector_norm(points - target, dim=-1).mean(1))


def _farthest_mm(points: Tensor, target: Tensor) -> np.ndarray:
    """(B,) NaN where there are no points."""
    if points.shape[1] == 0:
        return np.full(len(points), np.nan)
    return 1e3 * _numpy(torch.linalg.vector_norm(points - target, dim=-1).amax(1))


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def rows_of(batch: TrainingBatch, rows: Sequence[int]) -> TrainingBatch:
    """Some people of a batch."""
    index = torch.as_tensor(list(rows), device=batch.weight.device)
    return dataclasses.replace(take_rows(batch, index), sample_ids=tuple(batch.sample_ids[row] for row in rows))
