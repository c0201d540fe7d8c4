"""Names of photos below the root of a data set, as the `image` column has them.

A path below the root; ``archive.tar::member`` for a member of a tar file, ``clip.mp4::000120`` for a frame of a video,
by its number; or, where the root holds tar files, just the member.
"""

from __future__ import annotations

from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.video import is_video

MEMBER_MARK = "::"
"""Between the path of a tar file or video and the name of a member or frame."""

ARCHIVE_SUFFIX = ".tar"
"""Files that end so are tar files, whose members are listed in their place."""

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""Names that end so (in any case) are taken for photos; whether they are, the decoder decides."""


def file_of(image: str) -> str:
    """The name of the video that a frame is of; that of anything else as it is."""
    file, mark, _ = image.partition(MEMBER_MARK)
    return file if mark and is_video(file) else image


def is_shown(name: str) -> bool:
    """Is neither a file nor a folder of the path hidden."""
    return not any(part.startswith(".") for part in name.split("/"))


def check_name(name: str) -> None:
    """Refuses the name of a file that would not be one name of one photo.

    Raises:
        ImageError: source_row_invalid; it is not UTF-8, or holds the mark.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ImageError(ErrorCode.SOURCE_ROW_INVALID, "the file's name is not UTF-8; rename it.") from error
    if MEMBER_MARK in name:
        detail = f"the file's name holds {MEMBER_MARK}, which stands between tar file and member; rename it."
        raise ImageError(ErrorCode.SOURCE_ROW_INVALID, detail)
