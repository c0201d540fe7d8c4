"""What an export wrote into a folder, and the list beside its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets_manifest.files import write_text
from datasets_manifest.paths import inside

LIST, LICENCE = "export.json", "LICENCE.txt"
"""Beside the files: what they are and what of them no label says; and their terms."""


@dataclass(kw_only=True, slots=True)
class Exported:
    """What was written into one folder."""

    folder: Path
    """Where."""
    stated: dict[str, Any]
    """What holds for all files."""
    licence: str
    """Their terms, in full."""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is said of each, by its name."""
    title: str = ""
    """What was written, in a few words."""
    remarks: list[tuple[int, str]] = field(default_factory=list)
    """Counts of what is not as a label says, each with its sentence; those of nothing are not told."""

    def lines(self) -> Iterator[str]:
        """What was written, and what is not as a label says."""
        yield f"{self.folder}: {self.title or 'nothing written'}"
        yield from (f"  {sentence}" for number, sentence in self.remarks if number)

    def finish(self) -> None:
        """Writes the list and the terms, and deletes what an earlier export wrote there and this one did not."""
        before = self.folder / LIST
        if not self.files and not before.is_file():
            return
        if before.is_file():
            names = {own["file"] for own in json.loads(before.read_text(encoding="utf-8"))["files"]}
            for name in names - self.files.keys():
                inside(self.folder, name).unlink(missing_ok=True)
        files = [{"file": name} | told for name, told in self.files.items()]
        write_text(before, json.dumps(self.stated | {"files": files}, indent=1) + "\n")
        write_text(self.folder / LICENCE, self.licence)
