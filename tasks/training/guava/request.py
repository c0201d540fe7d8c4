"""From settings to what the processes of a training are given: labels are read and checked once, by who starts them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.canonical import config_hash
from datasets_manifest.files import sweep_temporary, write_text
from datasets_manifest.shards.body_entry import body_identity
from datasets_manifest.shards.label_sets import check_same_body, check_splits
from model.renderer.guava.body import guava_body
from model.renderer.perceptual.term import build_perceptual
from model.weights import checkpoint_sha256
from tasks.body_model import ehm_assets
from tasks.display import Display
from tasks.revisions import REVISIONS
from tasks.settings import check_files
from tasks.training.engine.config import from_plain, to_plain
from tasks.training.engine.prepared import PreparedRun, prepare_run
from tasks.training.engine.run_folder import RunFolder
from tasks.training.guava.publish import publish_run
from tasks.training.guava.same_person import SamePerson
from tasks.training.guava.settings import GuavaTrainConfig
from tasks.training.labelled_photos import LabelledPhotos, check_apart, open_labelled, read_labelled, write_labelled

MODULE = "tasks.training.guava"
"""What each process of the training runs."""
NETWORK = "guava"
"""What the trained network is called in the files of a run, and the step in ``tasks.revisions``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuavaPlan:
    """A training that may start."""

    config: GuavaTrainConfig
    """All settings."""
    training: tuple[LabelledPhotos, ...]
    """Whose photos are learnt from."""
    validation: tuple[LabelledPhotos, ...]
    """Whose photos are evaluated on."""
    stated: Mapping[str, Any]
    """Everything that decides the result."""

    @property
    def run_hash(self) -> str:
        """Over everything that decides the result."""
        return config_hash(self.stated)

    @property
    def folder(self) -> RunFolder:
        """Where the run keeps its files."""
        return RunFolder.of(self.config.output.runs, self.run_hash, NETWORK)

    def lines(self) -> list[str]:
        """What will be done, for a log."""
        said = [f"learns from {self._sentence(people)}" for people in self.training]
        said += [f"evaluates on {self._sentence(people)}" for people in self.validation]
        config = self.config
        return [*said, f"{config.steps} steps of {config.global_batch} pairs; run {self.folder.root.name}"]

    def _sentence(self, people: LabelledPhotos) -> str:
        count = len(SamePerson(self.config.same_person).photos(people, first=False))
        return f"{people.selection.sentence} Of {count} of them there is another photo."


def open_plan(config: GuavaTrainConfig) -> GuavaPlan:
    """Reads and checks everything that a training needs.

    Raises:
        ValueError: Labels, photos, masks or files are missing or do not fit each other, or nobody is in two photos.
    """
    check_files(config.files)
    build_perceptual(config.loss.term, backbone=config.perceptual_backbone, linear=config.perceptual_linear)
    assets = ehm_assets(config.body_model)
    guava_body(assets)
    same = SamePerson(config.same_person)
    training, validation = (
        tuple(
            open_labelled(
                entry,
                config.filter,
                max_dropped_share=config.max_dropped_share,
                body_model=assets.entry,
                size=config.coefficients,
                is_learnt_from=learnt,
            )
            for entry in sets
        )
        for learnt, sets in ((True, config.datasets), (False, config.validation))
    )
    for people in (*training, *validation):
        same.photos(people, first=False)
    everybody = [people.selection for people in (*training, *validation)]
    check_same_body(everybody)
    check_splits(everybody, config.filter.splits)
    check_apart(training, validation)
    stated = {
        "revision": REVISIONS[NETWORK],
        "settings": config.deciding(),
        "snapshots": [people.selection.snapshot_hash for people in training],
        "validation": [people.selection.snapshot_hash for people in validation],
        "body_model": body_identity(assets.entry),
        "files": {name: checkpoint_sha256(path) for name, path in config.files.items()},
    }
    shortened = tuple(_shortened(people, same, config.max_validation_frames) for people in validation)
    return GuavaPlan(config=config, training=training, validation=shortened, stated=stated)


def prepare(config: GuavaTrainConfig, display: Display | None = None) -> PreparedRun:
    """Checks everything that a training needs and writes its request, unless it has finished already.

    Raises:
        ValueError: See ``open_plan``; or the run has been trained beyond the steps of the settings.
    """
    plan = open_plan(config)
    publish = partial(publish_run, plan.folder, config.output, config.loss.term.name)
    return prepare_run(plan, MODULE, lambda: write_request(plan), publish)


def write_request(plan: GuavaPlan) -> None:
    """Writes selection and request into the run's folder; those that were there are replaced."""
    if plan.folder.root.is_dir():
        sweep_temporary(plan.folder.root, recursive=False)
    request = {
        "experiment": NETWORK,
        "stated": dict(plan.stated),
        **write_labelled(plan.folder.selection, plan.training, plan.validation),
        "settings": to_plain(plan.config),
    }
    write_text(plan.folder.request, json.dumps(request, indent=1) + "\n")


def read_request(path: Path) -> GuavaPlan:
    """The plan of a request; its labels stay in the file.

    Raises:
        ValueError: A setting is out of range, the selection is gone or another one, or a place of photos is gone.
    """
    request = json.loads(path.read_text(encoding="utf-8"))
    folder = RunFolder(root=path.parent, network=request["experiment"])
    training, validation = read_labelled(folder.selection, request)
    config = from_plain(request["settings"], GuavaTrainConfig)
    return GuavaPlan(config=config, training=training, validation=validation, stated=request["stated"])


def _shortened(people: LabelledPhotos, same: SamePerson, most: int) -> LabelledPhotos:
    """The same with at most so many photos beside the first of each person, spread evenly."""
    rows = same.photos(people, first=True)
    kept = np.array(sorted(rows))
    if len(kept) <= most:
        return people
    kept = kept[np.linspace(0, len(kept) - 1, most).round().astype(int)]
    taken = np.unique(np.concatenate([kept, *(rows[int(row)] for row in kept)]))
    return people.some(taken)
