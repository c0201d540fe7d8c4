"""What is drawn and written of the people of a run: overlays, films, meshes, avatars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets_manifest.files import write_bytes
from model.regressor.photo_people import PhotoPrediction
from model.renderer.mesh_files import MESH_SUFFIX
from tasks.display import Display
from tasks.predict.films import OverlayFilms
from tasks.predict.folder import AVATARS, MESHES, OVERLAYS
from tasks.predict.inputs import InputFrame
from tasks.predict.people import FoundPeople
from tasks.predict.pictures import Painter
from tasks.predict.settings import PredictConfig


class Drawings:
    """Draws the people of photos and frames as they come; ``films`` is a block that lasts as long as they do."""

    def __init__(self, config: PredictConfig, painter: Painter, display: Display | None) -> None:
        """Reads what drawing needs.

        Raises:
            ValueError: Something that avatars need cannot be used.
        """
        self.config, self.painter, self.display = config, painter, display
        self.films = OverlayFilms(Path(config.out) / OVERLAYS)
        self.avatars, self.portrayed = None, set[str]()
        if config.render:
            from tasks.predict.avatar.predicted import PredictedAvatars  # Others need not wait for it.

            self.avatars = PredictedAvatars(config.avatar, config.body_model, painter.body)

    def draw(
        self,
        frame: InputFrame,
        rgb: np.ndarray,
        persons: Sequence[int],
        tracks: Sequence[int | None],
        prediction: PhotoPrediction,
    ) -> None:
        """Draws the people over a photo or frame, and writes their meshes.

        Args:
            frame: The next one.
            rgb: (H, W, 3) its pixels.
            persons: (P,) of the people, by which the rows call them.
            tracks: Who everybody in the rows is.
            prediction: P people.
        """
        posed = self.painter.pose(prediction, persons)
        if self.config.overlays and frame.source.is_video:
            self.films.add(frame, self.painter.film_frame(rgb, prediction, posed, tracks))
        elif self.config.overlays:
            self._save(OVERLAYS, frame, ".jpg", self.painter.overlay(rgb, prediction, posed))
        if self.config.meshes is not None:
            data = self.painter.meshes(posed, self.config.meshes)
            self._save(MESHES, frame, MESH_SUFFIX[self.config.meshes], data)

    def portray(self, frame: InputFrame, rgb: np.ndarray, found: FoundPeople, prediction: PhotoPrediction) -> None:
        """Draws avatars of the people of a photo, of a video of the first frame that has some."""
        if self.avatars is None or not prediction.is_finite.any() or frame.source.label in self.portrayed:
            return
        self.portrayed.add(frame.source.label)
        for name, data in self.avatars.draw(frame.name, rgb, found, prediction, self.display):
            self._save(AVATARS, frame, f"/{name}", data)

    def _save(self, kind: str, frame: InputFrame, suffix: str, data: bytes | None) -> None:
        if data is not None:
            write_bytes(Path(self.config.out) / kind / f"{frame.label}{suffix}", data)
