"""Checkpoints beside each other: their errors on the same held-out people, and the differences, paired by person.

metrics/evaluate.json               of each checkpoint its errors, and their differences to those of the first
reports/evaluate/held_out.parquet   one row a checkpoint and person
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets_manifest.canonical import canonical_json
from datasets_manifest.files import write_bytes, write_text
from datasets_manifest.paths import placed
from datasets_manifest.settings import read_sections
from datasets_manifest.shards.body_entry import body_identity, body_name
from model.metrics.summary import SURE, PairedDifference, paired_difference, rounded
from model.regressor.checkpoint import CheckpointMeta, load_regressor
from model.regressor.network import EhmRegressor
from model.regressor.runtime import numerics
from model.weights import checkpoint_sha256
from tasks.body_model import ehm_assets
from tasks.display import Display
from tasks.metric_files import write_summary
from tasks.settings import check_files
from tasks.training.engine.broken_rows import BrokenRows
from tasks.training.engine.distributed import ProcessGroup, choose_device
from tasks.training.engine.loader import each_row_once
from tasks.training.photometric.experiment import PhotometricExperiment
from tasks.training.photometric.settings import PhotometricTrainConfig, load_photometric_config
from tasks.training.regressor.evaluation import ERRORS, PLACES, TOLD, Evaluator, HeldOut, evaluate, parquet_of
from tasks.training.regressor.experiment import RegressorExperiment
from tasks.training.regressor.plan import open_held_out
from tasks.training.regressor.publish import HEADLINES
from tasks.training.regressor.settings import TrainConfig, load_train_config

METRICS = "metrics/evaluate.json"
"""All figures, relative to the folder of the settings file."""
HELD_OUT = "reports/evaluate/held_out.parquet"
"""Errors of every person, likewise."""
METADATA_KEY = b"checkpoints"
"""Of the footer of that file: path, sha256 and step of each checkpoint, as JSON."""
Gaps = Mapping[str, PairedDifference]
"""Differences of a checkpoint to the first, of the errors that somebody tells."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What checkpoints came to."""

    markdown: str
    """Errors of all and their differences to the first, as a table."""
    sentence: str
    """What is surely better, and what worse."""


def load_settings(params: str | Path, overrides: Mapping[str, Any] | None = None) -> tuple[TrainConfig, Path]:
    """Settings of a training of either stage, by the section of the file, and its folder; see ``load_placed``."""
    is_stage_2 = PhotometricTrainConfig.section in read_sections(Path(params))
    load: Callable[..., TrainConfig] = load_photometric_config if is_stage_2 else load_train_config
    return load(params, overrides), placed(params).absolute().parent


def compare(
    checkpoints: Sequence[str | Path], config: TrainConfig, root: Path, display: Display | None = None
) -> Comparison:
    """Measures regressors as their trainings do, and writes what came of it.

    Args:
        checkpoints: Their files, one or more; the others are compared with the first.
        config: Of a training, whose held-out people are taken, cut out as the training does it.
        root: Folder below which the results go.
        display: Shows how far the rendering of people is.

    Raises:
        ValueError: A file is no regressor's, of another body or with other numbers of coefficients than the first, or
            has learnt from these people; nobody is held out; see also ``open_held_out``.
    """
    names = [str(path) for path in checkpoints]
    opened = [_opened(name, config) for name in names]
    config = dataclasses.replace(config, network=opened[0][1].config)
    for name, (_, meta) in zip(names, opened, strict=True):
        if unlike := [d for d in config.network.differences(meta.config) if d.startswith("num_")]:
            raise ValueError(
                f"checkpoint {name} is none beside {names[0]}: {'; '.join(unlike)}; evaluate each by itself"
            )
    people = open_held_out(config, display)
    for name, (_, meta) in zip(names, opened, strict=True):
        if {each.selection.snapshot_hash for each in people} & set(meta.snapshot_hashes):
            raise ValueError(
                f"checkpoint {name} has learnt from the people to evaluate on; name others of another split"
            )
    kind = PhotometricExperiment if isinstance(config, PhotometricTrainConfig) else RegressorExperiment
    group = ProcessGroup(rank=0, world_size=1, device=choose_device(config.run.device, 0))
    found = []
    for network, meta in opened:
        samples = kind.held_out(dataclasses.replace(config, network=meta.config), people)
        batches = each_row_once(samples, group, 0, BrokenRows(len(samples), samples.max_broken_share))
        network.to(group.device)
        evaluator = Evaluator(ehm_assets(config.body_model), meta.config, network.mean, group.device)
        with numerics("fp32", group.device):
            found.append(evaluate(network, batches, evaluator, group))
    stated = [
        {"checkpoint": name, "sha256": checkpoint_sha256(name), "step": meta.step}
        for name, (_, meta) in zip(names, opened, strict=True)
    ]
    first = found[0].network.values
    gaps: list[Gaps] = [
        {name: gap for name in TOLD if (gap := paired_difference(each.network.values[name], first[name])) is not None}
        for each in found[1:]
    ]
    _write(stated, found, gaps, root)
    return Comparison(markdown=_markdown(names, found, gaps), sentence=_sentence(names, found[0], gaps))


def _opened(name: str, config: TrainConfig) -> tuple[EhmRegressor, CheckpointMeta]:
    """A network of the settings' body."""
    check_files({"checkpoint": name})
    network, meta = load_regressor(Path(name).read_bytes(), source=name)
    body = ehm_assets(config.body_model).entry
    if body_identity(meta.body_model) != body_identity(body):
        raise ValueError(
            f"checkpoint {name} speaks of the body model {body_name(meta.body_model)}, the settings of "
            f"{body_name(body)}; name settings with people of the former"
        )
    return network, meta


def _write(stated: Sequence[Mapping[str, Any]], found: Sequence[HeldOut], gaps: Sequence[Gaps], root: Path) -> None:
    plain = [
        {
            name: {k: v if v is None else rounded(v) for k, v in dataclasses.asdict(gap).items()}
            for name, gap in own.items()
        }
        for own in gaps
    ]
    errors = [{name: value for name, value in each.figures.items() if value is not None} for each in found]
    figures = [{**own, "errors": own_errors} for own, own_errors in zip(stated, errors, strict=True)]
    for own, differences in zip(figures[1:], plain, strict=True):
        own["differences"] = differences
    write_text(root / METRICS, json.dumps({"checkpoints": figures}, indent=2) + "\n")
    brief = {name: errors[-1][name] for name in HEADLINES if name in errors[-1]}
    for name in [*brief] if plain else []:
        brief |= {f"{name}_change": plain[-1][name]["mean"], f"{name}_change_se": plain[-1][name]["se"]}
    write_summary(str(root / METRICS), "evaluate", brief)
    tables = [
        each.table().add_column(
            0, "checkpoint", pa.array([own["checkpoint"]] * len(each.network.sample_ids), pa.string())
        )
        for own, each in zip(stated, found, strict=True)
    ]
    table = pa.concat_tables(tables).replace_schema_metadata({METADATA_KEY: canonical_json(stated)})
    write_bytes(root / HELD_OUT, parquet_of(table))


def _markdown(names: Sequence[str], found: Sequence[HeldOut], gaps: Sequence[Gaps]) -> str:
    """A row an error, columns so wide that a terminal shows them below each other."""
    figures = [each.figures for each in found]
    rows = [["held out", names[0], *(cell for name in names[1:] for cell in (name, "difference", "standard error"))]]
    for name in TOLD:
        if figures[0][name] is not None:
            row = [f"{name} (median)" if name in PLACES.values() else name, _cell(name, figures[0][name], "#.3g")]
            for own, gap in zip(figures[1:], gaps, strict=True):
                row += [_cell(name, own[name], "#.3g")]
                row += [_cell(name, gap[name].mean, "+.2g"), _cell(name, gap[name].se, ".2g")]
            rows.append(row)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])])
    lines = (" | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def _cell(name: str, value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{100 * value:{form}} %" if name in PLACES.values() else f"{value:{form}}"


def _sentence(names: Sequence[str], first: HeldOut, gaps: Sequence[Gaps]) -> str:
    said = [f"{len(first.network.sample_ids)} held-out people"]
    for name, own in zip(names[1:], gaps, strict=True):
        told = {error: own[error] for error in (*ERRORS, *PLACES.values()) if error in own}
        sure = {error: gap.mean for error, gap in told.items() if gap.is_sure}
        better = ", ".join(error for error, mean in sure.items() if mean < 0) or "nothing"
        worse = ", ".join(error for error, mean in sure.items() if mean > 0) or "nothing"
        said.append(f"{name} is better than {names[0]} in {better}, worse in {worse}")
    return "; ".join(said) + (f" (by more than {SURE:g} standard errors)." if gaps else ".")
