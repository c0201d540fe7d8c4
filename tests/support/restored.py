"""A folder that is dear to make, as it was made, for every test: at one place, since results name where they lie."""

from __future__ import annotations

import shutil
from pathlib import Path


class Restored:
    """Keeps a copy of a folder beside it; a test that changed it leaves no trace for the next."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._kept = folder, folder.with_name(f"{folder.name}.kept")
        shutil.copytree(folder, self._kept)

    def __call__(self) -> Path:
        """The folder with the content that it had at first, times of files included."""
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)
        return self._folder
