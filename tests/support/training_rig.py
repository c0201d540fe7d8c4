"""A training small enough for a test: random people without photos, and a tiny network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_manifest.canonical import config_hash
from model.body.parameters import EhmParameters
from model.regressor.batch import TrainingBatch
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.rotations import rotvec_to_rotmat
from tasks.training.engine.broken_rows import BrokenRow
from tasks.training.engine.config import from_plain
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.experiment import some_of
from tasks.training.regressor.experiment import RegressorExperiment
from tasks.training.regressor.objective import Objective
from tasks.training.regressor.plan import TrainingPlan
from tasks.training.regressor.settings import TrainConfig

TINY = RegressorConfig(
    backbone=BackboneConfig(size="", width=32, depth=1, heads=2),
    decoder=ReadoutConfig(width=32, depth=1, heads=1, hidden=32),
    crop_px=64,
    side_px=8,
)


def random_parameters(count: int, generator: torch.Generator) -> EhmParameters:
    """People with small turns of all joints, who face the camera."""

    def turns(*shape: int) -> torch.Tensor:
        return rotvec_to_rotmat(0.2 * torch.randn(count, *shape, 3, generator=generator))

    def numbers(size: int) -> torch.Tensor:
        return 0.3 * torch.randn(count, size, generator=generator)

    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return EhmParameters(
        global_orient=turns() @ facing,
        body_pose=turns(21),
        left_hand_pose=turns(15),
        right_hand_pose=turns(15),
        betas=numbers(10),
        head_orient=turns() @ facing,
        jaw_pose=turns(),
        eye_pose=turns(2),
        eyelids=numbers(2).abs(),
        flame_shape=numbers(10),
        flame_expression=numbers(10),
        head_scale=1 + 0.1 * numbers(3),
    )


def random_batch(count: int, seed: int, crop_px: int = TINY.crop_px) -> TrainingBatch:
    """People with noise for photos; some parts of some of them are not valid."""
    generator = torch.Generator().manual_seed(seed)

    def flags(*shape: int) -> torch.Tensor:
        return torch.rand(count, *shape, generator=generator) < 0.8

    points = torch.rand(count, 133, 3, generator=generator) - 0.5
    points[..., 2] = flags(133).float()
    return TrainingBatch(
        crops=torch.randint(0, 256, (count, 3, crop_px, crop_px), generator=generator, dtype=torch.uint8),
        target=random_parameters(count, generator),
        keypoints_2d=points,
        body_valid=flags(),
        left_hand_valid=flags(),
        right_hand_valid=flags(),
        face_valid=flags(),
        joint_seen=flags(22),
        body_group_valid=torch.ones(count, 6, dtype=torch.bool),
        eyes_valid=torch.ones(count, dtype=torch.bool),
        eyelids_valid=torch.ones(count, dtype=torch.bool),
        weight=torch.ones(count, 4),
        sample_ids=tuple(f"noise/all/{seed}_{i}#0" for i in range(count)),
        crop_from_image=torch.eye(2, 3, dtype=torch.float64).repeat(count, 1, 1),
    )


@dataclasses.dataclass(kw_only=True)
class NoisePeople:
    """Samples by position that need no photo: whole batches, of which a process takes its share."""

    size: int
    """People of a batch, all processes together."""
    seed: int = 1000
    """Of the first batch; the others follow."""
    length: int = 10
    """Rows, as they are counted."""
    spoil_at: int = -1
    """Batch whose second person has a label that is not finite."""
    broken_at: dict[int, str] = dataclasses.field(default_factory=dict)
    """Position to the row that is met there and cannot be used."""
    break_at: int = -1
    """Batch at which everything ends as if the process had been killed."""
    max_broken_share: float = 0.3

    def __len__(self) -> int:
        return self.length

    def find(self, position: int) -> tuple[int, list[BrokenRow]]:
        """The position itself."""
        if position // self.size == self.break_at:
            raise Killed
        name = self.broken_at.get(position)
        return position, [] if name is None else [BrokenRow(sample_id=name, sentence=f"{name}: cut short")]

    def collate(self, positions: Sequence[int]) -> TrainingBatch:
        """People of one batch."""
        (number,) = {position // self.size for position in positions}
        batch = random_batch(self.size, self.seed + number)
        if number == self.spoil_at:
            batch.target.betas[1] = np.nan
            batch.body_valid[1] = True
        return some_of(batch, [position % self.size for position in positions])


class HeldOutNoise(NoisePeople):
    """Eight people to evaluate on, who begin again."""

    def collate(self, positions: Sequence[int]) -> TrainingBatch:
        """Any of them."""
        return some_of(random_batch(self.length, self.seed), [position % self.length for position in positions])

    def spread(self, count: int) -> TrainingBatch:
        """The first of them."""
        return self.collate(range(min(count, 2)))


class Killed(BaseException):
    """As if the process had ended here."""


class NoiseExperiment(RegressorExperiment):
    """The regressor, trained on noise.

    Args:
        plan: Of ``noise_plan``.
        draws: Whether somebody is drawn, which takes a second.
        options: Of ``NoisePeople``.
    """

    def __init__(self, plan: TrainingPlan, *, draws: bool = False, **options: Any) -> None:
        self.plan, self.draws = plan, draws
        share = plan.config.max_broken_share
        self.training = NoisePeople(size=plan.config.global_batch, max_broken_share=share, **options)
        self.validation = HeldOutNoise(size=8, seed=7, length=8)

    def draw(self, objective: Objective) -> bytes | None:
        """Only where it is asked for."""
        return super().draw(objective) if self.draws else None


def noise_plan(folder: Path, **settings: object) -> TrainingPlan:
    """A plan without labels, for ``NoiseExperiment``; its files go below a folder."""
    stated = {
        "datasets": [{"path": "none", "images": "none"}],
        "network": TINY.to_dict(),
        "mean": "neutral",
        "optimiser": {"lr": 1e-3, "warmup_steps": 3},
        "run": {"batch_size": 4, "loader_workers": 0, "threads": 1},
        "every": {"log": 1, "checkpoint": 2, "evaluate": 100, "pictures": 100},
        **settings,
    }
    config = from_plain(stated, TrainConfig)
    output = {f.name: str(folder / getattr(config.output, f.name)) for f in dataclasses.fields(config.output)}
    config = dataclasses.replace(config, output=dataclasses.replace(config.output, **output))
    return TrainingPlan(
        config=config, training=(), validation=(), body_model={"name": "open"}, run_hash=config_hash(config.deciding())
    )


def alone() -> ProcessGroup:
    """One process on the CPU."""
    return ProcessGroup(rank=0, world_size=1, device=torch.device("cpu"))
