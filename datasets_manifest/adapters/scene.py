"""Scenes of several calibrated cameras: a folder a scene, with photos or a video of each camera and a camera file.

A scene is a group, a long one several. An image's id is its path below the root.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, Place
from datasets_manifest.adapters.camera_files import CameraEntry, CameraFile, read_cameras
from datasets_manifest.adapters.groups import GROUP_FRAMES, ListedVideo, group_of
from datasets_manifest.adapters.moments import Taken, nearest_times, same_numbers
from datasets_manifest.adapters.registry import register
from datasets_manifest.settings import Text
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, image_size
from datasets_manifest.sources.video import ALL_FRAMES, FrameChoice, frame_name, is_video

_PLACEHOLDERS = {"scene": "(?P<scene>.+)", "camera": "(?P<camera>[^/]+)", "frame": r"(?P<frame>\d+)"}
_ALONE = "scene"
"""What the one scene of a pattern without {scene} is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneLayout:
    """Where photos and cameras are."""

    images: Text
    """Paths of photos, such as {scene}/{camera}/{frame}.jpg, or of videos, such as {scene}/{camera}.mp4. {frame} is a
    number; photos of one number were taken at one moment. Without {scene} all is one scene."""
    cameras: Text = "{scene}/cameras.yaml"
    """The camera file of a scene; without {scene} it is that of all."""
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
        names = re.findall(r"\{(\w*)\}", self.images)
        wanted = {"camera"} if is_video(self.images) else {"camera", "frame"}
        if len(set(names)) < len(names) or not wanted <= set(names) <= wanted | {"scene"}:
            expected = " and ".join(f"{{{name}}}" for name in sorted(wanted))
            raise ValueError(f"images: expected a path with {expected}, and perhaps {{scene}}, got {self.images!r}")
        if "{scene}" in self.cameras and "{scene}" not in self.images:
            raise ValueError(f"cameras: is {self.cameras!r}, but images has no {{scene}}")
        if is_video(self.images) and self.fps is not None:
            raise ValueError(
                "fps: is of numbered photos, but images are videos, which have their own times; leave it out"
            )


_Photos = dict[str, dict[int, str]]
"""Camera -> number -> photo; -1 for a video."""


@register("scene")
class SceneAdapter:
    """Photos of several calibrated cameras; people are to be detected."""

    Layout: ClassVar[type] = SceneLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"detector"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none"})

    def __init__(self, images: ImageSource, layout: SceneLayout, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout

    def entries(self) -> Iterator[Entry]:
        """List the scenes; in each the photos of a camera follow each other, in the order of the moments.

        Raises:
            ValueError: A camera file is wrong, or cameras and photos do not belong together.
        """
        listing = self._images.listing()
        yield from (Missing.of(name, problem.code, problem.detail) for name, problem in listing.problems)
        found, others = self._found(listing.names)
        files = {self._file_of(scene) for scene in found}
        yield LeftOut("files that are not of the layout left out", sum(name not in files for name in others))
        cameras = self._cameras(found)
        videos = {
            name: ListedVideo.of(self._images, name)
            for own in found.values()
            for photos in own.values()
            for number, name in photos.items()
            if number < 0
        }
        yield from (video.problem for video in videos.values() if video.problem is not None)
        scenes = [(scene, own, cameras[scene]) for scene, own in sorted(found.items())]
        for scene, own, file in scenes:
            self._check(scene, own, file, videos)
        for scene, own, file in scenes:
            yield from self._scene(scene, own, file, videos)

    def _found(self, names: list[str]) -> tuple[dict[str, _Photos], list[str]]:
        """The photos or videos, and what other files there are.

        Raises:
            ValueError: Two photos of a camera have the same number.
        """
        parts = re.split(r"\{(\w+)\}", self._layout.images)
        pattern = re.compile("".join(_PLACEHOLDERS[part] if i % 2 else re.escape(part) for i, part in enumerate(parts)))
        found: defaultdict[str, defaultdict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
        others = []
        for name in names:
            match = pattern.fullmatch(name)
            said = {} if match is None else match.groupdict()
            if match is None or (self._layout.only is not None and said["camera"] not in self._layout.only):
                others.append(name)
                continue
            number = int(said.get("frame", -1))
            other = found[said.get("scene", _ALONE)][said["camera"]].setdefault(number, name)
            if other != name:
                raise self._refused(f"the photos {other} and {name} have the same number; take one of them away")
        return {scene: dict(own) for scene, own in found.items()}, others

    def _cameras(self, found: dict[str, _Photos]) -> dict[str, CameraFile]:
        """The camera file of each scene.

        Raises:
            ValueError: One is wrong, or names other cameras than there are photos of.
        """
        file_of = {scene: self._file_of(scene) for scene in found}
        files = {file: read_cameras(self._images, file) for file in sorted(set(file_of.values()))}
        for file, content in files.items():
            seen = {name: scene for scene in found if file_of[scene] == file for name in found[scene]}
            for name, scene in seen.items():
                if name not in content.cameras:
                    raise self._refused(
                        f"the camera {name} of {scene} is not in {file}, which has {', '.join(content.cameras)} (names "
                        "that are numbers stand in quotes); add it there, or name the cameras that count in layout.only"
                    )
            for name in self._layout.only or content.cameras:
                if name not in seen:
                    raise self._refused(
                        f"the camera {name} of {file} has no photos like {self._layout.images}; take it out of the "
                        "file, or name the cameras that count in layout.only"
                    )
        return {scene: files[file] for scene, file in file_of.items()}

    def _refused(self, why: str) -> ValueError:
        return ValueError(f"Scenes in {self._images.root}: {why}")

    def _file_of(self, scene: str) -> str:
        return self._layout.cameras.replace("{scene}", scene)

    def _check(self, scene: str, own: _Photos, file: CameraFile, videos: Mapping[str, ListedVideo]) -> None:
        """Refuses photos without times, and those of another size than their camera's, by the first of each."""
        if (
            self._layout.fps is None
            and not videos
            and len({number for photos in own.values() for number in photos}) > 1
        ):
            raise self._refused(f"layout.fps: is missing, numbers of photos a second; those of {scene} have several")
        for name, photos in own.items():
            first = next(iter(photos.values()))
            try:
                size = image_size(self._images.read(f"{first}{MEMBER_MARK}{frame_name(0)}" if videos else first), first)
            except ImageError:  # It has a row, which fails.
                continue
            if size != (stated := file.cameras[name].size_px):
                raise self._refused(
                    f"{first} has {size[0]} x {size[1]} px, the camera {name} of {self._file_of(scene)} has size_px "
                    f"{stated[0]}, {stated[1]}; give the photos that were calibrated, or scale the camera with them"
                )

    def _scene(self, scene: str, own: _Photos, file: CameraFile, videos: Mapping[str, ListedVideo]) -> Iterator[Entry]:
        """The photos of a scene: by group, camera and moment."""
        taken = {name: self._taken(photos, file.cameras[name], videos) for name, photos in sorted(own.items())}
        moments = same_numbers(taken) if file.synchronised and not videos else nearest_times(taken)
        wanted = moments.chosen(self._layout.frames)
        views = Counter(moment for of in moments.of.values() for moment in of.values() if moment in wanted)
        yield LeftOut("moments", len(wanted))
        yield LeftOut("moments that not all cameras have", sum(count < len(own) for count in views.values()))
        yield LeftOut(
            "photos of no moment left out", sum(len(taken[name].numbers) - len(moments.of[name]) for name in own)
        )
        extrinsics = {name: file.world_to_camera(name) for name in own}
        groups = defaultdict[str, list[tuple[str, int, int]]](list)
        for name, of in moments.of.items():
            for number, moment in of.items():
                if moment in wanted:
                    group = group_of(scene, moment, moments.numbers, self._layout.group_frames)
                    groups[group].append((name, number, moment))
        for group, photos in sorted(groups.items()):
            for name, number, moment in photos:
                path = f"{own[name][-1]}{MEMBER_MARK}{frame_name(number)}" if videos else own[name][number]
                camera = file.cameras[name]
                time_s = float(taken[name].times_s[np.searchsorted(taken[name].numbers, number)])
                yield ImageRecord(
                    image_id=path,
                    path=path,
                    width=camera.size_px[0],
                    height=camera.size_px[1],
                    focal_px=math.sqrt(camera.focal_px[0] * camera.focal_px[1]),
                    principal_px=camera.principal_px,
                    lens=camera.distorting,
                    place=Place(
                        group=group, camera=name, frame=moment, time_s=time_s, world_to_camera=extrinsics[name]
                    ),
                )

    def _taken(self, photos: Mapping[int, str], camera: CameraEntry, videos: Mapping[str, ListedVideo]) -> Taken:
        """Numbers and times of what a camera took."""
        if videos:
            video = videos[photos[-1]]
            numbers, times_s = np.array(video.frames, int), np.array([video.time_s(number) for number in video.frames])
        else:
            numbers = np.array(sorted(photos), int)
            times_s = numbers / (self._layout.fps or 1.0)
        return Taken(numbers=numbers, times_s=times_s + (camera.time_offset_s or 0.0))
