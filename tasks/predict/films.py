"""Overlays of videos: one film each, whole or not there."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from datasets_manifest.files import whole_file
from tasks.film import Film, film_into
from tasks.predict.inputs import InputFrame, Source

FILM_SUFFIX = ".overlay.mp4"


class OverlayFilms:
    """Writes the films of videos whose frames come one after the other; a block that fails leaves none unfinished."""

    def __init__(self, folder: Path) -> None:
        """Takes the folder that the films are written into."""
        self._folder = folder
        self._source: Source | None = None
        self._film: Film | None = None
        self._open = ExitStack()

    def add(self, frame: InputFrame, drawn: np.ndarray) -> None:
        """Takes what is drawn of the next frame (H, W, 3) uint8; the first one of another video ends the film before.

        Raises:
            WriteError: A film cannot be written.
        """
        if frame.source is not self._source or self._film is None:
            self._open.close()
            file = self._open.enter_context(whole_file(self._folder / f"{frame.source.label}{FILM_SUFFIX}"))
            self._source, self._film = frame.source, self._open.enter_context(film_into(file))
        assert frame.time_s is not None
        self._film.add(drawn, frame.time_s)

    def __enter__(self) -> OverlayFilms:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
