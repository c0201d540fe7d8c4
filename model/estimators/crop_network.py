"""A network over square crops: options, crops in another thread, normalisation, batches.

The estimators on the official checkpoints of ProHMR, HMR2 and HaMeR share it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.estimators.base import Array, EstimatorInfo, Skeleton
from model.estimators.batching import run_in_batches
from model.imaging.crop_camera import view_ray_rotation
from model.imaging.imagenet import IMAGENET_MEAN, IMAGENET_STD
from model.imaging.squares import Square
from model.imaging.upstream_crop import cut
from model.weights import checkpoint_sha256

CPU_BATCH = 8
"""Larger batches take more memory on a CPU and no less time (``benchmarks/estimators.py``)."""
GPU_BATCH = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class CropNetworkConfig:
    """How a network is run."""

    batch_size: int | None = None
    """Crops the network takes at once: what memory is bounded by. None: 8 on a CPU, 32 on CUDA."""
    device: str = "cpu"
    """Device of the network, as torch names it: ``cpu``, ``cuda``, ``cuda:1``."""
    half: bool = False
    """Half precision in the backbone; the head stays in single precision. Faster on CUDA, slower on a CPU."""
    view_ray: bool = True
    """Orientations are relative to the ray through the crop's centre; False takes them for the camera's axis."""

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"{type(self).__name__}: batch_size must be at least 1, got {self.batch_size}")
        try:
            device = torch.device(self.device)
        except RuntimeError as error:
            raise ValueError(f"{type(self).__name__}: unknown device {self.device!r}") from error
        if device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"{type(self).__name__}: device {self.device!r} was asked for, but torch sees no CUDA GPU")

    @property
    def crops_at_once(self) -> int:
        """The batch size, chosen by the device where none is given."""
        if self.batch_size is not None:
            return self.batch_size
        return CPU_BATCH if torch.device(self.device).type == "cpu" else GPU_BATCH


@dataclass(frozen=True, kw_only=True, slots=True)
class CropPlan:
    """A crop to be made."""

    rgb: Array
    """(H, W, 3) uint8 photo."""
    square: Square
    """Where."""
    mirrored: bool = False
    """Whether to cut it out of the mirror image."""


class CheckpointEstimator:
    """An estimator whose network lies in one file, the option ``checkpoint_path``; several threads may share it."""

    name: str
    """Backend name."""
    licence: str
    """Of the weights."""
    skeleton: Skeleton = "smplx"
    """Body model whose joints the outputs are about."""
    shareable = True
    info: EstimatorInfo

    @classmethod
    def describe(cls, *, checkpoint_path: str, **options: Any) -> EstimatorInfo:
        """What ``info`` of such an estimator says; loads no network."""
        del options
        return cls.info_of(checkpoint_sha256(checkpoint_path))

    @classmethod
    def info_of(cls, sha256: str) -> EstimatorInfo:
        """``info`` with weights of that hash."""
        return EstimatorInfo(
            name=cls.name, version="1", weights_sha256=sha256, licence=cls.licence, skeleton=cls.skeleton
        )


def normalised(crops: Tensor) -> Tensor:
    """Crops (B, S, S, 3) of 0..255 as (B, 3, S, S) with ImageNet's mean and standard deviation taken out."""
    mean, std = crops.new_tensor(IMAGENET_MEAN), crops.new_tensor(IMAGENET_STD)
    return ((crops - 255 * mean) / (255 * std)).permute(0, 3, 1, 2)


class CropNetwork:
    """A network on its device, over crops of one size."""

    def __init__(
        self,
        network: nn.Module,
        read: Callable[[Tensor], Mapping[str, Tensor]],
        *,
        crop_px: int,
        antialias: bool,
        config: CropNetworkConfig,
    ) -> None:
        """Moves the network to its device and into evaluation mode.

        Args:
            network: Has a ``backbone``, which half precision is about.
            read: Runs it: normalised crops (B, 3, S, S) to named tensors with first dimension B.
            crop_px: S.
            antialias: Whether the network was trained on crops blurred before much reduction.
            config: How it is run.
        """
        self._read, self._crop_px, self._antialias, self._config = read, crop_px, antialias, config
        network.eval().requires_grad_(False).to(config.device)
        if config.half:
            network.get_submodule("backbone").half()

    def run(self, plans: Sequence[CropPlan]) -> dict[str, Array]:
        """Runs the network over N >= 1 crops; named float32 arrays with first dimension N."""
        return run_in_batches(plans, self._cut, self._infer, self._config.crops_at_once)

    def _cut(self, plan: CropPlan) -> Array:
        return cut(plan.rgb, plan.square, self._crop_px, antialias=self._antialias, mirrored=plan.mirrored).pixels

    @torch.inference_mode()
    def _infer(self, crops: Array) -> dict[str, Array]:
        read = self._read(normalised(torch.from_numpy(crops).to(self._config.device)))
        return {name: tensor.float().cpu().numpy() for name, tensor in read.items()}


def towards_camera(orient: Array, squares: Sequence[Square], focal_px: Array, principal_px: Array) -> Array:
    """Orientations (N, 3, 3) relative to the rays through the centres of crops, relative to the photo's camera.

    Args:
        orient: (N, 3, 3).
        squares: N places of the crops.
        focal_px: (N,).
        principal_px: (N, 2).
    """
    centre = torch.tensor([square.centre_px for square in squares], dtype=torch.float64)
    focal, principal = (torch.from_numpy(np.asarray(value, dtype=np.float64)) for value in (focal_px, principal_px))
    return (view_ray_rotation(centre, focal, principal) @ torch.from_numpy(orient).double()).numpy()


def finite_rows(read: Mapping[str, Array]) -> Array:
    """(N,) bool: the rows in which every array (N, ...) that a network gave is finite."""
    return np.all([np.isfinite(value).reshape(len(value), -1).all(1) for value in read.values()], axis=0)


def mean_score(scores: Array) -> Array:
    """Mean (N,) of the scores (N, K) of keypoints, each brought into 0..1, NaN to 0."""
    return np.clip(np.nan_to_num(scores), 0, 1).mean(1)
