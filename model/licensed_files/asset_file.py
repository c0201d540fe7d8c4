"""One file that a person puts in place, and the terms that several have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

MPI = "registration, non-commercial research, no redistribution (Max Planck Institute for Intelligent Systems)"
RESEARCH = "research use; no licence of its own"
CONVERTED = "that of the official file it is made from"
UNSTATED = "none stated: all rights reserved"
SHORT_LICENCES: Mapping[str, str] = MappingProxyType(
    {MPI: "MPI", RESEARCH: "research", CONVERTED: "as official", UNSTATED: "none"}
)
"""Licences that take a sentence, in a word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetFile:
    """One file that a person puts in place."""

    id: str
    """Short unique name."""
    place: str
    """Path below the root, with ``/``."""
    other_names: tuple[str, ...] = ()
    """Names under which publishers give the same file out; accepted in the same folder."""
    holds: str
    """What is in it, a few words."""
    part: str
    """``keypoints``, ``body``, ``hands``, ``face``, ``body_model``, ``training``, ``renderer`` or ``evaluation``."""
    backend: str = ""
    """Backend of the part that reads it; empty for the body model, training, renderer and evaluation."""
    option: str = ""
    """Option of the backend that takes its path."""
    route: str = ""
    """Value of the backend's option ``route`` that it is read with; empty: with any."""
    licence: str
    """Terms, in a few words."""
    source: str
    """Where it comes from; for a converted file the command that makes it."""
    sha256: str | None = None
    """Published hash or its leading digits, None where none is known."""
    num_bytes: int | None = None
    """Published size."""
    made_from: tuple[str, ...] = ()
    """Ids of the files that the converter makes it from."""
    flag: str = ""
    """Option of ``python -m model.body.convert`` that takes this official file."""
    optional: bool = False
    """The recipe runs without it."""

    def found_below(self, root: Path) -> Path | None:
        """Its path below the root, under its own or another published name; None if it is not there."""
        place = root / self.place
        for candidate in (place, *(place.with_name(name) for name in self.other_names)):
            if candidate.is_file():
                return candidate
        return None

    def is_place(self, path: str | Path) -> bool:
        """Whether a path ends with this place, and so is to be of the published file; one's own has another name."""
        place = Path(self.place).parts
        return Path(path).absolute().parts[-len(place) :] == place

    def other_version(self, num_bytes: int, sha256: str | None) -> str | None:
        """How a file differs from the published one; None if nothing says that it does."""
        if self.num_bytes is not None and num_bytes != self.num_bytes:
            return f"{num_bytes} bytes, the published file has {self.num_bytes}"
        if self.sha256 is not None and sha256 is not None and not sha256.startswith(self.sha256):
            return f"not the published version (sha256 {sha256[:12]}, published {self.sha256[:12]})"
        return None

    def step(self, path: Path) -> str:
        """How to have it at a path, as sentences."""
        return f"Get {Path(self.place).name} from {self.source} and put it at {path}. Licence: {self.licence}."
