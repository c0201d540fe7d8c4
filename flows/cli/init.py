"""``pear init``: a project folder of one's own, anywhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from datasets_manifest.paths import placed
from flows.cli.command_line import one_sentence

_MANIFEST = "photos.yaml"
_TEMPLATES = {"params.yaml": "params.yaml", "dvc.yaml": "stages.yaml", ".gitignore": "gitignore"}
"""File of the project to file of ``flows/cli/project``, where no name may be one that DVC or git reads by itself."""


def init(
    folder: Annotated[Path, typer.Argument(help="Project folder; made if it is not there.")] = Path("."),
    photos: Annotated[
        Path | None, typer.Option(help="Where the photos lie.", show_default="photos in the project folder")
    ] = None,
) -> None:
    """Make a project folder: settings, the manifest of one's photos, a DVC stage and a .gitignore."""
    with one_sentence():
        folder = placed(folder)
        root = Path("photos") if photos is None else _root(placed(photos), folder)
        written = _contents(folder, root)
        there = [name for name in (*written, ".dvc") if (folder / name).exists()]
        if there:
            raise ValueError(f"{folder} has {' and '.join(there)} already; name another folder, nothing was written")
        for name, text in written.items():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        _init_dvc(folder)
        typer.echo(f"{folder}: {', '.join(written)} and .dvc")
        typer.echo(
            f"photos are read from {folder.resolve() / root}; next: cd {shlex.quote(str(folder))} && pear annotate"
        )


def _root(photos: Path, folder: Path) -> Path:
    """The folder of photos as the manifest names it: below the project relative to it, so that both can be moved."""
    photos, folder = (Path(os.path.abspath(path)) for path in (photos, folder))
    return photos.relative_to(folder) if photos.is_relative_to(folder) else photos


def _contents(folder: Path, root: Path) -> dict[str, str]:
    """Text of each file of the project. The manifest is that of ``my_photos`` with a name and a root of its own."""
    template = (files("datasets_manifest") / "manifests/my_photos.yaml").read_text(encoding="utf-8")
    dataset = re.sub(r"[^A-Za-z0-9_.-]+", "_", folder.resolve().name).strip("_.-") or "photos"
    fields = re.sub(r"(?m)^#.*\n", "", template)
    fields = re.sub(r"(?m)^id: .*$", lambda _: f'id: "{dataset}"', fields)
    fields = re.sub(r"(?m)^root: .*$", lambda _: f"root: {_quoted(str(root))}", fields)
    project = files("flows.cli") / "project"
    texts = {name: (project / source).read_text(encoding="utf-8") for name, source in _TEMPLATES.items()}
    return {**texts, _MANIFEST: f"# What data this is, for people and for the labels: see docs/annotate.md.\n{fields}"}


def _quoted(text: str) -> str:
    """A scalar of YAML that is this text, whatever is in it."""
    return "'" + text.replace("'", "''") + "'"


def _init_dvc(folder: Path) -> None:
    """Makes the folder a DVC project, tracked by the git repository it lies in, if any; DVC tells nobody of its use."""
    folder = folder.resolve()
    tracked = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), None)
    how = ["--no-scm"] if tracked is None else [] if tracked == folder else ["--subdir"]
    subprocess.run([sys.executable, "-m", "dvc", "init", *how, "--quiet"], cwd=folder, check=True)
    settings = folder / ".dvc/config"  # Its one section is [core], if any; `dvc config` takes half a second a line.
    core = settings.read_text(encoding="utf-8") or "[core]\n"
    settings.write_text(f"{core}    analytics = false\n    check_update = false\n", encoding="utf-8")
