"""Settings of a training, read from ``params.train.yaml`` and its like, so that DVC sees every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from datasets_manifest.placed_settings import PathText, PlacedBy, load_placed, path_in
from datasets_manifest.settings import Share
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet
from model.regressor.augment import AugmentConfig
from model.regressor.config import RegressorConfig
from model.regressor.loss_config import LossConfig
from tasks.settings import BodyModelConfig
from tasks.synthetic.pose import CROP_SHARES
from tasks.training.engine.config import EngineConfig, OutputConfig

MEANS = ("labels", "neutral")
"""What the read-outs are added to where no file says it."""


def _placed_mean(value: Any, folder: Path) -> Any:
    return path_in(folder, value) if isinstance(value, str) and value not in MEANS else value


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticPeopleConfig:
    """People that are rendered before the training, with exact labels; the labels need no annotation."""

    train: NonNegativeInt = 0
    """Number of people to learn from; 0 renders none."""
    validation: NonNegativeInt = 0
    """Number of people to evaluate on."""
    image_px: Annotated[int, Field(ge=64)] = 256
    """Side of the square photos."""
    seed: NonNegativeInt = 1
    """Of the people to learn from; those to evaluate on have the next one."""
    crop_shares: tuple[float, float, float, float, float, float] = CROP_SHARES
    """Shares of people of whom the camera shows all, the upper body, the head and what is around it, the left hand, the
    right hand, and a face that fills the picture."""
    folder: PathText = "work/synthetic_people"
    """Where they are kept, relative to the folder of the settings file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainOutputConfig(OutputConfig):
    """Where the results go, relative to the folder of the settings file."""

    runs: PathText = "runs/train"
    """One folder a run, named by the hash of what decides its result: a changed setting begins another run, the same
    settings go on where they stopped."""
    checkpoint: PathText = "runs/regressor.safetensors"
    """The network of the last finished run, with its metadata."""
    metrics: PathText = "metrics/train.json"
    """All figures; the main ones are in ``summary/train.json`` beside it, for ``dvc metrics show``."""
    curve: PathText = "metrics/train_curve.csv"
    """Losses by step, for ``dvc plots``."""
    evaluations: PathText = "metrics/train_evaluations.csv"
    """Held-out errors by step, for ``dvc plots``."""
    held_out: PathText = "reports/train/held_out.parquet"
    """Errors of every held-out person at the last evaluation: whom the network fails."""
    plot: PathText = "reports/train/curve.png"
    """Both as a picture."""
    overlays: PathText = "reports/train/overlays.png"
    """Validation people, what the network says of them, and their labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig(EngineConfig):
    """All of the section ``train``."""

    datasets: tuple[LabelSet, ...] = ()
    """Published labels to learn from, with the folder of their images and their share of the batches."""
    validation: tuple[LabelSet, ...] = ()
    """Published labels to evaluate on."""
    validation_share: Share = 0.0
    """Share of the photos and clips of ``datasets`` that are held out and evaluated on, by a hash of their names."""
    synthetic: SyntheticPeopleConfig = field(default_factory=SyntheticPeopleConfig)
    """Rendered people, beside the data sets; null for none."""
    filter: LabelFilter = field(default_factory=LabelFilter)
    """Which labels are taken."""
    max_dropped_share: Share = 0.5
    """Largest share of labels that the filter may leave out of a data set; beyond that no training starts."""
    max_broken_share: Share = 0.0
    """Largest share of people whose photos may turn out to be unusable; each gives way to the next person. At 0 the
    first one ends the training."""
    weigh_by_quality: bool = False
    """Whether a part supervises by its quality, else fully."""
    max_validation_people: PositiveInt = 2000
    """Validation people of an evaluation, spread evenly over each set."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body that the labels are labels of."""
    network: RegressorConfig = field(default_factory=RegressorConfig)
    """Size of the network."""
    mean: Annotated[str, PlacedBy(_placed_mean)] = "labels"
    """What the read-outs are added to: the mean of the ``labels``, ``neutral``, or the path of SPIN's
    ``smpl_mean_params.npz``."""
    backbone_weights: PathText | None = None
    """Checkpoint of a backbone to begin with (ViTPose, HMR2, HaMeR or ours), relative to the folder of the settings
    file; null begins at random."""
    backbone_image_px: tuple[int, int] | None = None
    """Height and width of the images that checkpoint was trained on, where they are not those of this network: its
    position table is then interpolated. Without it another size is refused."""
    backbone_expert: int | None = None
    """Which expert of a ViTPose++ checkpoint."""
    regressor_weights: PathText | None = None
    """Regressor of an earlier training to begin with, heads and mean included, relative to the folder of the settings
    file. Its crops may have been of another size: the position table is then interpolated."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Terms and weights."""
    token_keypoints: NonNegativeFloat = 0.0
    """Weight of the loss of model/regressor/token_keypoints.py, for backbones that begin at random."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How crops are varied."""
    output: TrainOutputConfig = field(default_factory=TrainOutputConfig)
    """Files."""

    section: ClassVar[str] = "train"
    """Name of the section in the settings file, and of the step in ``tasks.revisions``."""
    needs_masks: ClassVar[bool] = False
    """Whether people who are rendered for the training are rendered with their masks."""

    @property
    def files(self) -> dict[str, str]:
        """Files that decide the result, by the setting that names them."""
        named = {
            "backbone_weights": self.backbone_weights,
            "mean": None if self.mean in MEANS else self.mean,
            "regressor_weights": self.regressor_weights,
        }
        return {name: path for name, path in named.items() if path is not None}

    def __post_init__(self) -> None:
        for name in ("backbone_image_px", "backbone_expert"):
            if getattr(self, name) is not None and self.backbone_weights is None:
                raise ValueError(
                    f"{name}: says how to read backbone_weights, which are not given; give them or leave it out"
                )
        if self.regressor_weights is not None and (self.backbone_weights is not None or self.mean != "labels"):
            raise ValueError(
                "regressor_weights: bring backbone and mean with them; leave backbone_weights and mean out, or these"
            )
        if not self.datasets and not self.synthetic.train:
            raise ValueError("datasets: nothing to learn from; name a folder of labels, or set synthetic.train")

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, as plain values: not the places of files and not how work is spread.

        Beside ``EngineConfig.deciding``, the number of processes counts where blocks are dropped (see
        ``ProcessConfig``).
        """
        values = EngineConfig.deciding(self)
        for name in ("datasets", "validation", "body_model", "backbone_weights", "regressor_weights", "output"):
            values.pop(name)
        values["synthetic"].pop("folder")
        if self.network.backbone.drop_path > 0:
            values["processes"] = self.run.processes
        values["weights"] = [dataset.weight for dataset in self.datasets]
        if not self.validation_share:
            values.pop("validation_share")  # as in the runs that were begun before it was a setting
        if not self.loss.unseen:
            values["loss"].pop("unseen")  # likewise
        if self.mean not in MEANS:
            values["mean"] = "file"
        return values


def load_train_config(path: str | Path, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Reads the settings of stage 1; see ``load_placed``."""
    return load_placed(TrainConfig, path, TrainConfig.section, overrides, none="synthetic")
