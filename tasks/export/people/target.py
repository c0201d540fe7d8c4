"""Where the people of an export go, and what the formats of people share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedWriter, BytesIO
from typing import Any

import numpy as np

from datasets_manifest.files import whole_file, write_bytes
from datasets_manifest.paths import inside
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

    @contextmanager
    def opened(self, ending: str, **told: Any) -> Iterator[BufferedWriter | BytesIO]:
        """The same of a file that is written in a ``with`` block."""
        name = f"{self.stem}{ending}"
        with whole_file(inside(self.exported.folder, name)) as file:
            yield file
        self.exported.files[name] = told

    def put(self, name: str, data: bytes, **told: Any) -> None:
        """The same of a file with a name of its own."""
        write_bytes(inside(self.exported.folder, name), data)
        self.exported.files[name] = told


def texts(values: Sequence[str | None]) -> np.ndarray:
    """Texts as an array of texts that needs no pickle; None is empty."""
    return np.array([value or "" for value in values], np.str_)
