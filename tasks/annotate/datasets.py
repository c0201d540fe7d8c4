"""The data sets of a run, and the record of each: where it came from, so that it is found again from any folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_text
from datasets_manifest.manifest import Manifest, load_manifest, open_source
from datasets_manifest.named_sources import fixed_root, is_manifest
from datasets_manifest.paths import is_address
from datasets_manifest.placed_settings import placed_overrides
from datasets_manifest.settings import read_settings
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.video import ALL_FRAMES, FrameChoice
from tasks.annotate.settings import AnnotateConfig, Origin
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Dataset:
    """One data set of a run."""

    source: str
    """As ``DatasetRecord.manifest``."""
    manifest: Manifest
    """What data it is, with the root that is read."""
    is_rendered: bool
    """Whether the photos are rendered into that root first."""
    frames: FrameChoice
    """As ``DatasetRecord.frames``."""
    results: tuple[Path, ...]
    """Folders of the run's results: pictures in those below the root are no photos of the data set."""

    @property
    def group(self) -> Group:
        """Data set and split."""
        return self.manifest.id, self.manifest.split

    def open(self) -> ImageSource:
        """Its photos.

        Raises:
            ValueError: As ``open_source``.
        """
        return open_source(self.manifest, results=self.results)

    def record(self, origin: Origin, images_per_shard: int) -> DatasetRecord:
        """What is to be remembered of it."""
        chosen = {name: value for name, value in origin.overrides.items() if name.partition(".")[0] not in _CHOICES}
        return DatasetRecord(
            manifest=self.source,
            root=self.manifest.root,
            params=str(origin.params),
            overrides=chosen,
            images_per_shard=images_per_shard,
            frames=self.frames,
        )


_CHOICES = ("datasets", "roots", "frames")
"""Settings that say what to annotate, not how."""


def find_datasets(config: AnnotateConfig, workspace: Workspace, folder: Path) -> list[Dataset]:
    """The data sets that the settings name; nothing is read but their manifests.

    Args:
        config: All settings.
        workspace: Where files are.
        folder: That of the settings file, which the roots that manifests state are relative to; absolute.

    Raises:
        ValueError: Unknown id, broken manifest, or two data sets of one id, whose metrics would be the same; or a store
            of the workspace cannot be looked at.
    """
    workspace.check_stores()
    found = [_find(source, config, workspace, folder) for source in config.datasets]
    ids = [dataset.manifest.id for dataset in found]
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        raise ValueError(f"data set {', '.join(repeated)} is named more than once; name each data set of a run once")
    return found


def _find(source: str, config: AnnotateConfig, workspace: Workspace, folder: Path) -> Dataset:
    manifest = load_manifest(source, frames=config.frames)
    name = config.ids.get(manifest.id, manifest.id)
    is_rendered = manifest.adapter == "synthetic" and manifest.id not in config.roots
    root = str(workspace.rendered_path(name)) if is_rendered else config.roots.get(manifest.id, manifest.root)
    return Dataset(
        source=source,
        manifest=dataclasses.replace(manifest, id=name, root=fixed_root(root, folder)),
        is_rendered=is_rendered,
        frames=ALL_FRAMES if is_manifest(source) else config.frames,
        results=tuple(
            Path(output)
            for output in (config.output.work, config.output.labels, config.output.report)
            if not is_address(output)
        ),
    )


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
