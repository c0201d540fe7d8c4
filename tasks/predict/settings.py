"""Settings of a prediction."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import PositiveFloat, PositiveInt

from datasets_manifest.sources.video import FrameChoice
from model.execution import Mode, Precision
from model.renderer.mesh_files import MeshFormat
from tasks.predict.people import BoxRule
from tasks.settings import BodyModelConfig, EstimatorConfig

WITHOUT_PIXELS = ("annotations", "simulated")
"""Keypoint backends that need a data set's own keypoints."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictConfig:
    """What is predicted, from what, and what is written."""

    checkpoint: str
    """File of a trained regressor."""
    out: str = "predictions"
    """Folder of the results."""
    boxes: BoxRule = "keypoints"
    """``keypoints``: people that the keypoint backend finds; ``whole``: the whole image is one person."""
    keypoints: EstimatorConfig = field(default_factory=EstimatorConfig)
    """The keypoint backend."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body that the network was trained with; not looked at for rotations only."""
    rotations_only: bool = False
    """Joint rotations and nothing else: no body model, no mesh."""
    meshes: MeshFormat | None = None
    """Format of mesh files, None for none."""
    overlays: bool = False
    """Pictures with the mesh over the photo."""
    frames: FrameChoice = field(default_factory=FrameChoice)
    """Which frames of videos."""
    focal_px: PositiveFloat | None = None
    """Focal length of all photos; None assumes 1.2 times the longer side."""
    device: str = "cpu"
    """Where the network runs."""
    precision: Precision = "fp32"
    """fp32, tf32 or bf16."""
    mode: Mode = "eager"
    """``eager``; ``compile`` (needs a C++ compiler) and ``graph`` (CUDA) prepare the network for one size of batch."""
    batch_size: PositiveInt = 32
    """People in a batch of the network."""
    overwrite: bool = False
    """Replace predictions that are in the folder already."""

    def __post_init__(self) -> None:
        if self.boxes == "keypoints" and self.keypoints.backend in WITHOUT_PIXELS:
            raise ValueError(
                f"the keypoint backend {self.keypoints.backend!r} finds nobody in a photo: it repeats what a data set "
                "states; choose another backend, or boxes whole"
            )
        if self.rotations_only and (self.meshes is not None or self.overlays):
            raise ValueError("rotations only means that no mesh is computed: leave out meshes and overlays, or it")
