"""Columns of photos that belong together: frames of a video, views of a scene by several cameras.

They are optional: the files of a data set have them if some of its photos are in a group.
"""

from __future__ import annotations

import pyarrow as pa

from datasets_manifest.schema.fields import FLOATS, column
from datasets_manifest.schema.lens_models import NUM_COEFFICIENTS

WORLD_TO_CAMERA_SHAPE = (3, 4)
NUM_LENS_COEFFICIENTS = 5
"""Of a file with none but OpenCV's lenses."""
MOST_LENS_COEFFICIENTS = max(max(counts) for counts in NUM_COEFFICIENTS.values())
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


def lens_columns(num_coefficients: int = NUM_LENS_COEFFICIENTS) -> list[pa.Field]:
    """How a camera is no pinhole of ``focal_px`` and ``principal_px``, as its calibration says; files with lenses of
    glasses have more coefficients."""
    return [
        column(
            "lens_model",
            pa.string(),
            "brown or fisheye, as OpenCV calls them, or fisheye624 of Aria glasses: the photo is as this lens shows "
            "it, focal_px the geometric mean of its two focal lengths; null for a pinhole",
            optional=True,
        ),
        column(
            "lens_coefficients",
            FLOATS,
            "k1, k2, p1, p2, k3 of a brown lens, k1..k4 of a fisheye, k1..k6, p1, p2, s1..s4 of a fisheye624, then "
            f"zeros: {MOST_LENS_COEFFICIENTS} numbers in files with one of the last; null for a pinhole",
            unit="1",
            shape=(num_coefficients,),
            optional=True,
        ),
        column(
            "focal_xy_px",
            FLOATS,
            "focal lengths of the lens along x and y; null for a pinhole",
            unit="px",
            shape=(2,),
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
        *lens_columns(),
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
