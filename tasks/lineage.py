"""From what a file was made, by the hashes that files state: labels, snapshots of them, checkpoints, predictions,
tables of figures; and what of it is here.

A label file states photos, estimators and body; a snapshot its labels; a checkpoint its labels and the files that it
began from; predictions and tables of figures the checkpoints that they are of. What is here is found by these hashes,
never by a name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from datasets_manifest.files import file_sha256
from datasets_manifest.shards.footer import Footer, ForeignFileError, ShardError
from datasets_manifest.shards.shard import read_footer
from model.tensor_file import LENGTH_BYTES, METADATA_NAME
from tasks.snapshots import FACTS, read_facts
from tasks.wording import counted

SHORT = 12
"""Digits of a hash that are shown."""
_CHECKPOINTS = (".safetensors",)
_WEIGHTS = (*_CHECKPOINTS, ".bin", ".ckpt", ".pt", ".pth")
"""Those of others too, from which trainings begin."""
_ELSEWHERE = ("photos", "estimator", "body")
"""What is told without being looked for."""
_OF_TABLES = (b"checkpoints", b"results")
"""Metadata in which tables of everybody's errors state their checkpoints: of `pear evaluate`, and on benchmarks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Something that a file was made from, or the file itself."""

    role: str
    """Labels, snapshot, predictions, regressor, renderer, figures, photos, estimator or body; of weights of others what
    a training calls them, such as backbone."""
    name: str
    """What it is called, where it has a name."""
    hash: str = ""
    """By which it is known: sha256 of a file, hash of settings or of a manifest."""
    facts: str = ""
    """What else is stated, in words."""
    path: str = ""
    """Where it is here; empty: nowhere."""
    came_from: tuple[Origin, ...] = field(default=())
    """What it was made from in turn, where it is here or what states it says so."""


class Here:
    """The files below a folder, by what they state; hidden folders are passed over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def weights(self) -> Mapping[str, Path]:
        """Checkpoints and weights of others by their sha256."""
        return {file_sha256(path): path for path in self._files() if path.suffix in _WEIGHTS}

    @cached_property
    def labels(self) -> Mapping[tuple[str, str], Path]:
        """A file of labels by data set and hash of the settings, the first of each folder that can be read."""
        found: dict[tuple[str, str], Path] = {}
        seen: set[Path] = set()
        for path in self._files():
            if path.suffix != ".parquet" or path.parent in seen:
                continue
            try:
                footer = read_footer(path)
            except ShardError:
                continue  # Parquet of others, or damaged
            seen.add(path.parent)
            found.setdefault((str(footer.manifest.get("id")), footer.config_hash), path)
        return found

    def _files(self) -> Iterator[Path]:
        for folder, folders, names in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def lineage_of(path: Path, within: Path) -> Origin:
    """What a file was made from.

    Args:
        path: A file of labels or of predictions, or a folder of them, a snapshot, a checkpoint, or a table of figures
            (JSON or Parquet).
        within: The folder below which the things it was made from are looked for.

    Raises:
        ValueError: There is no such file, or it states nothing of where it came from.
    """
    here = Here(within)
    if (path / FACTS).is_file():
        return _of_snapshot(path)
    if path.is_dir():
        found = tuple(_of_folder(own, here) for own in Here(path).labels.values())
        if not found:
            raise ValueError(f"{path} has no labels; name a file of labels, a checkpoint or a table of figures")
        return found[0] if len(found) == 1 else Origin(role="labels", name="", path=str(path), came_from=found)
    if not path.is_file():
        raise ValueError(f"there is no file {path}; name a file of labels, a checkpoint or a table of figures")
    if path.suffix == ".parquet":
        return _of_rows(path, here)
    if path.suffix in _CHECKPOINTS:
        return _of_checkpoint(path, file_sha256(path), here)
    if path.suffix == ".json":
        return _of_figures(path, _json(path), here)
    raise ValueError(
        f"{path}: expected labels or predictions (.parquet), a checkpoint (.safetensors) or figures (.json, .parquet)"
    )


def lines(origin: Origin, depth: int = 0) -> Iterator[str]:
    """The origin and what it came from, a line each, indented."""
    named = " ".join(part for part in (origin.role, origin.name, origin.hash[:SHORT]) if part)
    facts = f" ({origin.facts})" if origin.facts else ""
    place = f": {origin.path}" if origin.path else "" if origin.role in _ELSEWHERE else ": not here"
    yield f"{'  ' * depth}{named}{facts}{place}"
    for other in origin.came_from:
        yield from lines(other, depth + 1)


def _of_folder(shard: Path, here: Here) -> Origin:
    """As one of its shards states it; a data set's labels are of one setting."""
    return _of_shard(read_footer(shard), shard.parent, here)


def _of_rows(path: Path, here: Here) -> Origin:
    """A Parquet file: of labels or predictions, whose footer says so, or of everybody's errors."""
    try:
        return _of_shard(read_footer(path), path, here)
    except ForeignFileError:
        metadata = pq.read_schema(path).metadata or {}
        stated = next((metadata[key] for key in _OF_TABLES if key in metadata), None)
        if stated is None:
            raise
        return _of_figures(path, json.loads(stated), here)


def _of_shard(footer: Footer, path: Path, here: Here) -> Origin:
    return _of_predictions(footer, path, here) if footer.config.get("step") == "predict" else _of_labels(footer, path)


def _of_predictions(footer: Footer, path: Path, here: Here) -> Origin:
    checkpoint = footer.config["checkpoint"]["sha256"]
    estimators = (own for own in footer.estimators if own.get("weights_sha256") != checkpoint)
    return Origin(
        role="predictions",
        name="",
        hash=footer.config_hash,
        facts=f"code {footer.code_version}, {footer.created_utc}",
        path=str(path),
        came_from=(_file("regressor", checkpoint, here), *_estimators(estimators)),
    )


def _of_snapshot(folder: Path) -> Origin:
    """A snapshot, and its labels as their files state them."""
    facts = read_facts(folder)
    found = Here(folder)
    labels = (
        _of_folder(path, found)
        if (path := found.labels.get((own.dataset, own.config_hash)))
        else Origin(role="labels", name=own.dataset, hash=own.config_hash)
        for own in facts.datasets
    )
    told = [f"{facts.people} people", facts.created_utc, f"code {facts.code_version}"]
    told += [f"{counted(count, 'file')} of {name}" for name, count in facts.said.items()]
    return Origin(
        role="snapshot", name=facts.name, hash=facts.hash, facts=", ".join(told), path=str(folder),
        came_from=tuple(labels),
    )  # fmt: skip


def _of_labels(footer: Footer, path: Path | str) -> Origin:
    manifest = footer.manifest
    licence = str(manifest.get("licence") or "no licence stated")
    photos = Origin(
        role="photos", name=f"{manifest.get('id')} {manifest.get('version')}", hash=str(manifest.get("hash", "")),
        facts=licence,
    )  # fmt: skip
    return Origin(
        role="labels",
        name=str(manifest.get("id")),
        hash=footer.config_hash,
        facts=f"code {footer.code_version}, {footer.created_utc}",
        path=str(path),
        came_from=(photos, *_estimators(footer.estimators), *_body(footer.body_model)),
    )


def _estimators(stated: Iterable[Mapping[str, Any]]) -> Iterable[Origin]:
    """Each once: one program may be the estimator of several parts."""
    return dict.fromkeys(
        Origin(
            role="estimator",
            name=f"{own.get('name')} {own.get('version', '')}".strip(),
            hash=str(own.get("weights_sha256") or ""),
            facts=str(own.get("licence") or ""),
        )
        for own in stated
    )


def _body(stated: Mapping[str, Any]) -> Iterator[Origin]:
    if stated:
        yield Origin(
            role="body",
            name=str(stated.get("name", "")),
            hash=str(stated.get("sha256", "")),
            facts=str(stated.get("licence", "")),
        )


def _of_checkpoint(path: Path, sha256: str, here: Here, role: str = "") -> Origin:
    stated = _metadata(path)
    training = {**stated, **stated.get("learnt_from", {}), **stated.get("training", {})}
    came_from = [_stated_labels(own, here) for own in training.get("labels", ())]
    came_from += [_file(kind, own, here) for kind, own in _began_from(training)]
    known = [f"step {stated['step']}"] if "step" in stated else []
    known += [f"code {stated['code_version']}"] if stated.get("code_version") else []
    if not training.get("labels"):
        known.append("states no labels")
    body = stated.get("body_model")
    return Origin(
        role=role or ("regressor" if str(stated.get("format", "")).startswith("ehm-regressor") else "renderer"),
        name="",
        hash=sha256,
        facts=", ".join(known),
        path=str(path),
        came_from=(*came_from, *_body(body if isinstance(body, Mapping) else {})),
    )


def _began_from(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and sha256 of the files that a training began from, as regressors, renderers and GUAVA's state them."""
    for kind, own in training.get("came_from", {}).items():
        if isinstance(own, Mapping) and "sha256" in own:
            yield kind, str(own["sha256"])
    if isinstance(start := training.get("start"), str):
        yield "renderer", start
    for kind, own in training.get("files", {}).items():
        yield "renderer" if kind == "checkpoint" else kind.replace("_", " "), str(own)


def _stated_labels(own: Mapping[str, Any], here: Here) -> Origin:
    dataset, settings = str(own["dataset"]), str(own["config_hash"])
    people = f"{own['people']} people, selection {str(own['snapshot_hash'])[:SHORT]}"
    shard = here.labels.get((dataset, settings))
    if shard is None:
        return Origin(role="labels", name=dataset, hash=settings, facts=people)
    found = _of_folder(shard, here)
    return Origin(role="labels", name=dataset, hash=settings, facts=people, path=found.path, came_from=found.came_from)


def _file(role: str, sha256: str, here: Here) -> Origin:
    path = here.weights.get(sha256)
    if path is None:
        return Origin(role=role, name="", hash=sha256)
    try:
        return _of_checkpoint(path, sha256, here, role)
    except ValueError:  # Weights of others.
        return Origin(role=role, name="", hash=sha256, facts="states nothing", path=str(path))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error})") from error


def _of_figures(path: Path, content: Any, here: Here) -> Origin:
    hashes = dict.fromkeys(_hashes(content))
    if not hashes:
        raise ValueError(f"{path} states no checkpoint by its sha256; figures of `pear evaluate` do")
    came_from = tuple(_file("regressor", sha256, here) for sha256 in hashes)
    return Origin(role="figures", name="", path=str(path), hash=file_sha256(path), came_from=came_from)


def _hashes(content: Any) -> Iterator[str]:
    """sha256 of every checkpoint that figures name, by whatever they are figures of."""
    if isinstance(content, Mapping):
        if isinstance(content.get("sha256"), str) and ("checkpoint" in content or content.get("kind") == "checkpoint"):
            yield content["sha256"]
        for own in content.values():
            yield from _hashes(own)
    elif isinstance(content, list):
        for own in content:
            yield from _hashes(own)


def _metadata(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, of whichever kind; its tensors stay on disk."""
    try:
        if path.suffix not in _CHECKPOINTS:
            raise ValueError(f"it is no {_CHECKPOINTS[0]} file")
        with path.open("rb") as file:
            header = file.read(int.from_bytes(file.read(LENGTH_BYTES), "little"))
        found = json.loads(json.loads(header)["__metadata__"][METADATA_NAME])
    except (ValueError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path} is no checkpoint of this project; nothing is stated of where it came from") from error
    return found if isinstance(found, dict) else {}
