"""Commands that a person is told to type: whole, so that they do the same in any shell and any working folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.annotate.dataset_records import read_record
from tasks.annotate.settings import Origin
from tasks.annotate.workspace import Group, ShardRef, Workspace


def command(origin: Origin, *words: str) -> str:
    """``pear`` with some words, and those that name the settings file and where files are.

    Args:
        origin: Of the settings that say where files are. On a screen the command does not name them where these are
            ``params.yaml`` in the working folder and nothing else.
        words: What is to be done, such as ``inspect`` and a person.
    """
    return shlex.join(["pear", *words, *_given(origin, _places(origin))])


def retry_command(shard: ShardRef, origin: Origin) -> str:
    """The command that does a shard again from its photos."""
    return command(origin, "retry", shard.name)


def annotate_command(group: Group, workspace: Workspace, origin: Origin) -> str:
    """The command that annotates a data set again with all it was given the last time, where that is known."""
    try:
        record = read_record(workspace, group)
    except ValueError:  # It was annotated by a version that kept no record, or the record is damaged.
        return command(origin, "annotate")
    chosen = dict(record.overrides)
    ids: Mapping[str, str] = chosen.pop("ids", {})
    own = next((name for name, other in ids.items() if other == group[0]), group[0])
    words = ["annotate", record.manifest]
    if record.root != str(workspace.rendered_path(group[0])):
        words += ["--root", f"{own}={record.root}"]
    if own != group[0]:
        words += ["--id", group[0]]
    words += [word for name, value in record.frames.stated.items() for word in (f"--{name}", f"{value:g}")]
    last = replace(origin, params=Path(record.params), overrides=chosen)
    return shlex.join(["pear", *words, *_given(last, chosen | _places(origin))])


def _places(origin: Origin) -> dict[str, Any]:
    return {name: value for name, value in origin.overrides.items() if name.partition(".")[0] == "output"}


def _given(origin: Origin, settings: Mapping[str, Any]) -> list[str]:
    """Words that name a settings file and replace settings of it."""
    is_usual = not settings and origin.params == Path("params.yaml").absolute()
    words = [] if is_usual and not origin.is_told_in_files else ["--params", str(origin.params)]
    return [*words, *(word for name, value in settings.items() for word in ("--set", _setting(name, value)))]


def _setting(name: str, value: Any) -> str:
    """A setting as the command line takes it."""
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"
