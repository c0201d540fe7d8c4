"""The formats that tracks are written in: one file a track."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from model.body.ehms import EHMs
from tasks.export import amass, bvh, glb
from tasks.export.motion import Motion


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackFormat:
    """A format of motions."""

    ending: str
    """Of file names; those of the released files, where readers look for them."""
    axes: str
    """Units and axes, in words."""
    encode: Callable[[Motion, EHMs], bytes]
    """Gives the file of a motion of two frames or more."""


_NPZ = "metres, radians as axis-angle, z up"
FORMATS: Mapping[str, TrackFormat] = {
    "amass": TrackFormat(ending="_stageii.npz", axes=_NPZ, encode=amass.encode_smplx),
    "amass-smplh": TrackFormat(ending="_poses.npz", axes=_NPZ, encode=amass.encode_smplh),
    "bvh": TrackFormat(ending=".bvh", axes="centimetres, degrees, y up", encode=bvh.encode),
    "glb": TrackFormat(ending=".glb", axes="metres, quaternions, y up", encode=glb.encode),
}
"""By the name that ``pear export --to`` takes."""
