"""SMPL-X parameters that stand beside a COCO file by annotation id, as UBody has them.

Neutral body, hands as turns from the relaxed pose (``flat_hand_mean`` false), rotations as axis-angle, metres; the
focal length of some 35,000 px makes every depth meaningless.
"""

from __future__ import annotations

import re
from array import array
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from datasets_manifest.adapters.coco_values import RowError, numbers
from datasets_manifest.adapters.json_values import JsonValues
from datasets_manifest.paths import inside
from datasets_manifest.schema.truth_3d import Truth3d

_ID = re.compile(r"0|-?[1-9][0-9]{0,17}")
_PARAMETERS = {
    "root_pose": ("global_orient", 3),
    "body_pose": ("body_pose", 63),
    "shape": ("betas", 10),
    "trans": ("transl", 3),
    "lhand_pose": ("left_hand_pose", 45),
    "rhand_pose": ("right_hand_pose", 45),
    "jaw_pose": ("jaw_pose", 3),
    "expr": ("expression", 10),
}
"""Name in the file -> ours and how many numbers."""


class SmplxEntries(AbstractContextManager["SmplxEntries"]):
    """Entries by annotation id, each read where it lies: 20 bytes are held of one. The file stays open until the
    ``with`` block ends."""

    def __init__(self, root: Path, relative: str) -> None:
        """Read through the file.

        Raises:
            ValueError: It is not there, or no JSON object.
        """
        path = inside(root, relative, links="follow")
        numbers, starts, lengths = array("q"), array("q"), array("i")
        try:
            self._values = JsonValues(path)
            with ExitStack() as unread:
                unread.callback(self._values.close)
                if self._values.next_mark() not in ("{", ""):
                    raise TypeError
                for name in self._values.members():
                    entry = self._values.value()
                    if _ID.fullmatch(name.value):  # No other text is the id of an annotation.
                        numbers.append(int(name.value))
                        starts.append(entry.start)
                        lengths.append(entry.length)
                self._values.end()
                unread.pop_all()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ValueError(
                f"The file of SMPL-X parameters {path} does not exist; put it there or correct the manifest."
            ) from error
        except TypeError as error:
            raise ValueError(
                f"The file of SMPL-X parameters {path} must be an object with an entry an annotation id."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"The file of SMPL-X parameters {path} is not valid JSON: {error}") from error
        found = np.frombuffer(numbers, np.int64)
        self._order = np.argsort(found, kind="stable")  # Of two of one id the later counts.
        self._sorted, self._starts, self._lengths = found[self._order], starts, lengths

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._values.close()

    def has(self, ids: np.ndarray) -> np.ndarray:
        """(N,) whether there is an entry for each id (N,)."""
        return np.isin(ids, self._sorted)

    def entry(self, number: int) -> Any:
        """The entry of an id that has one."""
        row = int(self._order[np.searchsorted(self._sorted, number, side="right") - 1])
        (entry,) = self._values.again((self._starts[row], self._lengths[row]))
        return entry


def smplx_truth(entry: Any) -> Truth3d:
    """The 3D truth of an entry.

    Raises:
        RowError: A parameter is missing or has other numbers, or the camera has.
    """
    stated = entry.get("smplx_param") if isinstance(entry, dict) else None
    if not isinstance(stated, dict):
        raise RowError("its entry of SMPL-X has no smplx_param.")
    parameters = {
        name: np.array(numbers(stated, key, count, "of SMPL-X"), np.float32)
        for key, (name, count) in _PARAMETERS.items()
    }
    camera, intrinsics = entry.get("cam_param"), None
    if isinstance(camera, dict) and camera:
        focal, principal = (numbers(camera, name, 2, "of SMPL-X").tolist() for name in ("focal", "princpt"))
        intrinsics = (focal[0], focal[1], principal[0], principal[1])
    flags = (stated.get(f"{part}_valid", True) for part in ("lhand", "rhand", "face"))
    valid = (True, *map(_is_set, flags))
    return Truth3d(frame="camera", model="smplx", parameters=parameters, part_valid=valid, intrinsics_px=intrinsics)


def _is_set(flag: Any) -> bool:
    """Flags are booleans or numbers; what is neither is no flag."""
    return bool(flag) if isinstance(flag, bool | int | float) else False
