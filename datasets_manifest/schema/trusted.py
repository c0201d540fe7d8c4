"""Parts of people that a data set is trusted for, and what else it says of a person that labels have no column for."""

from __future__ import annotations

from typing import Literal, get_args

import pyarrow as pa

from datasets_manifest.schema.fields import ARRAY_MAP, FLAGS, SHAPE_MAP, column

TrustedPart = Literal["body", "left_hand", "right_hand", "face", "feet", "legs"]
TRUSTED_PARTS: tuple[TrustedPart, ...] = get_args(TrustedPart)
"""Order of the flags in the column ``trusted``."""


def trusted_column() -> pa.Field:
    """Which parts may supervise, whatever is found of them."""
    return column(
        "trusted",
        FLAGS,
        f"{', '.join(part.replace('_', ' ') for part in TRUSTED_PARTS)}: is the data set trusted for the part; null: "
        "for all",
        shape=(len(TRUSTED_PARTS),),
        optional=True,
    )


def other_point_columns() -> list[pa.Field]:
    """Annotated 2D points that the 133 lack."""
    return [
        column(
            "other_points",
            ARRAY_MAP,
            "annotated points that the 133 lack, by name: x, y and a score 0..1; null where there are none",
            unit="px, px, 1",
            optional=True,
        ),
        column("other_points_shape", SHAPE_MAP, "shape of each array in other_points", optional=True),
    ]
