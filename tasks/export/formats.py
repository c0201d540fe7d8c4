"""The formats that labels and predictions are written in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from datasets_manifest.schema.columns import Columns
from model.body.ehms import EHMs
from tasks.export import amass, bvh, glb
from tasks.export.motion import Motion
from tasks.export.people import agora, coco_wholebody, ehf, hmr2_tar, humandata, smplx_npz
from tasks.export.people.people import People
from tasks.export.people.target import Target
from tasks.export.stills import Still, bvh_of_each, glb_of_all


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackFormat:
    """A format of motions: one file a track."""

    ending: str
    """Of file names; those of the released files, where readers look for them."""
    axes: str
    """Units and axes, in words."""
    encode: Callable[[Motion, EHMs], bytes]
    """Gives the file of a motion of two frames or more."""
    still: Callable[[Columns, EHMs, str], Iterator[Still]] | None = None
    """Gives the files of the people of one photo, with their terms; None: the format is of motion alone."""
    is_mesh: bool = False
    """Whether files hold the mesh of the body model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PeopleFormat:
    """A format of many people: one file a split of a data set, or a series."""

    axes: str
    """Units and axes, in words."""
    write: Callable[[Iterable[People], Target], int]
    """Writes people; returns their number."""
    is_mesh: bool = False
    """Whether files hold the mesh of the body model."""


Format = TrackFormat | PeopleFormat
_NPZ = "metres, radians as axis-angle, z up"
_CAMERA = "metres, radians as axis-angle; camera: x right, y down, z forward; pixels of the photo: x right, y down"
FORMATS: Mapping[str, Format] = {
    "amass": TrackFormat(ending="_stageii.npz", axes=_NPZ, encode=amass.encode_smplx),
    "amass-smplh": TrackFormat(ending="_poses.npz", axes=_NPZ, encode=amass.encode_smplh),
    "bvh": TrackFormat(ending=".bvh", axes="centimetres, degrees, y up", encode=bvh.encode, still=bvh_of_each),
    "glb": TrackFormat(
        ending=".glb", axes="metres, quaternions, y up", encode=glb.encode, still=glb_of_all, is_mesh=True
    ),
    "smplx-npz": PeopleFormat(axes=_CAMERA, write=smplx_npz.write),
    "humandata": PeopleFormat(axes=_CAMERA, write=humandata.write),
    "coco-wholebody": PeopleFormat(axes="pixels of the photo: x right, y down", write=coco_wholebody.write),
    "hmr2-tar": PeopleFormat(
        axes="radians as axis-angle; camera: x right, y down, z forward; pixels of the photo: x right, y down",
        write=hmr2_tar.write,
    ),
    "agora": PeopleFormat(
        axes="metres; camera: x right, y down, z forward; pixels of 3840 x 2160", write=agora.write, is_mesh=True
    ),
    "ehf": PeopleFormat(axes="metres; the world of EHF's registered meshes", write=ehf.write, is_mesh=True),
}
"""By the name that ``pear export --to`` takes."""
