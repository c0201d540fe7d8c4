"""Settings that several rooms share: which backend, which body model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from datasets_manifest.placed_settings import PathText, PlacedBy, path_in
from datasets_manifest.schema.ehm_fields import Fusion

Device = Literal["auto", "cpu", "cuda"]
"""Where networks run; ``auto`` is the GPU if there is one. Which of several: the environment's CUDA_VISIBLE_DEVICES."""


def check_files(files: Mapping[str, str]) -> None:
    """Refuses settings (name to path) that name a file that is not there.

    Raises:
        ValueError: Which, and what to do.
    """
    for name, path in files.items():
        if not Path(path).is_file():
            raise ValueError(f"{name}: there is no file {path}; correct the path, or make the file first")


def _placed_options(options: Any, folder: Path) -> Any:
    """Options of a backend with the paths of its files made absolute; what is no text is told by ``check``."""
    if not isinstance(options, Mapping):
        return options
    return {
        name: path_in(folder, value) if name.endswith("_path") and isinstance(value, str) and value else value
        for name, value in options.items()
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatorConfig:
    """Which backend annotates a part."""

    backend: str = "mediapipe"
    """Name in the registry of model.estimators."""
    options: Annotated[dict[str, Any], PlacedBy(_placed_options)] = field(default_factory=dict)
    """Keyword arguments of the backend, but for its device, which is ``run.device``; `pear config` lists them. Those
    called ``*_path`` are files, relative to the folder of the settings file; the files' hashes, not their places, go
    into footers. One that is not named lies where ``pear assets`` says, below ``body_model.path`` or ``licensed``; null
    is no file."""

    def check(self, part: str) -> None:
        """Refuses options that no backend has.

        Args:
            part: Name of these settings, for messages.

        Raises:
            ValueError: A path is not text, or there is an option ``device``.
        """
        if "device" in self.options:
            raise ValueError(f"{part}.options.device: is no option; run.device says where all networks run")
        for name, value in self.options.items():
            if name.endswith("_path") and value is not None and not isinstance(value, str):
                raise ValueError(f"{part}.options.{name}: expected the path of a file or null, got {value!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyModelConfig:
    """Which body model the labels are labels of."""

    path: PathText | None = None
    """Folder of converted SMPL-X + FLAME files (see ``python -m model.body.convert``), relative to the folder of the
    settings file; null: the open body. The files' hash, not their place, goes into footers."""
    fusion: Fusion = "blended"
    """How the FLAME head joins the body: ``blended`` (on top of the betas' own head, scaled about the head joint, no
    seam) or ``paper`` (Algorithm 1 of the PEAR paper: FLAME's head takes the place of the body's)."""


def uses_gpu(device: Device) -> bool:
    """Whether a setting means a GPU on this machine."""
    if device == "auto":
        import torch

        return torch.cuda.is_available()
    return device == "cuda"
