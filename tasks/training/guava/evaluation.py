"""How like held-out photos are to what is drawn of them from another photo of the person."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from model.batches import map_tensors
from model.renderer.overlay import encode_png
from model.renderer.perceptual.similarity import psnr_db, ssim
from tasks.training.engine.distributed import ProcessGroup
from tasks.training.engine.experiment import some_of
from tasks.training.guava.objective import GuavaObjective
from tasks.training.guava.pairs import PairBatch

RAW = "raw_"
"""Prefix of the figures of what is drawn before the refiner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOutFrames:
    """Figures within the masks, of each frame."""

    by_name: Mapping[str, Mapping[str, float]]
    """Sample id to figures."""

    @property
    def figures(self) -> dict[str, float | int | None]:
        """Their number and their means."""
        rows = list(self.by_name.values())
        names = list(rows[0]) if rows else []
        return {"frames": len(rows), **{name: float(np.nanmean([row[name] for row in rows])) for name in names}}

    @property
    def sentence(self) -> str:
        """The means of what is drawn in the end."""
        return ", ".join(f"{name} {value:.4g}" for name, value in self.figures.items() if not name.startswith(RAW))

    def parquet(self) -> bytes:
        """One row a frame as the bytes of a file, ordered by sample id."""
        rows = [{"sample_id": name, **self.by_name[name]} for name in sorted(self.by_name)]
        data = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows) if rows else pa.table({"sample_id": pa.array([], pa.string())}), data)
        return data.getvalue()


@torch.no_grad()
def evaluate(
    objective: GuavaObjective, batches: Iterable[PairBatch], group: ProcessGroup, *, at_once: int
) -> HeldOutFrames:
    """Figures of all processes' frames, the same on each.

    Args:
        objective: What draws, in evaluation mode.
        batches: This process' share.
        group: The processes.
        at_once: Pairs that are drawn together; one takes gigabytes at the published size.
    """
    own: dict[str, dict[str, float]] = {}
    for batch in _parts(batches, at_once):
        placed = map_tensors(batch, lambda tensor: tensor.to(group.device))
        drawn = objective.draw(placed)
        target, mask = placed.target.picture, placed.target.mask > 0.5
        found: dict[str, list[float]] = {}
        for prefix, picture in (("", drawn.refined), (RAW, drawn.raw)):
            found[f"{prefix}psnr_db"] = psnr_db(picture, target, mask).tolist()
            found[f"{prefix}ssim"] = ssim(picture, target, mask).tolist()
            found[f"{prefix}{objective.loss.term.name}"] = objective.perceptual.of_each(picture, target, mask).tolist()
        for row, sample_id in enumerate(batch.sample_ids):
            own[sample_id] = {name: values[row] for name, values in found.items()}
    return HeldOutFrames(by_name={name: row for share in group.all_gather(own) for name, row in share.items()})


def _parts(batches: Iterable[PairBatch], size: int) -> Iterator[PairBatch]:
    """The batches in smaller ones."""
    for batch in batches:
        for rows in torch.arange(len(batch.sample_ids)).split(size):
            yield some_of(batch, rows.tolist())


@torch.no_grad()
def sheet(objective: GuavaObjective, batch: PairBatch) -> bytes:
    """A row a pair as a PNG: known from, to be drawn, before the refiner, drawn."""
    rows = []
    for row in range(len(batch.sample_ids)):
        pair = map_tensors(batch, lambda tensor, row=row: tensor[row : row + 1])
        drawn = objective.draw(pair)
        size = drawn.raw.shape[2:]
        source = torch.nn.functional.interpolate(pair.source.picture, size, mode="bilinear", antialias=True)
        rows.append(torch.cat([source, pair.target.picture, drawn.raw, drawn.refined], 3)[0])
    pixels = (255 * torch.cat(rows, 1).clamp(0, 1)).round().to(torch.uint8)
    return encode_png(pixels.permute(1, 2, 0).cpu().numpy())
