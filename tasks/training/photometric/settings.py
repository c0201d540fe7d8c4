"""Settings of stage 2, read from ``params.photometric.yaml`` and its like: those of stage 1, and the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from datasets_manifest.placed_settings import PathText, load_placed
from model.renderer.part_windows import PARTS, Part
from model.renderer.photometric import PhotometricConfig
from tasks.training.regressor.settings import TrainConfig, TrainOutputConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotometricOutputConfig(TrainOutputConfig):
    """Where the results go, relative to the folder of the settings file; see ``TrainOutputConfig``."""

    runs: PathText = "runs/train_photometric"
    """One folder a run."""
    checkpoint: PathText = "runs/regressor_photometric.safetensors"
    """The network of the last finished run, with its metadata: from which regressor and renderer it came."""
    metrics: PathText = "metrics/train_photometric.json"
    """All figures."""
    curve: PathText = "metrics/train_photometric_curve.csv"
    """Losses and weights of the photometric terms by step."""
    evaluations: PathText = "metrics/train_photometric_evaluations.csv"
    """Held-out errors by step."""
    held_out: PathText = "reports/train_photometric/held_out.parquet"
    """Errors of every held-out person at the last evaluation."""
    plot: PathText = "reports/train_photometric/curve.png"
    """Both as a picture."""
    overlays: PathText = "reports/train_photometric/drawn.png"
    """Parts of validation people in the photo, as they are drawn, and the difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotometricTrainConfig(TrainConfig):
    """All of the section ``train_photometric``: that of stage 1, and what follows."""

    section: ClassVar[str] = "train_photometric"
    """See ``TrainConfig``."""
    needs_masks: ClassVar[bool] = True
    """See ``TrainConfig``."""
    regressor_weights: PathText  # pyright: ignore
    """The regressor of stage 1 to begin with, relative to the folder of the settings file."""
    renderer: PathText
    """Renderer of the body (``pear finetune-renderer``)."""
    renderer_training: Literal["frozen", "joint"] = "frozen"
    """Whether it stays as it is, or learns along with the regressor; ``joint`` is refused, with the reason."""
    perceptual_backbone: PathText | None = None
    """torchvision's file of AlexNet or VGG16, where ``photometric.term.kind`` is LPIPS."""
    perceptual_linear: PathText | None = None
    """Weights of LPIPS's channels; null: those of the installed package ``lpips``."""
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    """What a drawn picture is charged for."""
    parts: tuple[Part, ...] = PARTS
    """What is drawn, each by a camera of its own."""
    picture_px: Annotated[int, Field(ge=32)] = 256
    """Side of the pictures of the parts."""
    min_part_px: PositiveInt = 64
    """A part whose square is smaller than this in the photo has no picture."""
    labels_weight: NonNegativeFloat = 0.3
    """Weight of the loss of stage 1, which is kept."""
    photometric_weight: PositiveFloat = 1.0
    """Weight of the pictures: how large their gradient on each output of the network is, by that of the loss of
    stage 1 on it."""
    balance_every: PositiveInt = 50
    """Steps between two measurements of both gradients; the first is in the first step."""
    max_start: PositiveFloat = 0.03
    """How far the keypoints of a part may be off before the first step, as a share of its square: the median of the
    held-out people. Pixels pull what is further off to wrong places."""
    output: PhotometricOutputConfig = field(default_factory=PhotometricOutputConfig)  # pyright: ignore
    """Files."""

    @property
    def files(self) -> dict[str, str]:
        """Those of stage 1, and what draws and compares."""
        names = ("renderer", "perceptual_backbone", "perceptual_linear")
        named = {name: getattr(self, name) for name in names}
        return TrainConfig.files.fget(self) | {name: path for name, path in named.items() if path is not None}  # pyright: ignore

    def __post_init__(self) -> None:
        TrainConfig.__post_init__(self)
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise ValueError(f"parts: expected one or more of {', '.join(PARTS)}, each once, got {list(self.parts)}")
        if self.renderer_training == "joint":
            raise ValueError(
                "renderer_training: joint is not done: a texture that learns while people are posed wrongly is painted "
                "to fit the wrong pose. Learnt along for 75 steps on faces whose labels have a bias, pictures fitted "
                "best at .91 of the way from the truth to those labels, with a frozen one at .14 "
                "(docs/benchmarks/training.md). Keep frozen, and learn the renderer before, on your own photos too: "
                "pear finetune-renderer"
            )

    def deciding(self) -> dict[str, Any]:
        """As for stage 1; the files are in the hash of the run by their content."""
        values = TrainConfig.deciding(self)
        for name in ("renderer", "perceptual_backbone", "perceptual_linear"):
            values.pop(name)
        values.pop("renderer_training")  # one value
        values["photometric"].pop("rasteriser")
        return values


def load_photometric_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> PhotometricTrainConfig:
    """Reads the settings of stage 2; see ``load_placed``."""
    return load_placed(PhotometricTrainConfig, path, PhotometricTrainConfig.section, overrides, none="synthetic")
