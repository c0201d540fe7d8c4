"""Masks of annotated people as files beside their labels, for a training that looks at pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_manifest.files import write_bytes, write_text
from datasets_manifest.sources.masks import mask_path, mask_png
from tasks.annotate.plan_files import planned_shards
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.job import ShardJob
from tasks.annotate.steps.masks import AnnotatedMasks
from tasks.annotate.steps.parts import person_batches
from tasks.annotate.workspace import Group, ShardRef, Workspace
from tasks.display import Display

if TYPE_CHECKING:
    from model.estimators.mediapipe.masks import MediapipeMasks

SOURCE_FILE = "source.json"
"""Beside the masks of a data set: what they were made by."""


@dataclass(kw_only=True, slots=True)
class MaskCount:
    """How many masks there are of a split of a data set."""

    folder: Path
    """Where they are, as a training takes it."""
    people: int = 0
    """People with keypoints."""
    masks: int = 0
    """Those of them with a mask."""
    annotated: int = 0
    """Those of the masks that are the data set's own."""

    @property
    def source(self) -> str:
        """What made the masks, and how many of them it did not make; JSON."""
        from model.estimators.mediapipe.masks import mask_info

        said = asdict(mask_info()) | {"masks": self.masks, "annotated": self.annotated}
        return json.dumps(said, indent=2) + "\n"


def write_masks(config: AnnotateConfig, datasets: Sequence[str], out: Path, display: Display) -> list[MaskCount]:
    """Writes the mask of everybody whose keypoints are there, ``<out>/<data set>/<split>/<photo>.png``: the data set's
    own, where it has one, or the pose network's.

    Files of before are replaced; of somebody in whose box the network sees another person there is none.

    Args:
        config: All settings, those that the keypoints were made with.
        datasets: Ids of the data sets; none means all.
        out: Folder of the masks.
        display: Shows how far it is.

    Raises:
        ImportError: The package mediapipe is not installed.
        ValueError: Nothing of these data sets has keypoints, or a photo cannot be read any more.
    """
    from model.estimators.mediapipe.masks import MediapipeMasks

    workspace, estimator = Workspace.of(config.output), MediapipeMasks()
    shards = list(_with_keypoints(workspace, datasets))
    if not shards:
        named = f"data set {' and '.join(datasets)}" if datasets else "any data set"
        raise ValueError(f"no keypoints of {named} in {workspace.work}: annotate first, masks are of those people")
    counts: dict[Group, MaskCount] = {}
    for done, shard in enumerate(shards):
        display.show("shards", done, len(shards), "", None)
        if shard.group not in counts:
            counts[shard.group] = MaskCount(folder=out.joinpath(*shard.group))
        count = counts[shard.group]
        try:
            _write(ShardJob(shard, workspace, config), estimator, count)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        finally:
            write_text(count.folder / SOURCE_FILE, count.source)
    return list(counts.values())


def _write(job: ShardJob, estimator: MediapipeMasks, count: MaskCount) -> None:
    """The masks of a shard; raises as ``person_batches``."""
    people, annotated = job.columns("keypoints"), AnnotatedMasks(job.columns("plan"))
    for batch, rows in person_batches(job):
        masks, are_own = annotated.or_estimated(batch, people["sample_id"][rows].tolist(), estimator.estimate)
        for row, mask, is_own in zip(rows.tolist(), masks, are_own.tolist(), strict=True):
            path = mask_path(count.folder, str(people["image"][row]), int(people["person"][row]))
            if mask is None:
                path.unlink(missing_ok=True)
            else:
                write_bytes(path, mask_png(mask))
            count.people += 1
            count.masks += mask is not None
            count.annotated += is_own


def _with_keypoints(workspace: Workspace, datasets: Sequence[str]) -> Iterator[ShardRef]:
    for shard in planned_shards(workspace):
        if (not datasets or shard.dataset in datasets) and workspace.has_result("keypoints", shard):
            yield shard
