"""The data sets of a run, as settings name them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from datasets_manifest.manifest import Manifest, load_manifest, open_source
from datasets_manifest.named_sources import fixed_root, is_manifest
from datasets_manifest.paths import is_address
from datasets_manifest.sources.frame_choice import ALL_FRAMES, FrameChoice
from datasets_manifest.sources.image_source import ImageSource
from tasks.annotate.dataset_records import DatasetRecord
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.workspace import Group, Workspace


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
