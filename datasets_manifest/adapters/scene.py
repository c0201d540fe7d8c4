"""Scenes of several calibrated cameras: a folder a scene, with photos or a video of each camera and a camera file.

A scene is a group, a long one several. An image's id is its path below the root.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing, Place
from datasets_manifest.adapters.camera_files import CameraEntry, CameraFile, read_cameras
from datasets_manifest.adapters.groups import ListedVideo, group_of
from datasets_manifest.adapters.moments import Taken, nearest_times, same_numbers
from datasets_manifest.adapters.registry import register
from datasets_manifest.adapters.scene_layout import SceneLayout
from datasets_manifest.sources.image_names import MEMBER_MARK
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError, image_size
from datasets_manifest.sources.video import frame_name

if TYPE_CHECKING:
    from datasets_manifest.adapters.captures.base import Capture

_PLACEHOLDERS = {"scene": "(?P<scene>.+)", "camera": "(?P<camera>[^/]+)", "frame": r"(?P<frame>\d+)"}
_ALONE = "scene"
"""What the one scene of a pattern without {scene} is called."""

_Photos = dict[str, dict[int, str]]
"""Camera -> number -> photo; -1 for a video."""


@register("scene")
class SceneAdapter:
    """Photos of several calibrated cameras; people are to be detected, or known in 3D, each where a camera sees him."""

    Layout: ClassVar[type] = SceneLayout
    BOXES: ClassVar[frozenset[str]] = frozenset({"detector", "manifest"})
    KEYPOINTS: ClassVar[frozenset[str]] = frozenset({"none"})

    def __init__(self, images: ImageSource, layout: SceneLayout, *, boxes: str, keypoints: str) -> None:
        self._images = images
        self._layout = layout
        self._people_are_known = boxes == "manifest"
        if self._people_are_known and not layout.people:
            raise ValueError("boxes is 'manifest', but layout.people names no people; name them, or set it to detector")

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
        capture = None
        if self._layout.kind == "own":
            cameras = self._cameras(found)
        else:
            from datasets_manifest.adapters.captures.opening import calibrated, open_capture  # scipy is slow to import

            capture = open_capture(self._images, self._layout)
            cameras = {
                scene: capture.cameras(scene, self._file_of(scene), self._sizes(own)) for scene, own in found.items()
            }
            counted = {scene: calibrated(own, cameras[scene], self._layout.only) for scene, own in found.items()}
            left_out = sum(len(own) - len(counted[scene]) for scene, own in found.items())
            yield LeftOut("cameras without a calibration that counts left out", left_out)
            found = {scene: own for scene, own in counted.items() if own}
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
            yield from self._scene(scene, own, file, videos, capture)

    def _sizes(self, own: _Photos) -> Callable[[str], tuple[int, int] | None]:
        """Of a scene's photos, by the first of each camera."""

        def size_of(camera: str) -> tuple[int, int] | None:
            if camera not in own:
                return None
            number, first = next(iter(own[camera].items()))
            return self._size(f"{first}{MEMBER_MARK}{frame_name(0)}" if number < 0 else first)

        return size_of

    def _size(self, photo: str) -> tuple[int, int] | None:
        """None of a photo that cannot be read: it has a row, which fails."""
        try:
            return image_size(self._images.read(photo), photo)
        except ImageError:
            return None

    def _found(self, names: list[str]) -> tuple[dict[str, _Photos], list[str]]:
        """The photos or videos, and what other files there are.

        Raises:
            ValueError: Two photos of a camera have the same number.
        """
        # Photos by glasses may lie among the others, and be called in a way that fits both.
        patterns = [_pattern(text) for text in (self._layout.ego, self._layout.images) if text is not None]
        found: defaultdict[str, defaultdict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
        others = []
        for name in names:
            match = next(filter(None, (pattern.fullmatch(name) for pattern in patterns)), None)
            said = {} if match is None else match.groupdict()
            if match is None or (self._layout.only is not None and said["camera"] not in self._layout.only):
                others.append(name)
                continue
            number = int(said.get("frame", -1))
            other = found[said.get("scene", _ALONE)][said["camera"]].setdefault(number, name)
            if other != name:
                raise self._refused(f"the photos {other} and {name} have the same number; take one of them away")
        return {scene: dict(own) for scene, own in found.items() if self._counts(scene)}, others

    def _counts(self, scene: str) -> bool:
        layout = self._layout
        return scene.startswith(layout.scenes or "") and not scene.startswith(layout.leave_scenes)

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
        size_of = self._sizes(own)
        for name, photos in own.items():
            size, stated = size_of(name), file.cameras[name].size_px
            if size is not None and size != stated:
                first = next(iter(photos.values()))
                raise self._refused(
                    f"{first} has {size[0]} x {size[1]} px, the camera {name} of {self._file_of(scene)} has size_px "
                    f"{stated[0]}, {stated[1]}; give the photos that were calibrated, or scale the camera with them"
                )

    def _scene(
        self,
        scene: str,
        own: _Photos,
        file: CameraFile,
        videos: Mapping[str, ListedVideo],
        capture: Capture | None,
    ) -> Iterator[Entry]:
        """The photos of a scene: by group, camera and moment."""
        taken = {name: self._taken(photos, file.cameras[name], videos) for name, photos in sorted(own.items())}
        moments = same_numbers(taken) if file.synchronised and not videos else nearest_times(taken)
        wanted = moments.chosen(self._layout.frames)
        known = None
        if capture is not None and self._people_are_known:
            known = capture.people(scene, moments.numbers)
            yield from (LeftOut(what, number) for what, number in known.left_out.items())
            yield LeftOut("moments without people left out", sum(number not in known.points_m for number in wanted))
            wanted &= known.points_m.keys()
        views = Counter(moment for of in moments.of.values() for moment in of.values() if moment in wanted)
        yield LeftOut("moments", len(wanted))
        yield LeftOut("moments that not all cameras have", sum(count < len(own) for count in views.values()))
        yield LeftOut(
            "photos of no moment left out", sum(len(taken[name].numbers) - len(moments.of[name]) for name in own)
        )
        groups = defaultdict[str, list[tuple[str, int, int]]](list)
        for name, of in moments.of.items():
            for number, moment in of.items():
                if moment in wanted:
                    group = group_of(scene, moment, moments.numbers, self._layout.group_frames)
                    groups[group].append((name, number, moment))
        without_place = 0
        for group, photos in sorted(groups.items()):
            for name, number, moment in photos:
                path = f"{own[name][-1]}{MEMBER_MARK}{frame_name(number)}" if videos else own[name][number]
                camera = file.cameras[name]
                time_s = float(taken[name].times_s[np.searchsorted(taken[name].numbers, number)])
                extrinsics = file.place(name, number)
                if extrinsics is None:
                    without_place += 1
                    continue
                people = () if known is None else known.seen_by(moment, camera, extrinsics, file.wearer(name))
                yield ImageRecord(
                    image_id=path,
                    path=path,
                    people=people,
                    width=camera.size_px[0],
                    height=camera.size_px[1],
                    focal_px=math.sqrt(camera.focal_px[0] * camera.focal_px[1]),
                    principal_px=camera.principal_px,
                    lens=camera.distorting,
                    place=Place(group=group, camera=name, frame=moment, time_s=time_s, world_to_camera=extrinsics),
                )
        if self._layout.ego is not None:
            yield LeftOut("photos by glasses whose place is not known left out", without_place)

    def _taken(self, photos: Mapping[int, str], camera: CameraEntry, videos: Mapping[str, ListedVideo]) -> Taken:
        """Numbers and times of what a camera took."""
        if videos:
            video = videos[photos[-1]]
            numbers, times_s = np.array(video.frames, int), np.array([video.time_s(number) for number in video.frames])
        else:
            numbers = np.array(sorted(photos), int)
            times_s = numbers / (self._layout.fps or 1.0)
        return Taken(numbers=numbers, times_s=times_s + (camera.time_offset_s or 0.0))


def _pattern(text: str) -> re.Pattern[str]:
    """What matches the paths of photos or videos."""
    parts = re.split(r"\{(\w+)\}", text)
    return re.compile("".join(_PLACEHOLDERS[part] if i % 2 else re.escape(part) for i, part in enumerate(parts)))
