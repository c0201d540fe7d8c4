"""The record of each data set that was annotated: where it came from, so that it is found again from any folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_text
from datasets_manifest.placed_settings import placed_overrides
from datasets_manifest.settings import read_settings
from datasets_manifest.sources.frame_choice import ALL_FRAMES, FrameChoice
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.workspace import Group, Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetRecord:
    """Where one split of a data set came from; every path means the same in any working folder."""

    manifest: str
    """Id of a manifest that comes with the project, or path of a file."""
    root: str
    """Where its photos lie."""
    params: str
    """Settings file of its last run."""
    overrides: dict[str, Any]
    """What replaced settings of that file, but for the choice of the data sets and their roots."""
    images_per_shard: int
    """Photos that a new shard is given."""
    frames: FrameChoice = ALL_FRAMES
    """Which frames of videos it has, where it is a path without a manifest."""


def write_record(workspace: Workspace, group: Group, record: DatasetRecord) -> None:
    """Remembers where a data set came from; a file that says so already stays untouched."""
    path, text = workspace.record_path(group), json.dumps(dataclasses.asdict(record), indent=2) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def read_record(workspace: Workspace, group: Group) -> DatasetRecord:
    """Where a data set came from.

    Raises:
        ValueError: It was never annotated here, or the record cannot be read; the sentence says what to do.
    """
    path = workspace.record_path(group)
    try:
        values: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        record = read_settings(DatasetRecord, values, str(path))
        # Records of earlier versions have relative paths, which were relative to the folder of the settings file.
        overrides = placed_overrides(record.overrides, AnnotateConfig, Path(record.params).parent)
        return dataclasses.replace(record, overrides=overrides)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"data set {'/'.join(group)}: where it came from cannot be read ({error}); "
            "annotate it once more, which skips what is done"
        ) from error
