"""What the manifest of scenes of several cameras says of their files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from datasets_manifest.adapters.groups import GROUP_FRAMES
from datasets_manifest.settings import Text
from datasets_manifest.sources.frame_choice import ALL_FRAMES, FrameChoice
from datasets_manifest.sources.video import is_video

_WITH_GLASSES = ("egohumans", "harmony4d", "egoexo4d")


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneLayout:
    """Where photos and cameras are."""

    images: Text
    """Paths of photos, such as {scene}/{camera}/{frame}.jpg, or of videos, such as {scene}/{camera}.mp4. {frame} is a
    number; photos of one number were taken at one moment. Without {scene} all is one scene."""
    cameras: Text = "{scene}/cameras.yaml"
    """The camera file of a scene; without {scene} it is that of all. Of a published capture what it has in its place:
    colmap/workplace, trajectory/gopro_calibs.csv or camera.calibration of the scene."""
    kind: Literal["own", "egohumans", "harmony4d", "egoexo4d", "mpi_inf_3dhp", "human36m"] = "own"
    """Whose format cameras and people are in: own is that of camera files, without people."""
    people: tuple[Text, ...] = ()
    """Paths of people in 3D, with {scene} and {frame}, or {take_uid} of egoexo4d. With boxes: manifest they are the
    people, and their boxes are where the cameras see them."""
    scenes: tuple[Text, ...] = ()
    """What the names of scenes begin with that count, such as train/; all without it."""
    leave_scenes: tuple[Text, ...] = ()
    """What the names of scenes begin with that do not count."""
    leave_out: dict[Text, tuple[Text, ...]] = field(default_factory=dict)
    """Cameras that do not count, by the end of their scene's name: those that the publisher calls invalid."""
    ego: Text | None = None
    """Paths of photos or videos by glasses that people wear, like images; without it they do not count. Of their
    wearers, hands alone are trusted there."""
    ego_cameras: Text | None = None
    """Where the glasses are: {scene}/ego/{camera}/calib/{frame}.txt of egohumans and harmony4d, a path with {take_uid}
    of egoexo4d."""
    fps: PositiveFloat | None = None
    """Numbers of photos a second; videos have their own times."""
    frames: FrameChoice = ALL_FRAMES
    """Which moments, such as {every: 5} or {fps: 2}."""
    only: tuple[Text, ...] | None = None
    """Names of the cameras that count; null is all. Others need not be in the camera file."""
    group_frames: PositiveInt = GROUP_FRAMES // 2
    """Scenes with more moments, the chosen and the others, are cut into groups of about so many, each fitted together
    and in one shard."""

    def __post_init__(self) -> None:
        """Check the patterns; the error names the field."""
        for field_name, text in (("images", self.images), ("ego", self.ego)):
            if text is not None:
                _check_pattern(field_name, text)
        if (self.ego is None) != (self.ego_cameras is None):
            raise ValueError("ego: photos by glasses and ego_cameras, where these are, are stated both or neither")
        if self.ego is not None and self.kind not in _WITH_GLASSES:
            raise ValueError(f"ego: glasses are of {', '.join(_WITH_GLASSES)}, got kind {self.kind}")
        if self.ego is not None and is_video(self.ego) != is_video(self.images):
            raise ValueError(f"ego: images are {'videos' if is_video(self.images) else 'photos'}, got {self.ego!r}")
        if "{scene}" in self.cameras and "{scene}" not in self.images:
            raise ValueError(f"cameras: is {self.cameras!r}, but images has no {{scene}}")
        if self.kind == "own" and (self.people or self.leave_out):
            raise ValueError("kind: is own, whose camera files have no people; leave out people and leave_out")
        if self.kind != "egoexo4d" and len(self.people) > 1:
            raise ValueError(f"people: a moment of {self.kind} has one file, got {len(self.people)}")
        if is_video(self.images) and self.fps is not None:
            raise ValueError(
                "fps: is of numbered photos, but images are videos, which have their own times; leave it out"
            )


def _check_pattern(name: str, text: str) -> None:
    names = re.findall(r"\{(\w*)\}", text)
    wanted = {"camera"} if is_video(text) else {"camera", "frame"}
    if len(set(names)) < len(names) or not wanted <= set(names) <= wanted | {"scene"}:
        expected = " and ".join(f"{{{own}}}" for own in sorted(wanted))
        raise ValueError(f"{name}: expected a path with {expected}, and perhaps {{scene}}, got {text!r}")
