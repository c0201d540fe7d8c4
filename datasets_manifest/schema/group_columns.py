"""Columns of photos that belong together: frames of a video, views of a scene by several cameras.

They are optional: the files of a data set have them if some of its photos are in a group.
"""

from __future__ import annotations

import pyarrow as pa

from datasets_manifest.schema.fields import FLOATS, column

WORLD_TO_CAMERA_SHAPE = (3, 4)
_TRACK = "the person has it in every row of the group"


def place_columns() -> list[pa.Field]:
    """Where in its group a photo is."""
    return [
        column("group", pa.string(), "video, or scene of several cameras, that is fitted together", optional=True),
        column("camera", pa.string(), "name of the camera within the group; null where there is one", optional=True),
        column("frame", pa.int32(), "number of the moment within the group; all its views have it", optional=True),
        column("time_s", pa.float64(), "when it was taken, by the clock of the group", unit="s", optional=True),
        column(
            "world_to_camera",
            FLOATS,
            "rotation and translation (metres) from the world of the group to the camera; null where it is not known",
            unit="1, 1, 1, m",
            shape=WORLD_TO_CAMERA_SHAPE,
            optional=True,
        ),
    ]


def planned_track_column() -> pa.Field:
    """Who a person is, as the data set says."""
    return column("track", pa.int32(), f"{_TRACK}; null where the data set does not say", optional=True)


def camera_track_column() -> pa.Field:
    """Who a person is in the photos of one camera."""
    return column("track", pa.int32(), "the person has it in every photo of this camera of the group", optional=True)


def group_columns() -> list[pa.Field]:
    """What labels say of groups."""
    return [
        *place_columns(),
        column("track", pa.int32(), f"{_TRACK}, whichever camera took it; null outside groups", optional=True),
        column("views_joined", pa.bool_(), "was the person fitted with other views of the moment", optional=True),
        column("frames_joined", pa.bool_(), "was the person fitted with other frames", optional=True),
        column(
            "group_detail",
            pa.string(),
            "why the person was fitted without views or frames that there are; null where none was left out",
            optional=True,
        ),
    ]


GROUP_COLUMNS = tuple(field.name for field in group_columns())
