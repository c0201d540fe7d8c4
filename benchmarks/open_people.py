"""The benchmark that everyone can run: rendered people of the open body, by what a picture shows and by age.

    python -m benchmarks.open_people                                        the table of docs/benchmarks/open_people.md
    python -m benchmarks.open_people --checkpoint runs/regressor.safetensors    a regressor's row too
    python -m benchmarks.open_people --starts simulated                     without MediaPipe

Ninety-six people are rendered from the manifest `open_people`, annotated from MediaPipe and from simulated starts
(the truth with errors of published size), and measured before the refinement and after it. A regressor is given the
annotated boxes and the camera. Everything is kept below --folder, results as `results/<method>.json`, so that a second
call measures what is new. The last column is the hash of the data: rows of other data are not to be compared.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from benchmarks.rendered_people import rows_below
from datasets_manifest.adapters.base import ImageRecord
from datasets_manifest.files import write_text
from datasets_manifest.manifest import MANIFEST_FOLDER, Manifest, load_manifest, open_source
from datasets_manifest.schema.columns import Columns
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE, LABEL_PARAMETERS
from datasets_manifest.schema.error_codes import Status
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.part_files import PART_SCHEMAS
from datasets_manifest.schema.people import found_rows
from datasets_manifest.sources.image_source import ImageSource
from fitting.refine import refine
from fitting.settings import RefineConfig
from model.body.assets import load_open_body
from tasks.annotate.steps.given import camera_of, coarse_of, observations_of
from tasks.body_model import full_body, sparse_body
from tasks.evaluate.open_people import ID, data_hash, figures_of, markdown, row_of, with_scenes
from tasks.evaluate.people_errors import PeopleErrors
from tasks.evaluate.reference import known_people
from tasks.evaluate.said import Said, Subject, said_table
from tasks.evaluate.subjects import CheckpointSubject, LabelSubject
from tasks.settings import BodyModelConfig
from tasks.synthetic.asked import pictures_of
from tasks.synthetic.render import SCENE_FILE, synthesise

STARTS = ("mediapipe", "simulated")
"""Estimators of keypoints and of every part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StartSubject:
    """What an annotation's refinement starts from: the estimates, placed in front of the camera, of those people who
    have a label in the end."""

    folder: Path
    """Of the annotation."""
    name: str
    """In the table."""

    @property
    def stated(self) -> dict[str, str]:
        """What it is."""
        return {"kind": "start of labels", "folder": str(self.folder)}

    def say(self, manifest: Manifest, records: Iterable[ImageRecord], images: ImageSource) -> Iterator[Said]:
        """All photos at once."""
        labels = rows_below(self.folder / "labels" / ID, LABEL_SCHEMA)
        chosen = np.flatnonzero(found_rows(labels.table))
        parts = {
            step: rows_below(self.folder / "work/parts" / step / ID, PART_SCHEMAS[step]).take(chosen)
            for step in ("keypoints", "body", "hands", "face")
        }
        camera, idle = camera_of(parts["keypoints"]), RefineConfig(iterations=0, graduated_iterations=0)
        body = sparse_body(BodyModelConfig())
        start = refine(body, observations_of(parts["keypoints"]), coarse_of(parts), camera, idle).parameters
        labels = labels.take(chosen)
        same = ("sample_id", "bbox_xyxy", "image_width", "image_height", "focal_px", "principal_px")
        columns = {name: labels[name] for name in same} | {"status": [Status.OK] * len(chosen)}
        parameters = start.columns()
        columns |= {name: parameters[name].numpy() for name in LABEL_PARAMETERS}
        yield Said(list(records), Columns(said_table(columns, DEFAULT_SIZE)))


def people_of(folder: Path, count: int | None) -> Manifest:
    """The data set, below a folder; with another number of people it is another one, of another hash."""
    manifest = replace(load_manifest(ID), root=str(folder / "data"))
    return manifest if count is None else replace(manifest, layout=manifest.layout | {"count": count})


def annotate(folder: Path, start: str, people: Manifest) -> Path:
    """Annotates the people from a start, in a folder of its own, which is returned.

    Raises:
        subprocess.CalledProcessError: The annotation failed; what it said is in `log.txt`.
    """
    own = folder / start
    manifest = yaml.safe_load((MANIFEST_FOLDER / f"{ID}.yaml").read_text(encoding="utf-8")) | {"layout": people.layout}
    if start == "simulated":  # it disturbs what is known of everybody
        manifest |= {"boxes": "manifest", "keypoints": "coco_wholebody"}
    write_text(own / "people.yaml", yaml.safe_dump(manifest))
    estimators = {part: {"backend": start} for part in ("keypoints", "body", "hands", "face")}
    settings = {"datasets": ["people.yaml"], "roots": {ID: "../data"}, "body_model": {"path": None}, **estimators}
    write_text(own / "params.yaml", yaml.safe_dump({"annotate": settings}))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    print(f"annotating from {start}: {own / 'log.txt'}", file=sys.stderr, flush=True)
    with open(own / "log.txt", "w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "flows.cli.app", "annotate", "--local"]
        subprocess.run(command, cwd=own, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)
    return own


def measure(folder: Path, subject: Subject, manifest: Manifest, digest: str) -> list[str]:
    """A subject's row, whose figures are written below the folder."""
    errors = PeopleErrors(load_open_body())
    for said in subject.say(manifest, known_people(manifest), open_source(manifest)):
        errors.add(said)
    result = {
        "benchmark": ID,
        "version": manifest.version,
        "data_sha256": digest,
        "method": subject.name,
        "subject": dict(subject.stated),
        "false_people": errors.false_people,
        "figures": figures_of(with_scenes(errors.table(), folder / "data" / SCENE_FILE)),
    }
    name = "".join(letter if letter.isalnum() else "_" for letter in subject.name)
    write_text(folder / "results" / f"{name}.json", json.dumps(result, indent=1) + "\n")
    return row_of(subject.name, result)


def main(arguments: list[str] | None = None) -> None:
    """Prints the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", nargs="*", choices=STARTS, default=STARTS, help="what labels begin with")
    parser.add_argument("--checkpoint", type=Path, nargs="*", default=[], help="trained regressors (.safetensors)")
    parser.add_argument("--people", type=int, help="so many of them: a check of the program, with a hash of its own")
    parser.add_argument("--folder", type=Path, default=Path("work/open_people"), help="where everything is kept")
    options = parser.parse_args(arguments)
    folder = options.folder.absolute()
    assets = load_open_body()
    checkpoints = [CheckpointSubject(path, assets, name=path.stem) for path in options.checkpoint]
    people = people_of(folder, options.people)
    digest = rendered(people)
    rows = []
    for start in options.starts:
        own = annotate(folder, start, people)
        rows.append(measure(folder, StartSubject(folder=own, name=start), people, digest))
        labels = LabelSubject(folder=own / "labels", assets=assets, name=f"{start}, refined")
        rows.append(measure(folder, labels, people, digest))
    rows += [measure(folder, subject, people, digest) for subject in checkpoints]
    print(markdown(rows))


def rendered(people: Manifest) -> str:
    """Renders the people unless they are there, and gives the hash of the data."""
    pictures = pictures_of(people.typed_layout)
    synthesise(people.root_path, pictures, full_body(BodyModelConfig()), jobs=os.cpu_count() or 1)
    return data_hash(known_people(people), open_source(people))


if __name__ == "__main__":
    main()
