"""Known truth as labels: rendered people become label shards without any estimator or fit."""

from __future__ import annotations

from pathlib import Path

from datasets_manifest.selection import LabelSet
from model.body.ehms import EHMs
from tasks.synthesise import SyntheticConfig


def label_truth(dataset_dir: Path, labels_dir: Path, *, dataset: str = "synthetic", split: str = "all") -> Path:
    """Writes the truth of rendered people as one label shard; returns its path.

    Args:
        dataset_dir: Folder with ``images/`` and ``truth.parquet``.
        labels_dir: The shard becomes ``<labels_dir>/<dataset>/<split>/00000.parquet``.
        dataset: Name of the data set in the rows.
        split: Its split.

    Raises:
        ValueError: There is no truth, or it cannot be read.
    """
    raise NotImplementedError


def synthetic_people(
    folder: Path, config: SyntheticConfig, body: EHMs, *, jobs: int = 1, dataset: str = "synthetic", split: str = "all"
) -> LabelSet:
    """Renders people into a folder and labels them with their truth, unless that is done.

    Args:
        folder: ``images/``, ``truth.parquet`` and ``labels/`` go there; one folder a seed.
        config: What to render; sets of different seeds share no person.
        body: The body model.
        jobs: Processes; the files are the same for any number.
        dataset: Name of the data set in the rows.
        split: Its split.

    Returns:
        Labels and photos, as a training takes them.
    """
    raise NotImplementedError
