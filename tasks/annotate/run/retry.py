"""Do shards again, with the settings that their data set was annotated with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from datasets_manifest.canonical import config_hash
from datasets_manifest.manifest import load_manifest
from datasets_manifest.shards.footer import ShardError
from datasets_manifest.shards.shard import read_footer
from datasets_manifest.stores import Place
from tasks.annotate.dataset_records import read_record
from tasks.annotate.datasets import find_datasets
from tasks.annotate.plan_files import is_planned
from tasks.annotate.provenance import step_config
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.workspace import Group, ShardRef, Workspace, named_shards, shard_paths


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """Shards of one data set that are to be done again."""

    shards: tuple[str, ...]
    """Their names."""
    origin: Origin
    """The settings, which name the data set and its root too."""


def find_retries(names: Sequence[str], given: Origin) -> list[Retry]:
    """What it takes to do shards again, one entry a data set; everything is checked, nothing is changed.

    Args:
        names: As for ``named_shards``.
        given: Settings that say where the files are. Its replacements come on top of those of the data set's record.

    Raises:
        ValueError: A shard was never planned, its data set is gone, or the shard would get other settings than the
            rest of its data set.
    """
    output = given.config().output
    workspace = Workspace.of(output)
    shards = named_shards(names, workspace.planned_groups())
    for shard in shards:
        if not is_planned(workspace, shard):
            raise ValueError(f"shard {shard.name} was never planned in {workspace.work}; annotate it first")
    found = []
    for group, own in groupby(shards, lambda shard: shard.group):
        origin = _origin(group, given, workspace)
        if origin.config().output != output:
            origin = Origin.of(origin.params, {**origin.overrides, "output": asdict(output)})
        config, retried = origin.config(), tuple(own)
        (dataset,) = find_datasets(config, workspace, origin.folder)
        if dataset.group != group:
            raise ValueError(
                f"{dataset.source} is the manifest of {'/'.join(dataset.group)} now, not {'/'.join(group)}"
            )
        if not dataset.is_rendered:
            dataset.open()
        _check_settings(config, workspace, retried)
        found.append(Retry(shards=tuple(shard.name for shard in retried), origin=origin))
    return found


def _origin(group: Group, given: Origin, workspace: Workspace) -> Origin:
    record = read_record(workspace, group)
    manifest = load_manifest(record.manifest)
    is_rendered = manifest.adapter == "synthetic" and record.root == str(workspace.rendered_path(group[0]))
    chosen: dict[str, Any] = {
        "datasets": [record.manifest],
        "roots": {} if is_rendered else {manifest.id: record.root},
        "frames": asdict(record.frames),
    }
    return Origin.of(record.params, {**record.overrides, **given.overrides, **chosen})


def _check_settings(config: AnnotateConfig, workspace: Workspace, shards: Sequence[ShardRef]) -> None:
    dataset = "/".join(shards[0].group)
    wanted = {config_hash(step_config("refine", config, in_groups=groups)) for groups in (False, True)}
    others = [path for shard, path in shard_paths(workspace.step_folder("refine") / dataset) if shard not in shards]
    if others and not any(_hash(path) in wanted for path in others):
        raise ValueError(
            f"{shards[0].name} would get other settings than the rest of {dataset}, and labels of two settings are no "
            "snapshot; give the whole data set these settings (pear annotate with the same --set), which does again "
            "only what depends on them"
        )


def _hash(path: Place) -> str | None:
    try:
        return read_footer(path).config_hash
    except ShardError:
        return None
