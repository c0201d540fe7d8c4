"""A tar file or a video as the source of photos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_names import MEMBER_MARK, is_shown
from datasets_manifest.sources.image_source import FileState, Listing, problem_of
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive
from datasets_manifest.sources.video import VideoClip, is_video


@dataclass(kw_only=True, slots=True, eq=False)
class FileSource:
    """One tar file or video; a name is a member, with or without the file's own name and :: before it."""

    root: Any
    """A path, or the address of a tar file in a store."""
    archive: TarArchive | VideoClip

    def listing(self, *, recursive: bool = True) -> Listing:
        archive, _ = self._place("")
        if isinstance(archive, VideoClip):
            return Listing(names=[self.root.name], problems=[])
        names = [name for name in archive.members if is_shown(name) and (recursive or "/" not in name)]
        return Listing(names=sorted(names), problems=archive.problems())

    def clip(self, video: str) -> VideoClip:
        archive, _ = self._place(video)
        if not isinstance(archive, VideoClip):
            raise no_clip(video)
        return archive

    def read(self, image: str) -> bytes:
        archive, member = self._place(image)
        return archive.read(member)

    def state(self, image: str) -> FileState:
        archive, member = self._place(image)
        return archive.state(member)

    def missing(self, images: Iterable[str]) -> list[str]:
        return sorted(image for image in images if problem_of(self, image))

    def _place(self, image: str) -> tuple[TarArchive | VideoClip, str]:
        try:
            self.archive = self.archive.current()
        except ImageError:
            raise
        except ValueError as error:
            raise ImageError(ErrorCode.IMAGE_MISSING, f"{image}: {error}") from error
        return self.archive, image.removeprefix(f"{self.root.name}{MEMBER_MARK}")


def indexed(path: Path, name: str) -> TarArchive | VideoClip:
    """What a tar file or video holds; ``name`` is what errors call a video."""
    return VideoClip.index(path, name=name) if is_video(name) else TarArchive.index(path)


def no_clip(video: str) -> ImageError:
    """What is said of a video inside a tar file."""
    detail = f"{video} is a video inside a tar file, which is not read; unpack it."
    return ImageError(ErrorCode.IMAGE_UNSUPPORTED, detail)
