"""Where the files of a backend lie, by the asset table, for whoever names no path of their own. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.licensed_files.networks import backend_files

DEFAULT_ROOT = "licensed"
"""Folder of the table's files, next to the settings, where ``body_model.path`` names no other."""


def with_table_paths(part: str, backend: str, options: Mapping[str, Any], roots: Sequence[Path]) -> dict[str, Any]:
    """Returns the options of a backend with those of its files that are not given, not even as null.

    Args:
        part: ``keypoints``, ``body``, ``hands`` or ``face``.
        backend: Name in the registry; one whose files are not in the table gets none.
        options: As the settings have them.
        roots: Folders of the files, the first that has one wins. One that is nowhere is named by the place in the first
            where it has to go.
    """
    places = {
        asset.option: str(
            next((path for root in roots if (path := asset.found_below(root))), roots[0] / asset.place),
        )
        for asset in backend_files(part, backend, options)
    }
    return places | dict(options)
