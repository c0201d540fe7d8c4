"""Settings that several rooms share: which backend, which body model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datasets_manifest.paths import placed

Device = Literal["auto", "cpu", "cuda"]
"""Where networks run; ``auto`` is the GPU if there is one. Which of several: the environment's CUDA_VISIBLE_DEVICES."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EstimatorConfig:
    """Which backend annotates a part."""

    backend: str = "mediapipe"
    """Name in the registry of model.estimators."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the backend, but for its device, which is ``run.device``; `pear config` lists them. Those
    called ``*_path`` are files, relative to the folder of ``params.yaml``; the files' hashes, not their places, go into
    footers. One that is not named lies where ``pear assets`` says, below ``body_model.path`` or ``licensed``; null is
    no file."""

    def within(self, folder: Path, part: str) -> EstimatorConfig:
        """The same with the paths of its files made absolute.

        Args:
            folder: What they are relative to.
            part: Name of these settings, for messages.

        Raises:
            ValueError: A path is not text.
        """
        if "device" in self.options:
            raise ValueError(f"{part}.options.device: is no option; run.device says where all networks run")
        options = dict(self.options)
        for name, value in options.items():
            if name.endswith("_path") and value not in (None, ""):
                if not isinstance(value, str):
                    raise ValueError(f"{part}.options.{name}: expected the path of a file or null, got {value!r}")
                options[name] = str(placed(value, folder))
        return dataclasses.replace(self, options=options)


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyModelConfig:
    """Which body model the labels are labels of."""

    path: str | None = None
    """Folder of converted SMPL-X + FLAME files (see ``python -m model.body.convert``), relative to the folder of
    ``params.yaml``; null: the open body. The files' hash, not their place, goes into footers."""


def uses_gpu(device: Device) -> bool:
    """Whether a setting means a GPU on this machine."""
    if device == "auto":
        import torch

        return torch.cuda.is_available()
    return device == "cuda"
