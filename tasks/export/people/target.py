"""Where the people of an export go, and what the formats of people share."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from datasets_manifest.files import write_bytes
from datasets_manifest.paths import inside
from datasets_manifest.restricted_pickle import pickled
from datasets_manifest.sources.image_source import ImageSource
from fitting.delta_theta import DeltaTheta
from tasks.export.exported import Exported
from tasks.export.people.people import People
from tasks.export.terms import Terms

BOX_MARGIN = 1.2
"""By which HumanData and HMR2 make boxes larger than people; their readers count on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One export of people."""

    exported: Exported
    """Its folder, and the list of what is written."""
    stem: str
    """How its files begin."""
    terms: Terms
    """Of all that is written."""
    together: bool
    """Whether it is of several data sets, so that photos are named with theirs."""
    photos: Callable[[str, str], ImageSource] | None
    """The photos of a data set and split; None: of predictions, which name them by their path."""
    transfer: Callable[[], DeltaTheta | None]
    """The way from SMPL to the people's body, where SMPL's files are there."""

    def images(self, people: People) -> list[str]:
        """(N) what each person's photo is called."""
        columns = people.columns
        if not self.together:
            return columns["image"].tolist()
        return [f"{dataset}/{image}" for dataset, image in zip(columns["dataset"], columns["image"], strict=True)]

    def write(self, ending: str, data: bytes, **told: Any) -> None:
        """Writes one file, called by the stem and its ending, and lists it."""
        self.put(f"{self.stem}{ending}", data, **told)

    def put(self, name: str, data: bytes, **told: Any) -> None:
        """The same of a file with a name of its own."""
        write_bytes(inside(self.exported.folder, name), data)
        self.exported.files[name] = told


def stacked(batches: Iterable[People], columns_of: Callable[[People], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays (N, ...) of all people, batch by batch; empty without any."""
    parts = [columns_of(people) for people in batches]
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def npz(arrays: dict[str, Any]) -> bytes:
    """An NPZ of named arrays; objects in it are pickled so that numpy of before 2 reads them too."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            archive.writestr(f"{name}.npy", _npy(np.asarray(values)))
    return out.getvalue()


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    if array.dtype.hasobject:
        header = {"descr": "|O", "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(out, header)
        out.write(pickled(array))
    else:
        np.lib.format.write_array(out, array, allow_pickle=False)
    return out.getvalue()


def texts(values: Sequence[str | None]) -> np.ndarray:
    """Texts as an array of texts that needs no pickle; None is empty."""
    return np.array([value or "" for value in values], np.str_)
