"""The few figures that people compare runs by, one small file each: ``dvc metrics show`` makes a row of every file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_text


def write_summary(metrics: str, name: str, figures: Mapping[str, Any]) -> Path:
    """Writes main figures to ``summary/<name>.json`` beside the file of all figures, and returns that file.

    DVC is told of the folder, so that what has not been computed is not missed.
    """
    path = Path(metrics).parent / "summary" / f"{name}.json"
    write_text(path, json.dumps(figures, indent=2) + "\n")
    return path
