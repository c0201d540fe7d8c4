"""Subjects on benchmarks: their figures, the paper's tables, everybody's errors, and pictures of the best and worst.

reports/benchmarks/<data set>/       <subject>-<best or worst>-<n>.jpg: the person and the body over the photo

Figures, tables and errors are written by ``tasks.evaluate.results``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from datasets_manifest.catalogue import first_step
from datasets_manifest.manifest import Manifest, load_manifest, open_source
from datasets_manifest.named_sources import fixed_root, manifest_ids
from datasets_manifest.sources.image_source import ImageSource
from tasks.body_model import ehm_assets, full_body
from tasks.display import Display
from tasks.evaluate import open_people
from tasks.evaluate.agora import AgoraErrors, photos_of_agora
from tasks.evaluate.extremes import draw_extremes
from tasks.evaluate.licensed_meshes import lacking_files
from tasks.evaluate.mesh_errors import MeshErrors
from tasks.evaluate.people_errors import ERRORS, PCK_NAMES, PeopleErrors, all_limbs, everybody, figure_of
from tasks.evaluate.published import BENCHMARKS
from tasks.evaluate.reference import known_people
from tasks.evaluate.results import REPORT, Evaluated, write_results
from tasks.evaluate.said import Subject
from tasks.evaluate.subjects import subject_of
from tasks.settings import BodyModelConfig, Device, uses_gpu
from tasks.synthetic.asked import pictures_of
from tasks.synthetic.render import SCENE_FILE, synthesise

log = logging.getLogger(__name__)

EVERY = "benchmarks"
"""Stands for all benchmarks that are here."""
_LIMBS_ONLY = {name for each in BENCHMARKS.values() if each.limbs_only for name in each.manifests}


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkRun:
    """Where data sets and results lie, and what runs the networks."""

    folder: Path
    """Roots of manifests are relative to it, and results lie below it."""
    roots: Mapping[str, str] = field(default_factory=dict)
    """Data set id to folder, where it lies elsewhere than its manifest says."""
    body_model: BodyModelConfig = field(default_factory=BodyModelConfig)
    """The body of truth and subjects."""
    device: Device = "auto"
    """Where checkpoints run."""

    @property
    def licensed(self) -> Path | None:
        """Folder of licensed files; None with the open body."""
        return None if self.body_model.path is None else Path(self.body_model.path)


def evaluate_on(
    names: Sequence[str], subjects: Sequence[str | Path], run: BenchmarkRun, display: Display | None = None
) -> Evaluated:
    """Measures subjects on data sets and writes what came of it.

    Args:
        names: Manifest ids or paths of manifests; ``benchmarks`` for all that are here and ``open_people``.
        subjects: Checkpoints, folders of labels, predictions.
        run: See there.
        display: Shows how far the rendering of people is.

    Raises:
        FileNotFoundError: There is no such subject.
        ValueError: A data set that was named is not here, or its people cannot be read; a subject says nothing of any
            data set, or is of another body.
    """
    assets = ehm_assets(run.body_model)
    device = "cuda" if uses_gpu(run.device) else "cpu"
    opened = [subject_of(Path(path), assets, device=device) for path in subjects]
    if len({subject.name for subject in opened}) < len(opened):
        raise ValueError(f"subjects: expected each once, got {', '.join(subject.name for subject in opened)}")
    manifests, absent = _manifests(names, run)
    results, tables, unsaid = [], [], []
    lacking = lacking_files(assets, run.licensed)
    for manifest in manifests:
        _render(manifest, run, display)
        images = open_source(manifest)
        try:
            digest = open_people.data_hash(known_people(manifest), images)
        except ValueError as error:
            if EVERY not in names:
                raise
            absent[manifest.id] = f"cannot be measured: {error}"
            unsaid.append(str(error))
            continue
        for subject in opened:
            try:
                errors = _measured(subject, manifest, images, run)
            except ValueError as error:
                if len(manifests) == 1:
                    raise
                unsaid.append(f"{subject.name}: {error}")
                continue
            lacking |= errors.meshes.lacking if errors.meshes else {}
            people = errors.table()
            results.append(_result(subject, manifest, digest, errors, people))
            tables.append(_keyed(people, subject, manifest))
            draw_extremes(
                people, subject, manifest, images, full_body(run.body_model), run.folder / REPORT / manifest.id
            )
    if not results:
        raise ValueError("; ".join(unsaid) or f"none of the benchmarks is here; name one, such as {open_people.ID}")
    return write_results(results, tables, _missing(manifests, absent, lacking), unsaid, run.folder)


def _manifests(names: Sequence[str], run: BenchmarkRun) -> tuple[list[Manifest], dict[str, str]]:
    """The data sets to measure on, and what is to be done for benchmarks that are not here, by their id."""
    known = manifest_ids()
    of_paper = list(dict.fromkeys(name for each in BENCHMARKS.values() for name in each.manifests if name in known))
    wanted = [name for name in names if name != EVERY]
    here, absent = list[Manifest](), dict[str, str]()
    for name in dict.fromkeys([*wanted, *([open_people.ID, *of_paper] if EVERY in names else ())]):
        manifest = load_manifest(name)
        manifest = replace(manifest, root=fixed_root(run.roots.get(manifest.id, manifest.root), run.folder))
        if manifest.adapter == "synthetic" or manifest.root_path.exists() or name in wanted:
            here.append(manifest)
        else:
            absent[manifest.id] = f"is not here. {first_step(manifest)}"
    return here, absent


def _render(manifest: Manifest, run: BenchmarkRun, display: Display | None) -> None:
    if manifest.adapter == "synthetic":
        body = full_body(run.body_model)
        synthesise(manifest.root_path, pictures_of(manifest.typed_layout), body, display=display)


def _measured(subject: Subject, manifest: Manifest, images: ImageSource, run: BenchmarkRun) -> PeopleErrors:
    keeps = all_limbs if manifest.id in _LIMBS_ONLY else everybody
    assets, photos = ehm_assets(run.body_model), photos_of_agora(manifest)
    agora = None if photos is None else AgoraErrors(assets, run.licensed, photos)
    errors = PeopleErrors(assets, keeps, MeshErrors(assets, run.licensed, images.root), agora)
    for said in subject.say(manifest, known_people(manifest), images):
        errors.add(said)
    if not errors.num_known:
        limbs = " and all twelve points of the limbs" if keeps is all_limbs else ""
        raise ValueError(f"nobody of {manifest.id} counts: expected people with an annotated box{limbs}")
    return errors


def _result(
    subject: Subject, manifest: Manifest, digest: str, errors: PeopleErrors, people: pa.Table
) -> dict[str, Any]:
    """What ``metrics/benchmarks.json`` says of a subject on a data set; figures that nobody has are left out."""
    found = np.asarray(people["found"].to_pylist(), bool)
    figures: dict[str, Any] = {"people": people.num_rows, "found": int(found.sum()), "false": errors.false_people}
    figures |= {name: figure._asdict() for name in ERRORS if (figure := figure_of(people, name)).people}
    pck = zip(PCK_NAMES, errors.pck.compute().values(), strict=True)
    figures |= {name: value for name, value in pck if np.isfinite(value)}
    if manifest.id == open_people.ID:
        scenes = open_people.with_scenes(people, manifest.root_path / SCENE_FILE)
        figures["by_group"] = open_people.figures_of(scenes)
    if errors.agora is not None:
        figures["agora"] = errors.agora.figures()
    return {
        "dataset": {"id": manifest.id, "version": manifest.version, "data_sha256": digest},
        "subject": {"name": subject.name, **subject.stated},
        "figures": figures,
    }


def _keyed(people: pa.Table, subject: Subject, manifest: Manifest) -> pa.Table:
    keys = {"dataset": manifest.id, "subject": subject.name}
    for place, (name, value) in enumerate(keys.items()):
        people = people.add_column(place, name, pa.array([value] * people.num_rows, pa.string()))
    return people


def _missing(here: Sequence[Manifest], absent: Mapping[str, str], lacking: Mapping[str, str]) -> dict[str, str]:
    """Key of ``BENCHMARKS`` -> how to get its data, of those of which nothing is here, and the files it is measured
    with, by what ``MeshErrors`` lacks."""
    ids = {manifest.id for manifest in here} - set(absent)
    found = {}
    for key, each in BENCHMARKS.items():
        told = []
        if each.manifests and not ids & set(each.manifests) and each.manifests[0] in absent:
            told.append(absent[each.manifests[0]])
        if each.needs in lacking:
            told.append(f"cannot be measured without a licensed file. Next: {lacking[each.needs]}")
        if told:
            found[key] = "; it ".join(line.removesuffix(".") for line in told)
    return found
