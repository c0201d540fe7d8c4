"""How far predictions on held-out people are from their labels, beside what the mean pose alone would give.

The errors are those of ``model.metrics.person``; `orient_deg` is turned in the crop's camera. A person whose part is
not valid does not count in the figures of that part. `unseen_deg` is no error, since nobody knows what is not seen: how
far the joints that the crop does not show are from the mean pose, also of people seen by the head or a hand alone.
`<part>_off` is by what pixels ask of a regressor (see ``placement``); it has no label and is told as a median.

Legend: B people.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from datasets_manifest.schema.labels import PART_NAMES
from model.batches import map_tensors
from model.body.assets import EhmAssets
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.metrics.person import PosedByParameters, person_errors
from model.metrics.summary import means_and_medians, median_name, rounded
from model.regressor.batch import TrainingBatch
from model.regressor.config import RegressorConfig
from model.regressor.mean_parameters import MeanParameters, people_of
from model.regressor.network import EhmRegressor, Prediction, normalise
from model.regressor.runtime import numerics
from model.regressor.targets import neutral_where_invalid
from model.regressor.unseen import UNSEEN_MEASURES, unseen_deg
from model.renderer.part_windows import PARTS, Part
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.regressor.placement import parts_off

ERRORS = (
    "pa_mpjpe_mm",
    "mpjpe_mm",
    "hand_pa_pve_mm",
    "head_canonical_mm",
    "lip_max_mm",
    "lve_m2",
    "head_scaled_mm",
    "head_posed_mm",
    "head_pa_mm",
    "orient_deg",
)
"""Errors of people that are told, see ``model.metrics.person``."""
MEASURES = (*ERRORS, *UNSEEN_MEASURES)
"""All that parameters alone tell of people: as means and medians."""
PLACES: dict[Part, str] = {part: f"{part}_off" for part in PARTS}
"""How far parts are from where the photo shows them, as a share of their square: as medians."""
TOLD = (*MEASURES, *PLACES.values())
"""All that is told of people."""
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
        """``people``, the mean of every measure under its own name and its median (``pa_mpjpe_median_mm``), the median
        of every place (``head_off``), and all of these of the mean pose under ``mean_pose_<figure>``; None where no
        person has that part."""
        found = {"people": len(self.network.sample_ids), **summarise(self.network)}
        return found | {f"{MEAN_POSE}{name}": value for name, value in summarise(self.mean_pose).items()}

    @property
    def sentence(self) -> str:
        """The measures that somebody tells, beside those of the mean pose."""
        figures = self.figures
        return ", ".join(
            f"{name} {said(name, figures[name])} (mean pose {said(name, figures[f'{MEAN_POSE}{name}'])})"
            for name in TOLD
            if figures[name] is not None
        )

    def parquet(self) -> bytes:
        """The table as the bytes of a file."""
        return parquet_of(self.table())

    def table(self) -> pa.Table:
        """One row a person: ``sample_id`` and the measures, those of the hands with ``left_`` and ``right_`` before
        them; null where the label says nothing of that part."""
        columns: dict[str, pa.Array] = {"sample_id": pa.array(self.network.sample_ids, pa.string())}
        for prefix, errors in (("", self.network), (MEAN_POSE, self.mean_pose)):
            for name, values in errors.values.items():
                sides = ("left_", "right_") if values.ndim == 2 else ("",)
                for side, column in zip(sides, values.reshape(len(values), len(sides)).T, strict=True):
                    columns[f"{prefix}{side}{name}"] = pa.array(column, pa.float32(), mask=~np.isfinite(column))
        return pa.table(columns)


class Evaluator:
    """Measures predictions against labels.

    Args:
        assets: The body of the labels.
        config: Numbers of coefficients.
        mean: What joints that a crop does not show are compared with; on the device.
        device: Where bodies are posed.
    """

    def __init__(
        self, assets: EhmAssets, config: RegressorConfig, mean: MeanParameters, device: torch.device | str = "cpu"
    ) -> None:
        self._posed = PosedByParameters(assets, config.size, device=device)
        self._body = KeypointBody(assets, config.size).to(device)
        self._focal_sides = config.focal_sides
        self._mean = people_of(mean)

    def errors(self, said: EhmParameters, batch: TrainingBatch) -> Errors:
        """Errors of predictions (B) against the labels of a batch (B); bodies are posed in float32 whatever the process
        is set to."""
        label = neutral_where_invalid(batch)  # what is not valid may be anything, and must not end the alignment
        with numerics("fp32", batch.weight.device):
            predicted, truth = self._posed(said), self._posed(label)
            unseen = {name: value.cpu().numpy() for name, value in unseen_deg(said, self._mean, batch).items()}
        valid = {part: getattr(batch, f"{part}_valid").cpu().numpy() for part in PART_NAMES}
        found = person_errors(predicted, truth, valid) | unseen
        return Errors(sample_ids=batch.sample_ids, values={name: found[name] for name in MEASURES})

    def placed_errors(self, said: Prediction, batch: TrainingBatch) -> Errors:
        """The errors, and how far parts are from where the crops show them."""
        found = self.errors(said.parameters, batch)
        with numerics("fp32", batch.weight.device):
            off = parts_off(said, self._body, batch.keypoints_2d, PARTS, self._focal_sides)
        return Errors(
            sample_ids=found.sample_ids, values={**found.values, **{PLACES[part]: off[part] for part in PARTS}}
        )


def parquet_of(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    data = io.BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


def mean_people(mean: MeanParameters, count: int) -> EhmParameters:
    """The mean parameters for each of some people."""
    return map_tensors(people_of(mean), lambda value: value.expand(count, *value.shape))


@torch.no_grad()
def evaluate(
    network: EhmRegressor, batches: Iterable[TrainingBatch], evaluator: Evaluator, group: ProcessGroup
) -> HeldOut:
    """Errors of a network and of its mean parameters on held-out people.

    Args:
        network: On this process' device.
        batches: This process' share of the people.
        evaluator: On the same device.
        group: The processes that share the people.

    Returns:
        Of the people of all processes, ordered by sample id; on each process.
    """
    was_training = network.training
    network.eval()
    own: list[tuple[Errors, Errors]] = []
    for batch in batches:
        placed = batch.to(group.device)
        usual = Prediction(
            parameters=mean_people(network.mean, len(placed)),
            camera=network.mean["camera"].expand(len(placed), -1),
        )
        said = network(normalise(placed.crops))
        own.append((evaluator.placed_errors(said, placed), evaluator.placed_errors(usual, placed)))
    network.train(was_training)
    pairs = [pair for share in group.all_gather(own) for pair in share]
    return HeldOut(network=joined([pair[0] for pair in pairs]), mean_pose=joined([pair[1] for pair in pairs]))


def joined(errors: Sequence[Errors]) -> Errors:
    """The people of several batches ordered by sample id, the same however they were spread over processes."""
    if not errors:
        return Errors(sample_ids=(), values={})
    ids = [sample_id for entry in errors for sample_id in entry.sample_ids]
    order = np.argsort(np.array(ids, dtype=object), kind="stable")
    values = {name: np.concatenate([entry.values[name] for entry in errors])[order] for name in errors[0].values}
    return Errors(sample_ids=tuple(ids[i] for i in order), values=values)


def summarise(errors: Errors) -> dict[str, float | None]:
    """Mean and median of every measure, and the median of every place, over those who have that part."""
    nobody = np.zeros(0)
    figures = means_and_medians({name: errors.values.get(name, nobody) for name in TOLD})
    figures |= {name: figures.pop(median_name(name)) for name in PLACES.values()}
    return {name: None if value is None else rounded(value) for name, value in figures.items()}


def said(name: str, value: float | None) -> str:
    """A figure for people to read."""
    if value is None:
        return "-"
    if name in PLACES.values():
        return f"{value:.1%}"
    return f"{value:.2e}" if name.endswith("_m2") else f"{value:.1f}"
