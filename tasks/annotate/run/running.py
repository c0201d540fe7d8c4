"""Who annotates which data set in a workspace: while one is at it, runs of other settings are refused, and such as
would begin the data set anew.

work/running/<dataset>/<split>/<process>.json    a run that lasts, see ``datasets_manifest.files.held_record``
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from datasets_manifest.files import held_record
from datasets_manifest.shards.footer import differing_settings
from tasks.annotate.datasets import Dataset
from tasks.annotate.plan.shared_plan import set_plan_back, set_plan_forth
from tasks.annotate.provenance import step_config
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.workspace import Group, Workspace


class AlreadyRunning(ValueError):
    """Another process annotates the same data set, and this run would be in its way."""


@contextmanager
def held_datasets(
    workspace: Workspace, config: AnnotateConfig, datasets: Iterable[Dataset], *, replace: bool = False
) -> Iterator[set[Group]]:
    """Holds the data sets of a run for as long as the block lasts; runs of the same settings hold them together.

    The block is given those that other runs held already.

    Args:
        workspace: Where they are annotated.
        config: All settings.
        datasets: Those of the run.
        replace: Whether the run begins them anew, which takes the files of any other run from it.

    Raises:
        AlreadyRunning: Another run holds one of them with settings of its own, or one of the two begins it anew.
    """
    labels = step_config("refine", config, in_groups=True)
    shared: set[Group] = set()
    with ExitStack() as held:
        for dataset in datasets:
            name = "/".join(dataset.group)
            settings = {
                "reads": {"refine": labels},
                "run": {"images_per_shard": config.run.images_per_shard},
                "output": {"shards_per_file": config.output.shards_per_file},
                "manifest": dataset.manifest.hash,
                "root": dataset.manifest.root,
            }
            record = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                "command": shlex.join(sys.argv),
                "settings": settings,
                "replace": replace,
            }

            def check(
                other: Mapping[str, Any],
                name: str = name,
                settings: Mapping[str, Any] = settings,
                group: Group = dataset.group,
            ) -> None:
                differing = differing_settings(other["settings"], settings)
                if differing or replace or other.get("replace"):
                    how = (
                        f"with other settings in {workspace.work} ({differing})"
                        if differing
                        else (f"in {workspace.work}, and one of the two runs begins it anew (--replace),")
                    )
                    raise AlreadyRunning(
                        f"data set {name} is being annotated {how} by "
                        f"process {other['pid']} on {other['host']} since {other['since']}: {other['command']}. Wait "
                        "until it is over, or give this run folders of its own (--set output.work=... "
                        "--set output.labels=...)"
                    )
                shared.add(group)

            held.enter_context(held_record(workspace.work / "running" / name, record, check))
            if dataset.group not in shared:
                set_plan_back(workspace, dataset.group)
                held.callback(set_plan_forth, workspace, dataset.group)
        yield shared
