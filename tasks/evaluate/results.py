"""What came of subjects on benchmarks, written down: figures, tables, everybody's errors.

metrics/benchmarks.json              figures of every subject on every data set, with what both are
reports/benchmarks/tables.md, .csv   the paper's tables with ours beside the published numbers, and those of data sets
reports/benchmarks/people.parquet    one row a data set, subject and person
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets_manifest.canonical import canonical_json
from datasets_manifest.files import whole_file, write_text
from tasks.evaluate import open_people
from tasks.evaluate.agora_table import agora_markdown
from tasks.evaluate.people_errors import PCK_NAMES
from tasks.evaluate.published import BENCHMARKS, figures_of_paper
from tasks.evaluate.tables import Measured, csv_text, markdown
from tasks.metric_files import write_summary

METRICS = "metrics/benchmarks.json"
REPORT = "reports/benchmarks"
"""Folder of tables, errors and pictures. Both are relative to the folder of the settings file."""
METADATA_KEY = b"results"
"""Of the footer of the errors: data sets with the hash of their data, and subjects, as JSON."""
_BRIEF = (*("pa_mpjpe_mm", "pa_mpjpe_h36m14_mm", "hand_pa_pve_mm", "head_pa_mm", "agora_mve_body_mm", *PCK_NAMES),)
"""Figures that a summary has."""
_TABLES = ("by_group", "agora")
"""Figures that have tables of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluated:
    """What came of it."""

    markdown: str
    """All tables."""
    sentence: str
    """How many people of which data sets were measured."""


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
    for dataset in dict.fromkeys(own["dataset"]["id"] for own in results if "agora" in own["figures"]):
        of_agora = {
            own["subject"]["name"]: own["figures"]["agora"] for own in results if own["dataset"]["id"] == dataset
        }
        yield (
            f"## AGORA: {dataset}\n\nCounted as the official program does. The paper's column is of the test set, "
            f"whose truth is hidden: these figures are not those.\n\n{agora_markdown(of_agora)}"
        )
    lines = [
        f"| {own['dataset']['id']} | {own['subject']['name']} | {own['figures']['found']} of "
        f"{own['figures']['people']} | {name} | {_told(value)} |"
        for own in results
        for name, value in own["figures"].items()
        if name not in ("people", "found", "false", *_TABLES)
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


def write_results(
    results: Sequence[Mapping[str, Any]],
    tables: Sequence[pa.Table],
    missing: Mapping[str, str],
    unsaid: Sequence[str],
    folder: Path,
) -> Evaluated:
    """Writes everything.

    Args:
        results: Of each subject on each data set: what both are, and the figures.
        tables: Everybody's errors of each.
        missing: Key of ``BENCHMARKS`` -> what is to be done to have it.
        unsaid: Sentences of subjects that say nothing of a data set.
        folder: Of the settings file.
    """
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
    said = ", ".join(f"{counts[name]} {'person' if counts[name] == 1 else 'people'} of {name}" for name in sets)
    return Evaluated(markdown=told, sentence=f"{said}; results: {folder / REPORT / 'tables.md'}")
