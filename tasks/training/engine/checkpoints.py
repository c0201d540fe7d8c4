"""The state of a training on disk: everything that the next step depends on, in one safetensors file.

A file appears whole or not at all, so whatever ends a run, its newest checkpoint is good, and going on from there gives
the very numbers that a run without a break gives. The state of random generators is not needed: everything random
follows from the seed and the step (see tasks/training/engine/loop.py).

    module.<name>       weights and buffers
    average.<name>      exponential moving average of the weights that are trained
    adam.<kind>.<name>  AdamW's count, first and second moment of a parameter
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datasets_manifest.files import sweep_temporary, write_bytes
from model.tensor_file import pack, unpack
from tasks.training.engine.curves import Meter
from tasks.training.engine.ema import WeightAverage
from tasks.training.engine.run_folder import RunFolder

FORMAT = "training-state/1"
"""Says that a file is the state of a training, and the version of its names."""
_NAME = re.compile(r"state-(\d{8})\.safetensors")
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a training changes."""

    module: nn.Module
    """The network, and what is trained beside it."""
    average: WeightAverage
    """Its averaged weights."""
    optimiser: torch.optim.Optimizer
    """AdamW over its parameters."""


def state_path(folder: Path, step: int) -> Path:
    """The file of a step, which counts the steps that are done."""
    return folder / f"state-{step:08d}.safetensors"


def list_states(folder: Path) -> list[tuple[int, Path]]:
    """Steps and files of a folder, oldest first."""
    found = [(match, path) for path in folder.glob("state-*.safetensors") if (match := _NAME.fullmatch(path.name))]
    return sorted((int(match[1]), path) for match, path in found)


def is_finished(folder: RunFolder, steps: int) -> bool:
    """Whether a run has been trained to its end.

    Raises:
        ValueError: It has been trained beyond that.
    """
    done = json.loads(folder.summary.read_text(encoding="utf-8"))["steps"] if folder.summary.is_file() else 0
    reached = max([done, *(step for step, _ in list_states(folder.checkpoints))])
    if reached > steps:
        raise ValueError(
            f"steps: the run in {folder.root} has been trained for {reached} steps, {steps} cannot be had from it; set "
            f"steps to {reached} or more, or name another folder with output.runs"
        )
    return done == steps


def save_state(
    folder: Path,
    trained: Trained,
    *,
    step: int,
    run_hash: str,
    meter: Meter,
    broken: Iterable[str] = (),
    keep: int,
) -> Path:
    """Writes the state after `step` steps and removes all but the newest `keep` files.

    Args:
        folder: Where the states of the run are.
        trained: What is written.
        step: Steps that are done.
        run_hash: Of the run.
        meter: Means since the last row of the curve.
        broken: Ids of the rows that were stepped over so far (``tasks.training.engine.broken_rows``).
        keep: How many files stay.

    Raises:
        OSError: The disk is full, for example; the older files stay.
    """
    sweep_temporary(folder, recursive=False) if folder.is_dir() else folder.mkdir(parents=True)
    stated = {
        "format": FORMAT,
        "step": step,
        "run_hash": run_hash,
        "meter": meter.to_dict(),
        "broken": sorted(broken),
    }
    path = state_path(folder, step)
    write_bytes(path, pack(_tensors(trained), stated))
    for _, old in list_states(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def load_newest(folder: Path, trained: Trained, run_hash: str) -> tuple[int, Meter, list[str]]:
    """Puts the newest state of a folder into module, average and optimiser.

    Returns:
        Steps that are done, the meter, and the ids of the rows that were stepped over; 0 and empty ones where there is
        no state yet.

    Raises:
        ValueError: The file is damaged, or of another run.
    """
    states = list_states(folder)
    if not states:
        return 0, Meter(), []
    step, path = states[-1]
    stated = load_state(path, trained, run_hash)
    if stated["step"] != step:
        raise ValueError(f"{path}: named as step {step}, but it holds step {stated['step']}; delete the file")
    return step, Meter.from_dict(stated["meter"]), list(stated.get("broken", ()))


def load_state(path: Path, trained: Trained, run_hash: str) -> dict[str, Any]:
    """Puts one state into module, average and optimiser.

    Returns:
        ``step``, ``meter`` and what else the file states.

    Raises:
        ValueError: As for ``load_newest``.
    """
    tensors, stated = unpack(path.read_bytes(), str(path))
    if stated.get("format") != FORMAT:
        raise ValueError(f"{path}: expected the format {FORMAT!r}, got {stated.get('format')!r}; delete the file")
    if stated["run_hash"] != run_hash:
        raise ValueError(
            f"{path}: the state of another run ({stated['run_hash'][:12]}, expected {run_hash[:12]}); "
            "each run needs a folder of its own"
        )
    _check_names(path, tensors, trained)
    with torch.no_grad():
        trained.module.load_state_dict({name: tensors[f"module.{name}"] for name in trained.module.state_dict()})
        trained.average.load({name: tensors[f"average.{name}"] for name in trained.average.tensors})
    _load_moments(trained, tensors)
    return stated


def _tensors(trained: Trained) -> dict[str, Tensor]:
    named = {f"module.{name}": value for name, value in trained.module.state_dict().items()}
    named |= {f"average.{name}": value for name, value in trained.average.tensors.items()}
    for name, parameter in trained.module.named_parameters():
        moments: Mapping[str, Tensor] = trained.optimiser.state.get(parameter, {})
        named |= {f"adam.{kind}.{name}": moments[kind] for kind in _MOMENTS if kind in moments}
    return named


def _check_names(path: Path, tensors: Mapping[str, Tensor], trained: Trained) -> None:
    wanted = {f"module.{name}": value for name, value in trained.module.state_dict().items()}
    wanted |= {f"average.{name}": value for name, value in trained.average.tensors.items()}
    wrong = [name for name, value in wanted.items() if name not in tensors or tensors[name].shape != value.shape]
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong)} tensors are missing or of another shape ({', '.join(wrong[:3])}); "
            "the state is of another network"
        )


def _load_moments(trained: Trained, tensors: Mapping[str, Tensor]) -> None:
    """Moments of parameters that have had no gradient yet are not in the file, and stay absent."""
    trained.optimiser.state.clear()
    for name, parameter in trained.module.named_parameters():
        moments = {kind: tensors[key] for kind in _MOMENTS if (key := f"adam.{kind}.{name}") in tensors}
        if moments:
            trained.optimiser.state[parameter] = {
                kind: value.to(parameter.device).clone() for kind, value in moments.items()
            }
