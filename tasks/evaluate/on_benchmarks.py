"""Subjects on benchmarks: their figures, the paper's tables, everybody's errors, and pictures of the best and worst.

metrics/benchmarks.json              figures of every subject on every data set, with what both are
reports/benchmarks/tables.md, .csv   the paper's tables with ours beside the published numbers, and that of open_people
reports/benchmarks/people.parquet    one row a data set, subject and person
reports/benchmarks/<data set>/       <subject>-<best or worst>-<n>.jpg: the person and the body over the photo
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datasets_manifest.canonical import canonical_json
from datasets_manifest.catalogue import first_step
from datasets_manifest.files import whole_file, write_text
from datasets_manifest.manifest import Manifest, fixed_root, load_manifest, manifest_ids, open_source
from datasets_manifest.sources.image_source import ImageSource
from tasks.body_model import ehm_assets, full_body
from tasks.display import Display
from tasks.evaluate import open_people
from tasks.evaluate.extremes import draw_extremes
from tasks.evaluate.licensed_meshes import lacking_files
from tasks.evaluate.mesh_errors import MeshErrors
from tasks.evaluate.people_errors import ERRORS, PCK_NAMES, PeopleErrors, all_limbs, everybody, figure_of, known_people
from tasks.evaluate.published import BENCHMARKS, figures_of_paper
from tasks.evaluate.subjects import Subject, subject_of
from tasks.evaluate.tables import Measured, csv_text, markdown
from tasks.metric_files import write_summary
from tasks.settings import BodyModelConfig, Device, uses_gpu
from tasks.synthetic.asked import pictures_of
from tasks.synthetic.render import SCENE_FILE, synthesise

log = logging.getLogger(__name__)

EVERY = "benchmarks"
"""Stands for all benchmarks that are here."""
METRICS = "metrics/benchmarks.json"
REPORT = "reports/benchmarks"
"""Folder of tables, errors and pictures. Both are relative to the folder of the settings file."""
METADATA_KEY = b"results"
"""Of the footer of the errors: data sets with the hash of their data, and subjects, as JSON."""
_BRIEF = ("pa_mpjpe_mm", "pa_mpjpe_h36m14_mm", "hand_pa_pve_mm", "head_pa_mm", *PCK_NAMES)
"""Figures that a summary has."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """What came of it."""

    markdown: str
    """All tables."""
    sentence: str
    """How many people of which data sets were measured."""


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
        ValueError: A data set that was named is not here, or knows none of its people; a subject says nothing of any
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
        digest = open_people.data_hash(known_people(manifest), images)
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
    return _write(results, tables, _missing(manifests, absent, lacking), unsaid, run.folder)


def _manifests(names: Sequence[str], run: BenchmarkRun) -> tuple[list[Manifest], list[Manifest]]:
    """The data sets to measure on, and benchmarks that are not here."""
    known = manifest_ids()
    of_paper = list(dict.fromkeys(name for each in BENCHMARKS.values() for name in each.manifests if name in known))
    wanted = [name for name in names if name != EVERY]
    here, absent = [], []
    for name in dict.fromkeys([*wanted, *([open_people.ID, *of_paper] if EVERY in names else ())]):
        manifest = load_manifest(name)
        manifest = replace(manifest, root=fixed_root(run.roots.get(manifest.id, manifest.root), run.folder))
        if manifest.adapter == "synthetic" or manifest.root_path.exists() or name in wanted:
            here.append(manifest)
        else:
            absent.append(manifest)
    return here, absent


def _render(manifest: Manifest, run: BenchmarkRun, display: Display | None) -> None:
    if manifest.adapter == "synthetic":
        body = full_body(run.body_model)
        synthesise(manifest.root_path, pictures_of(manifest.typed_layout), body, display=display)


def _measured(subject: Subject, manifest: Manifest, images: ImageSource, run: BenchmarkRun) -> PeopleErrors:
    keeps = all_limbs if manifest.id in _LIMBS_ONLY else everybody
    assets = ehm_assets(run.body_model)
    errors = PeopleErrors(assets, keeps, MeshErrors(assets, run.licensed, images.root))
    for said in subject.say(manifest, known_people(manifest), images):
        errors.add(said)
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


def _missing(here: Sequence[Manifest], absent: Sequence[Manifest], lacking: Mapping[str, str]) -> dict[str, str]:
    """Key of ``BENCHMARKS`` -> how to get its data, of those of which nothing is here, and the files it is measured
    with, by what ``MeshErrors`` lacks."""
    ids, steps = {manifest.id for manifest in here}, {manifest.id: first_step(manifest) for manifest in absent}
    found = {}
    for key, each in BENCHMARKS.items():
        told = []
        if each.manifests and not ids & set(each.manifests) and each.manifests[0] in steps:
            told.append(f"is not here. {steps[each.manifests[0]]}")
        if each.needs in lacking:
            told.append(f"cannot be measured without a licensed file. Next: {lacking[each.needs]}")
        if told:
            found[key] = " It ".join(told)
    return found


def _of_paper(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Subject -> key of ``BENCHMARKS`` -> figures, of what has figures of ours."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for result in results:
        own = found.setdefault(result["subject"]["name"], {})
        for key, each in BENCHMARKS.items():
            is_measured = not figures_of_paper(key).isdisjoint(result["figures"])
            if result["dataset"]["id"] in each.manifests and is_measured:
                own.setdefault(key, result["figures"])
    return found


def _others(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Tables of what is not in the paper: open_people, and whatever a data set gives beside."""
    rows = [
        open_people.row_of(own["subject"]["name"], {"figures": own["figures"]["by_group"], **own["dataset"]})
        for own in results
        if own["dataset"]["id"] == open_people.ID
    ]
    if rows:
        yield f"## Open people (docs/benchmarks/open_people.md)\n\n{open_people.markdown(rows)}"
    lines = [
        f"| {own['dataset']['id']} | {own['subject']['name']} | {own['figures']['found']} of "
        f"{own['figures']['people']} | {name} | {_told(value)} |"
        for own in results
        for name, value in own["figures"].items()
        if name not in ("people", "found", "false", "by_group")
    ]
    head = "| data set | method | found | figure | mean, median, people |\n|---|---|---|---|---|\n"
    yield "## All figures\n\n" + head + "\n".join(lines) + "\n"


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    form = ".3g" if value["mean"] < 1 else ".1f"
    return f"{value['mean']:{form}}, {value['median']:{form}}, {value['people']}"


def _brief(results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The main figures of the last subject, by data set."""
    last = results[-1]["subject"]["name"]
    brief = {}
    for own in results:
        if own["subject"]["name"] == last:
            for name in _BRIEF:
                if (value := own["figures"].get(name)) is not None:
                    brief[f"{own['dataset']['id']}_{name}"] = value if isinstance(value, float) else value["mean"]
    return brief


def _write(
    results: Sequence[Mapping[str, Any]],
    tables: Sequence[pa.Table],
    missing: Mapping[str, str],
    unsaid: Sequence[str],
    folder: Path,
) -> Evaluated:
    measured = Measured(figures=_of_paper(results), missing=missing)
    parts = [*_others(results), markdown(measured)]
    if unsaid:
        parts.append("## Not measured\n\n" + "".join(f"- {line}\n" for line in unsaid))
    told = "\n".join(parts)
    write_text(folder / METRICS, json.dumps({"results": list(results)}, indent=1) + "\n")
    write_summary(str(folder / METRICS), "benchmarks", _brief(results))
    write_text(folder / REPORT / "tables.md", told)
    write_text(folder / REPORT / "tables.csv", csv_text(measured))
    stated = [{"dataset": own["dataset"], "subject": own["subject"]} for own in results]
    people = pa.concat_tables(tables).replace_schema_metadata({METADATA_KEY: canonical_json(stated)})
    with whole_file(folder / REPORT / "people.parquet") as file:
        pq.write_table(people, file)
    sets = list(dict.fromkeys(own["dataset"]["id"] for own in results))
    counts = {own["dataset"]["id"]: own["figures"]["people"] for own in results}
    said = ", ".join(f"{counts[name]} people of {name}" for name in sets)
    return Evaluated(markdown=told, sentence=f"{said}; results: {folder / REPORT / 'tables.md'}")
