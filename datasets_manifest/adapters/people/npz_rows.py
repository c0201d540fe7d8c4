"""Rows of an .npz file, each a dict of the arrays of one person, whatever the file nests or leaves out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from datasets_manifest.adapters.people.npz_families import FLAT_HANDS, KEYPOINTS_OF_HUMANDATA, Family
from datasets_manifest.adapters.people.npz_file import NpzFile

_MODELS = ("smplx", "smpl")
_PARAMETERS = (
    *("global_orient", "body_pose", "betas", "transl", "left_hand_pose", "right_hand_pose", "expression", "jaw_pose"),
    *("leye_pose", "reye_pose"),
)
_FACTORS = (0.5, 4.0)
_META = ("gender", "height", "width")


class NpzRows:
    """People of a file, none of them held but the one that is asked for."""

    def __init__(self, path: Path, family: Family) -> None:
        """Map the arrays that the family has.

        Raises:
            ValueError: The file cannot be read, has no names of photos, or arrays of different lengths.
        """
        file = NpzFile(path)
        self.names = _texts(file.array(family.image))
        self.arrays: dict[str, np.ndarray] = {name: file.array(name) for name in family.arrays if name in file}
        self._masked: dict[str, tuple[np.ndarray, int, bool]] = {}
        self.box_factor = family.box_factor
        """By how much boxes are larger than people, as the file or its family has it."""
        self.hands_are_flat = False
        """Whether hands turn from the flat hand, as ``misc['flat_hand_mean']`` says; else from the relaxed one."""
        if family.image == "image_path":
            self._add_humandata(file)
        for name, array in self.arrays.items():
            if not isinstance(array, np.ndarray) or array.ndim == 0 or len(array) != len(self.names):
                has = len(array) if isinstance(array, np.ndarray) and array.ndim else "no"
                raise ValueError(
                    f"The file {path} has {len(self.names)} photos and {has} rows of {name}; fetch it again."
                )

    def row(self, number: int) -> dict[str, Any]:
        """The arrays of a person."""
        row: dict[str, Any] = {name: array[number] for name, array in self.arrays.items()}
        row[FLAT_HANDS] = self.hands_are_flat
        for name, (places, count, is_compressed) in self._masked.items():
            whole = np.zeros((count, row[name].shape[-1]))
            whole[places] = row[name] if is_compressed else row[name][places]
            row[name] = whole
        return row

    def by_photo(self) -> Iterator[tuple[str, np.ndarray]]:
        """Names of photos, sorted, and the numbers of their rows; the name is empty where it is no text."""
        order = np.argsort(self.names, kind="stable")
        first = 0
        while first < len(order):
            name, last = self.names[order[first]], first + 1
            while last < len(order) and self.names[order[last]] == name:
                last += 1
            yield _text(name), order[first:last]
            first = last

    def _add_humandata(self, file: NpzFile) -> None:
        self.arrays["bbox_xywh"] = file.array("bbox_xywh")
        name = next((name for name in KEYPOINTS_OF_HUMANDATA if name in file), None)
        if name is not None:
            self.arrays[name] = file.array(name)
            if f"{name}_mask" in file:
                self._mask(name, np.asarray(file.array(f"{name}_mask")), file)
        model = next((model for model in _MODELS if model in file), None)
        misc = file.array("misc") if "misc" in file else None
        if isinstance(misc, dict) and misc.get("bbox_body_scale") is not None:
            self.box_factor = _factor(misc["bbox_body_scale"], file.path)
        self.hands_are_flat = isinstance(misc, dict) and bool(misc.get("flat_hand_mean"))
        for prefix, wanted in ((model, _PARAMETERS), ("meta" if "meta" in file else None, _META)):
            nested = None if prefix is None else file.array(prefix)
            if isinstance(nested, dict):
                found = {key: _array(nested[key]) for key in wanted if nested.get(key) is not None}
                self.arrays |= {f"{prefix}/{key}": array for key, array in found.items()}

    def _mask(self, name: str, mask: np.ndarray, file: NpzFile) -> None:
        """Points that a mask leaves out are no points; of a compressed file they are not even stored."""
        stored = self.arrays[name]
        places = np.flatnonzero(mask)
        is_compressed = "__keypoints_compressed__" in file and bool(file.array("__keypoints_compressed__"))
        if stored.ndim != 3 or stored.shape[1] != (len(places) if is_compressed else len(mask)):
            raise ValueError(f"{name} of {file.path} does not have the points of its mask; fetch the file again.")
        self._masked[name] = (places, len(mask), is_compressed)


def _texts(names: Any) -> np.ndarray:
    """(N,) names as an array that can be sorted; those that are no text are empty."""
    if isinstance(names, list | tuple) or (isinstance(names, np.ndarray) and names.dtype.kind == "O"):
        texts = [_text(name) for name in names]
        found = np.empty(len(texts), dtype=object)
        found[:] = texts
        return found
    if not isinstance(names, np.ndarray) or names.ndim != 1 or names.dtype.kind not in "SU":
        raise ValueError("the names of photos are no list of texts")
    return names


def _text(name: Any) -> str:
    if isinstance(name, np.ndarray) and name.size == 1:
        name = name.item()
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    return name if isinstance(name, str) else ""


def _factor(stated: Any, path: Path) -> float:
    try:
        factor = float(stated)
    except (TypeError, ValueError):
        factor = math.nan
    low, high = _FACTORS
    if not low <= factor <= high:
        raise ValueError(
            f"The file {path} states bbox_body_scale {str(stated)[:40]!r}, expected how many times boxes are as large "
            f"as people, {low:g} to {high:g}; say it by layout.box_factor, after correcting the file."
        )
    return factor


def _array(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else np.array(values)
