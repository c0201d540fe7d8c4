"""``pear snapshot``: labels as they are now, as a data set of DVC that a tag names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.command_line import Params, Settings, one_sentence, parse_settings

if TYPE_CHECKING:
    from tasks.snapshots import LabelSnapshot


def snapshot(
    name: Annotated[str | None, typer.Argument(help="What it is called; without a name those that are here.")] = None,
    note: Annotated[str, typer.Option(help="What for.")] = "",
    push: Annotated[bool, typer.Option("--push", help="Send it to the DVC remote as well.")] = False,
    remote: Annotated[str | None, typer.Option(help="Name of that remote; default: the project's.")] = None,
    tag: Annotated[bool, typer.Option(help="In a git repository, commit its .dvc file and tag that.")] = True,
    check: Annotated[bool, typer.Option("--check", help="Compare one that is here with the hashes it states.")] = False,
    reviews: Annotated[Path, typer.Option(help="Folder of the verdicts.")] = Path("reviews"),
    params: Params = Path("params.yaml"),
    settings: Settings = None,
) -> None:
    """Keep labels, verdicts and corrections as they are now under a name, as a data set of DVC with a tag of git.

    `dvc pull snapshots/NAME.dvc` brings it back, `pear lineage snapshots/NAME` says what is in it.
    """
    with one_sentence():
        from datasets_manifest.paths import placed
        from tasks.snapshots import check_name, differences, list_snapshots

        project = placed(Path())
        if name is None:
            found = [own.line for own in list_snapshots(project)]
            typer.echo("\n".join(found) or "there are no snapshots here yet; `pear snapshot NAME` takes one")
            return
        check_name(name)
        if check:
            if wrong := list(differences(project / "snapshots" / name)):
                raise ValueError(" ".join(wrong[:10]) + (f" ... and {len(wrong) - 10} more" if len(wrong) > 10 else ""))
            typer.echo(f"snapshots/{name}: every file is as it was taken")
            return
        is_sent = push or remote is not None
        if not _is_kept(project, name, with_tag=tag):
            taken = _take(name, project, placed(reviews), params, parse_settings(settings, params), note)
            typer.echo(taken.line)
            typer.echo(_kept(project, taken, with_tag=tag))
        elif not is_sent:
            raise ValueError(f"there is a snapshot {name} already, and a snapshot never changes; take another name")
        if is_sent:
            _dvc(project, "push", f"snapshots/{name}.dvc", *(["--remote", remote] if remote else []))
            typer.echo(f"pushed to {remote or 'the default remote'}")


def _take(name: str, project: Path, reviews: Path, params: Path, overrides: dict[str, Any], note: str) -> LabelSnapshot:
    from tasks.annotate.finished import open_journal
    from tasks.annotate.settings import Origin
    from tasks.annotate.workspace import Workspace
    from tasks.snapshots import FOLDER, differences, read_facts, take_snapshot

    if not any((folder / ".dvc").is_dir() for folder in (project, *project.resolve().parents)):
        raise ValueError(f"{project} is no project of DVC; `dvc init` makes it one (outside of git: --no-scm)")
    folder = project / FOLDER / name
    if folder.exists():  # It was stopped before it had all that it gets.
        if wrong := next(differences(folder), None):
            raise ValueError(f"{folder} was left unfinished and has changed since: {wrong} Delete the folder first")
        return read_facts(folder)
    output = Origin.of(params, overrides).config().output
    said = {"reviews": reviews, "corrections": Path(output.corrections)}
    workspace = Workspace.of(output)
    return take_snapshot(name, project, workspace.labels, said, open_journal(workspace), note)


def _is_kept(project: Path, name: str, *, with_tag: bool) -> bool:
    """Whether a snapshot has all that it gets but for a remote."""
    from tasks.snapshots import FOLDER

    folder, pointer = project / FOLDER / name, project / FOLDER / f"{name}.dvc"
    if _is_git(project) and _git(project, "tag", "--list", _tag(name)):
        return True
    return pointer.exists() and (not with_tag or not _is_git(project) or not folder.exists())


def _kept(project: Path, taken: LabelSnapshot, *, with_tag: bool) -> str:
    """Gives a snapshot to DVC and, in a git repository, tags it; says what was done."""
    name, pointer = taken.name, f"snapshots/{taken.name}.dvc"
    _dvc(project, "add", f"snapshots/{name}")
    if not with_tag or not _is_git(project):
        return f"{pointer} names it; keep that file with your code"
    try:
        _git(project, "add", "--", pointer, "snapshots/.gitignore")
        if _git(project, "status", "--porcelain", "--", pointer, "snapshots/.gitignore"):
            _git(project, "commit", "--quiet", "-m", f"Snapshot {taken.line}", "--", pointer, "snapshots/.gitignore")
        _git(project, "tag", "--annotate", _tag(name), "-m", taken.line)
    except ValueError as error:
        return f"{pointer} names it; it has no tag, since {error}. Commit it and type: git tag {_tag(name)}"
    return f"{pointer} is committed and has the tag {_tag(name)}"


def _tag(name: str) -> str:
    return f"snapshot/{name}"


def _is_git(project: Path) -> bool:
    return _said(project, "git", "rev-parse", "--is-inside-work-tree").returncode == 0


def _git(project: Path, *words: str) -> str:
    return _checked(_said(project, "git", *words), f"git {words[0]}")


def _dvc(project: Path, *words: str) -> str:
    return _checked(_said(project, sys.executable, "-m", "dvc", *words, "--quiet"), f"dvc {words[0]}")


def _said(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, 127, "", f"{words[0]} is not installed")


def _checked(done: subprocess.CompletedProcess[str], what: str) -> str:
    """What a program printed.

    Raises:
        ValueError: It did not end well; in its own words.
    """
    if done.returncode:
        words = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ValueError(f"{what} says: {' '.join(words[-3:]) or f'exit code {done.returncode}'}")
    return done.stdout
