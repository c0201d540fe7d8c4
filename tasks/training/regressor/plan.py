"""What a training would do, checked before anything is started: labels, photos, body, and the hash of the run."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.canonical import config_hash
from datasets_manifest.shards.body_entry import body_identity
from datasets_manifest.shards.held_out import hold_out
from datasets_manifest.shards.label_sets import LabelSet, check_same_body, check_splits, unlike_settings
from datasets_manifest.sources.video import clip_of
from model.body.assets import EhmAssets
from model.metrics.person import unmeasured
from model.regressor.flip import MAX_RESIDUAL, CoefficientMirror
from model.weights import checkpoint_sha256
from tasks.body_model import ehm_assets, full_body
from tasks.display import Display
from tasks.revisions import REVISIONS
from tasks.settings import check_files
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import synthesise
from tasks.training.engine.run_folder import RunFolder
from tasks.training.labelled_photos import LabelledPhotos, check_apart, open_labelled
from tasks.training.regressor.mean_file import read_mean_file
from tasks.training.regressor.settings import TrainConfig

log = logging.getLogger(__name__)

NETWORK = "regressor"
"""What the trained network is called in the files of a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """A training that may start."""

    config: TrainConfig
    """All settings."""
    training: tuple[LabelledPhotos, ...]
    """Who is learnt from."""
    validation: tuple[LabelledPhotos, ...]
    """Who is evaluated on."""
    body_model: Mapping[str, Any]
    """What states the body that all labels are of."""
    run_hash: str
    """Over everything that decides the result."""

    @property
    def folder(self) -> RunFolder:
        """Where the run keeps its files."""
        return RunFolder.of(self.config.output.runs, self.run_hash, NETWORK)

    @property
    def assets(self) -> EhmAssets:
        """Arrays of the body model."""
        return ehm_assets(self.config.body_model)

    @property
    def snapshot_hashes(self) -> tuple[str, ...]:
        """One of each set that is learnt from."""
        return tuple(people.selection.snapshot_hash for people in self.training)

    def lines(self) -> list[str]:
        """What will be done, for a log."""
        said = [f"learns from {people.selection.sentence}" for people in self.training]
        said += [f"evaluates on {people.selection.sentence}" for people in self.validation]
        said += unlike_settings([people.selection for people in (*self.training, *self.validation)])
        config = self.config
        people = sum(entry.selection.num_rows for entry in self.training)
        processes = "1 process" if config.run.processes == 1 else f"{config.run.processes} processes"
        if config.augment.flip_share > 0:
            said.append(self._mirror_line())
        said += [
            f"errors of the {part} are not told: the body does not name them; convert it again with {option}"
            for part, option in unmeasured(self.assets).items()
            if self.validation
        ]
        said.append(
            f"{config.steps} steps of {config.global_batch} people ({processes}), "
            f"{config.steps * config.global_batch / max(people, 1):.1f} times each of {people} people; "
            f"run {self.folder.root.name}"
        )
        return said

    def _mirror_line(self) -> str:
        """How well this body's coefficients can be mirrored, and what that means for the crops that are."""
        mirror = CoefficientMirror.of(self.assets, self.config.network.size)
        line = (
            f"{self.config.augment.flip_share:.0%} of the crops are mirrored; coefficients cannot follow a mirrored "
            f"body in {mirror.betas_residual:.1%} of what betas do to it, {mirror.shape_residual:.1%} of what FLAME's "
            f"shape and {mirror.expression_residual:.1%} of what its expression does"
        )
        if mirror.face_allowed:
            return line
        return f"{line}; above {MAX_RESIDUAL:.0%} in the face, so the faces of mirrored crops do not supervise"


def rendered_people(
    config: TrainConfig, display: Display | None = None, *, learns: bool = True
) -> tuple[list[LabelSet], list[LabelSet]]:
    """Renders the synthetic people of the settings unless that is done: those to learn from, unless nobody learns,
    and those to evaluate on."""
    stated = config.synthetic
    train = stated.train if learns else 0
    if train or stated.validation:
        told = f"{train} to learn from, {stated.validation} to evaluate on"
        log.info("Rendered people in %s: %s; those that are there stay.", stated.folder, told)
    found: list[list[LabelSet]] = []
    for name, count, seed in (("train", train, stated.seed), ("val", stated.validation, stated.seed + 1)):
        if not count:
            found.append([])
            continue
        settings = SyntheticConfig(
            count=count,
            seed=seed,
            image_width=stated.image_px,
            image_height=stated.image_px,
            supersample=1,
            crop_shares=stated.crop_shares,
            masks=config.needs_masks,
        )
        body_model = config.body_model
        stated_body = [body_model.path] if body_model.fusion == "blended" else [body_model.path, body_model.fusion]
        digest = config_hash([REVISIONS["synthesise"], settings, *stated_body])
        folder = Path(stated.folder) / f"{name}-{digest[:8]}"
        body, jobs = full_body(config.body_model), os.cpu_count() or 1
        found.append([synthesise(folder, settings, body, jobs=jobs, split=name, display=display)])
    return found[0], found[1]


def open_plan(config: TrainConfig, display: Display | None = None) -> TrainingPlan:
    """Reads and checks everything that a training needs; people are rendered first.

    Args:
        config: All settings.
        display: Shows how far the rendering is; None for a line of the log now and then.

    Raises:
        ValueError: Labels are missing, mixed, of another body or convention, too many are left out, photos vanished,
            people would be learnt from and evaluated on, or a file that the settings name is not there.
    """
    check_files(config.files)
    if config.mean not in ("labels", "neutral"):
        read_mean_file(config.mean)
    training, validation = _open_people(config, display)
    body = ehm_assets(config.body_model).entry
    hashes = {name: checkpoint_sha256(path) for name, path in config.files.items()}
    stated = {
        "revision": REVISIONS[config.section],
        "settings": config.deciding(),
        "snapshots": [people.selection.snapshot_hash for people in training],
        "validation": [people.selection.snapshot_hash for people in validation],
        "body_model": body_identity(body),
        "files": [hashes.get("backbone_weights"), hashes.get("mean")],
    }
    # Those that came later, so that runs which do without them stay what they were.
    stated["files"] += [hashes[name] for name in config.files if name not in ("backbone_weights", "mean")]
    return TrainingPlan(
        config=config, training=training, validation=validation, body_model=body, run_hash=config_hash(stated)
    )


def open_held_out(config: TrainConfig, display: Display | None = None) -> tuple[LabelledPhotos, ...]:
    """Whom trainings of these settings are evaluated on; those to learn from are neither rendered nor, unless a share
    of them is held out, read.

    Args:
        config: All settings.
        display: See ``open_plan``.

    Raises:
        ValueError: As in ``open_plan``, of these people; or there is nobody.
    """
    if not (config.validation or config.validation_share or config.synthetic.validation):
        raise ValueError(
            "validation: nobody is held out; name a validation set, or set validation_share or synthetic.validation"
        )
    return _open_people(config, display, learns=False)[1]


def _open_people(
    config: TrainConfig, display: Display | None, *, learns: bool = True
) -> tuple[tuple[LabelledPhotos, ...], tuple[LabelledPhotos, ...]]:
    """Who is learnt from, as far as somebody learns, and who is evaluated on."""
    if config.validation or config.validation_share or config.synthetic.train or config.synthetic.validation:
        _check_hands(config)
    rendered, rendered_validation = rendered_people(config, display, learns=learns)
    body = ehm_assets(config.body_model).entry
    datasets = config.datasets if learns or config.validation_share else ()
    training, validation = (
        tuple(
            open_labelled(
                entry,
                config.filter,
                max_dropped_share=config.max_dropped_share,
                body_model=body,
                size=config.network.size,
                is_learnt_from=learnt,
            )
            for entry in sets
        )
        for learnt, sets in ((True, (*datasets, *rendered)), (False, (*config.validation, *rendered_validation)))
    )
    if config.validation_share:
        own, others = training[: len(datasets)], training[len(datasets) :]
        divided = [_divided(people, config.validation_share) for people in own]
        training = (*(learnt for learnt, _ in divided), *others)
        validation = (*(held_out for _, held_out in divided), *validation)
    everybody = [people.selection for people in (*training, *validation)]
    check_same_body(everybody)
    if learns:  # else a split may be theirs alone who are not opened
        check_splits(everybody, config.filter.splits)
        check_apart(training, validation)
    return training, tuple(_shortened(people, config.max_validation_people) for people in validation)


def _divided(people: LabelledPhotos, share: float) -> tuple[LabelledPhotos, LabelledPhotos]:
    """Those to learn from and those to evaluate on.

    Raises:
        ValueError: One of them would be nobody.
    """
    parts = hold_out(people.selection, share, clip_of)
    if not all(part.num_rows for part in parts):
        raise ValueError(
            f"validation_share: {share:g} of the photos of {people.selection.path} leaves {parts[0].num_rows} people "
            f"to learn from and {parts[1].num_rows} to evaluate on; choose another share, or name validation folders"
        )
    learnt, held_out = (dataclasses.replace(people, selection=part) for part in parts)
    return learnt, held_out


def _check_hands(config: TrainConfig) -> None:
    """Raises ValueError if held-out people could not be measured, or rendered ones not framed: it would end the run."""
    option = unmeasured(ehm_assets(config.body_model)).get("hands")
    if option is not None:
        raise ValueError(
            f"body_model.path: the body in {config.body_model.path} does not say which vertices are hands, on which "
            f"held-out people are measured and rendered ones framed; convert it again with {option}"
        )


def _shortened(people: LabelledPhotos, most: int) -> LabelledPhotos:
    """The same with at most so many rows, spread evenly."""
    count = people.selection.num_rows
    if count <= most:
        return people
    return people.some(np.linspace(0, count - 1, most).round().astype(np.int64))
