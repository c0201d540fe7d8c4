"""Which corrections of keypoints concern which shard: those of people in its photos."""

from __future__ import annotations

from collections.abc import Iterable

from datasets_manifest.canonical import config_hash
from datasets_manifest.corrections.kept import NONE, Corrections, photo_of, read_corrections
from tasks.annotate.plan_files import planned_shard
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.workspace import ShardRef, Workspace


def shard_corrections(shard: ShardRef, workspace: Workspace, config: AnnotateConfig) -> Corrections:
    """The corrections that hold of people in the photos of a planned shard.

    Raises:
        ValueError: As ``read_corrections``.
        ShardError: The plan cannot be read; it is opened only where its data set has corrections.
    """
    if not read_corrections(config.output.corrections, shard.dataset):
        return NONE
    planned = planned_shard(workspace, shard).columns(["sample_id"])
    return corrections_of(planned["sample_id"].tolist(), shard, config)


def corrections_of(sample_ids: Iterable[str], shard: ShardRef, config: AnnotateConfig) -> Corrections:
    """The same, of planned people."""
    known = read_corrections(config.output.corrections, shard.dataset)
    return known.in_photos({photo_of(sample_id) for sample_id in sample_ids}) if known else NONE


def corrected_inputs(inputs_hash: str, corrections: Corrections) -> str:
    """Hash of what labels are made from: of their plan alone, as it always was, where nothing is corrected."""
    return config_hash([inputs_hash, corrections.digest]) if corrections else inputs_hash
