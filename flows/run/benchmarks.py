"""Settings of an evaluation on benchmarks: roots, body and device, as those of the annotation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_manifest.paths import placed
from tasks.annotate.settings import build_config, load_config
from tasks.evaluate.on_benchmarks import BenchmarkRun


def benchmark_run(params: str | Path, overrides: Mapping[str, Any] | None = None) -> BenchmarkRun:
    """What a settings file with a section ``annotate`` says; without the file, what is said where it would be.

    Raises:
        ValueError: A setting is unknown or out of range.
    """
    path = placed(params).absolute()
    if path.is_file():
        config = load_config(path, overrides)
    else:
        config = build_config({}, path.parent, path.name, overrides)
    return BenchmarkRun(folder=path.parent, roots=config.roots, body_model=config.body_model, device=config.run.device)
