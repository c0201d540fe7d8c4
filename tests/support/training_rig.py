"""A training small enough for a test: random people without photos, and a tiny network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from datasets_manifest.canonical import config_hash
from model.body.parameters import EhmParameters
from model.regressor.batch import TrainingBatch
from model.regressor.config import BackboneConfig, ReadoutConfig, RegressorConfig
from model.rotations import rotvec_to_rotmat
from tasks.training.engine.distributed import World
from tasks.training.regressor.broken_rows import BrokenRows
from tasks.training.regressor.dataset import BrokenPhoto
from tasks.training.regressor.evaluation import rows_of
from tasks.training.regressor.plan import TrainingPlan
from tasks.training.regressor.settings import from_plain

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
        weight=torch.ones(count),
        sample_ids=tuple(f"noise/all/{seed}_{i}#0" for i in range(count)),
        crop_from_image=torch.eye(2, 3, dtype=torch.float64).repeat(count, 1, 1),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoisePeople:
    """Stands in for ``TrainingPeople``: the batch of a step follows from the step; a process takes its share of it."""

    steps: int
    batch_size: int
    rank: int = 0
    size: int = 1
    spoil_at: int = -1
    """Step whose second person has a label that is not finite."""

    has_pictures: bool = False
    """Whether somebody is to be drawn, which takes a second."""
    broken: BrokenRows = dataclasses.field(default_factory=lambda: BrokenRows(10, 0.3))
    """Rows whose photos cannot be used: 3 of 10 are allowed."""
    broken_at: dict[int, str] = dataclasses.field(default_factory=dict)
    """Step to the row that this process meets there."""

    def training_batches(self, first_step: int) -> Iterator[TrainingBatch]:
        """All batches from a step on."""
        for step in range(first_step, self.steps):
            batch = random_batch(self.batch_size, 1000 + step)
            if step == self.spoil_at:
                batch.target.betas[1] = np.nan
                batch.body_valid[1] = True
            if step in self.broken_at:
                name = self.broken_at[step]
                self.broken.add(BrokenPhoto(sample_id=name, sentence=f"{name}: cut short"))
            share = self.batch_size // self.size
            yield rows_of(batch, range(self.rank * share, (self.rank + 1) * share))

    @property
    def has_validation(self) -> bool:
        """There is somebody to evaluate on."""
        return True

    def some_rows(self, count: int) -> list:
        """No labels: the mean is to be neutral."""
        raise AssertionError("the mean of labels is not asked for")

    def validation_batches(self) -> Iterator[TrainingBatch]:
        """Two batches of four people."""
        batches = [random_batch(4, 7), random_batch(4, 8)]
        yield from batches[self.rank :: self.size]

    def pictured(self, count: int) -> TrainingBatch | None:
        """The first validation people."""
        if not self.has_pictures:
            return None
        return rows_of(random_batch(4, 7), range(min(count, 2)))


def noise_plan(folder: Path, **settings: object) -> TrainingPlan:
    """A plan without labels, for ``NoisePeople``; its files go below a folder."""
    stated = {
        "datasets": [{"path": "none", "images": "none"}],
        "network": TINY.to_dict(),
        "mean": "neutral",
        "optimiser": {"lr": 1e-3, "warmup_steps": 3},
        "run": {"batch_size": 4, "loader_workers": 0, "threads": 1},
        "every": {"log": 1, "checkpoint": 2, "evaluate": 100, "pictures": 100},
        **settings,
    }
    config = from_plain(stated)
    output = {f.name: str(folder / getattr(config.output, f.name)) for f in dataclasses.fields(config.output)}
    config = dataclasses.replace(config, output=dataclasses.replace(config.output, **output))
    return TrainingPlan(
        config=config, training=(), validation=(), body_model={"name": "open"}, run_hash=config_hash(config.deciding())
    )


def alone() -> World:
    """One process on the CPU."""
    return World(rank=0, size=1, device=torch.device("cpu"))
