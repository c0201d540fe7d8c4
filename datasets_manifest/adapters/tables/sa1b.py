"""SA-1B: tar files of photos with a JSON each, which says how large the photo is and nothing of people.

Faces and plates in the photos are blurred: ``trusted`` in the manifest leaves faces out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from datasets_manifest.adapters.base import Entry, ImageRecord, LeftOut, Missing
from datasets_manifest.adapters.coco_values import size_px
from datasets_manifest.adapters.people.tar_members import by_key, prefix_of, whole_archives
from datasets_manifest.adapters.tables.layout import TableLayout
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.images import ImageError
from datasets_manifest.sources.tar_archive import TarArchive


def entries(images: ImageSource, layout: TableLayout) -> Iterator[Entry]:
    """Photos, tar file by tar file; masks are counted.

    Raises:
        ValueError: No tar file matches.
    """
    archives, problems = whole_archives(images, (layout.annotations,), "layout.annotations")
    yield from problems
    masks = 0
    for name, index in archives:
        archive = index()
        for key, members in by_key(archive):
            place = prefix_of(name) + members.get("jpg", f"{key}.jpg")
            if "jpg" not in members:
                detail = "the tar file has what is said of it, but not the photo; fetch it again."
                yield Missing.of(place, ErrorCode.IMAGE_MISSING, detail, has_row=True)
            said = _said(archive, members.get("json"))
            if said is None:
                yield Missing.of(f"{place} json", ErrorCode.SOURCE_ROW_INVALID, "its JSON cannot be read.")
            image = said.get("image") if said else None
            masks += len(said["annotations"]) if said and isinstance(said.get("annotations"), list) else 0
            size = image if isinstance(image, dict) else {}
            yield ImageRecord(image_id=place, path=place, width=size_px(size, "width"), height=size_px(size, "height"))
    yield LeftOut("masks of things left out, which say nothing of people", masks)


def _said(archive: TarArchive, member: str | None) -> dict[str, Any] | None:
    if member is None:
        return None
    try:
        content = json.loads(archive.read(member))
    except (ImageError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
