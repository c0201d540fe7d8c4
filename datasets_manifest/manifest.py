"""A manifest: one YAML file that says what a data set is, where it lies, how to read it and what for."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from datasets_manifest.adapters.base import Adapter
from datasets_manifest.adapters.registry import adapter_class, parse_layout
from datasets_manifest.canonical import config_hash
from datasets_manifest.named_sources import MANIFEST_FOLDER, MANIFEST_SUFFIXES, PACKAGE_PREFIX, is_yaml, manifest_ids
from datasets_manifest.paths import Links, fixed, is_address, placed
from datasets_manifest.schema.trusted import TRUSTED_PARTS, TrustedPart
from datasets_manifest.settings import Text, read_settings
from datasets_manifest.sources.frame_choice import ALL_FRAMES, FrameChoice
from datasets_manifest.sources.image_names import ARCHIVE_SUFFIX, PHOTO_SUFFIXES
from datasets_manifest.sources.image_source import ImageSource
from datasets_manifest.sources.opening import open_images
from datasets_manifest.sources.video import VIDEO_SUFFIXES
from datasets_manifest.stores import Place, place_in, place_of
from datasets_manifest.yaml_values import parse_yaml

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NOT_HASHED = (
    "root",
    "links",
    "distributor",
    "steps",
    "expected",
    "never_train",
    "photo_names",
    "part",
    "check_colours",
    "check_photos",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a data set has where it is whole, as its publisher states it or as it was counted."""

    images: Annotated[int, Field(gt=0)] | None = None
    """Photos that the adapter lists."""
    people: Annotated[int, Field(gt=0)] | None = None
    """Annotated people in them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A data set. The hash covers neither where it lies nor how it is got: elsewhere the same data are the same."""

    id: Text
    """Name of the data set; part of every sample_id and of the labels' path."""
    version: Text
    """Version of the data as their publisher states it, or a date."""
    licence: Text
    """What may be done with the data, in a sentence; it is copied to whoever uses the labels."""
    access: Text
    """How to get the data."""
    adapter: Text
    """Reader of the format, such as folder, scene, coco or tar_people; ``docs/annotate.md`` lists them."""
    root: Text
    """Where the photos and annotations lie: a folder, or a tar file of photos, or a folder with tar files in it; of the
    adapter folder also the address of photos in a store, such as s3://bucket/photos.

    A path is absolute, relative to the folder of the settings file (of a manifest that is read without one: to the
    working folder), below the home folder as ~/..., or package:<import name>/<folder in it>; variables such as $HOME
    are not replaced. Photos are named by their path below it, those in a tar file by archive.tar::member.
    """
    split: Text
    """train, val, test or all."""
    boxes: Literal["manifest", "detector"]
    """Where people's boxes come from: manifest (annotated) or detector."""
    keypoints: Literal["none", "coco", "coco_wholebody"]
    """Annotated 2D keypoints: none, coco (17, or another known set, whose points are put in their place) or
    coco_wholebody (133)."""
    purpose: Text
    """What the data set is used for here, in a sentence."""
    layout: dict[str, Any] = field(default_factory=dict)
    """Options of the adapter: which files, in which folders."""
    links: Links = "follow"
    """What is done with links that lead outside the root: follow, as DVC and git-annex need it, which put links to a
    store in the place of files; or refuse, for folders of strangers. A name in the data never leads outside by .."""
    distributor: str = ""
    """Who gives the data out, and where."""
    steps: tuple[Text, ...] = ()
    """What is to be done to have the data below ``root``, one step after the other."""
    expected: Expected = Expected()
    """Counts to compare with what is found."""
    never_train: bool = False
    """Whether training refuses the data set, as it does those that methods are compared on."""
    photo_names: tuple[Text, ...] = ()
    """By what training knows the photos of a data set with ``never_train`` in others: regular expressions, searched in
    names of photos. A photo in whose name one is found is of the data set; of one with a group only if what the group
    finds is also found in the name of a photo of the data set, which has to be there."""
    check_colours: bool = True
    """Whether photos whose annotated faces are bluer than red are refused; false for those that are lit so."""
    check_photos: bool = True
    """Whether the first photos are refused where most are of another size or turn than was annotated, or their camera
    is not one that took them; false for those that are as they should be."""
    part: Literal["part 1", "part 2", "evaluation", ""] = ""
    """What it is of in the recipe of the paper: part 1, part 2 or evaluation; empty: nothing."""
    trusted: tuple[TrustedPart, ...] = TRUSTED_PARTS
    """Parts of people that labels may be trusted for. Of the others no point is used and no flag is set."""

    def __post_init__(self) -> None:
        """Check names and what the adapter can give; the error names the field and the value."""
        for name in ("id", "split"):
            if not _NAME.fullmatch(getattr(self, name)):
                raise ValueError(
                    f"{name}: becomes part of a path, so expected letters, digits, _ . and -, the first a letter or "
                    f"digit, got {getattr(self, name)!r}"
                )
        adapter = adapter_class(self.adapter)
        for name, supported in (("boxes", adapter.BOXES), ("keypoints", adapter.KEYPOINTS)):
            if getattr(self, name) not in supported:
                known = ", ".join(sorted(supported))
                raise ValueError(f"{name}: adapter {self.adapter} has {known}, got {getattr(self, name)!r}")
        if self.boxes == "detector" and self.keypoints != "none":
            raise ValueError(
                f"keypoints: is {self.keypoints!r} but boxes is 'detector'; annotated keypoints "
                f"belong to annotated people, so set boxes to 'manifest' or keypoints to 'none'"
            )
        parse_layout(self.adapter, self.layout)
        for number, pattern in enumerate(self.photo_names):
            try:
                re.compile(pattern)
                pc.match_substring_regex(pa.array([""]), pattern)  # By which the names of many photos are searched.
            except (re.error, pa.ArrowInvalid) as error:
                raise ValueError(
                    f"photo_names[{number}]: expected a regular expression ({error}), got {pattern!r}"
                ) from error
        if not self.trusted or len(set(self.trusted)) != len(self.trusted):
            raise ValueError(f"trusted: expected one part or more, each once, got {list(self.trusted)}")

    @property
    def typed_layout(self) -> Any:
        """The layout as the adapter's own dataclass."""
        return parse_layout(self.adapter, self.layout)

    @property
    def root_path(self) -> Path:
        """The data set's folder or tar file; it need not exist yet.

        Raises:
            ValueError: the package that holds the data is not installed.
        """
        if not self.root.startswith(PACKAGE_PREFIX):
            return placed(self.root)
        package, _, below = self.root.removeprefix(PACKAGE_PREFIX).partition("/")
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(f"Data set {self.id} lies inside the package {package!r}, which is not installed.")
        return Path(next(iter(spec.submodule_search_locations))) / below

    @property
    def root_text(self) -> str:
        """Where the data lie, for a person: a path or an address."""
        return self.root if is_address(self.root) else str(self.root_path)

    @property
    def hash(self) -> str:
        """sha256 of everything that rows depend on, or whoever uses them: not of the place of the data, nor how it is
        reached and got."""
        stated = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_HASHED}
        if set(self.trusted) == set(TRUSTED_PARTS):
            del stated["trusted"]  # So that the labels of before there was trust are those of now.
        return config_hash(stated)

    @property
    def footer(self) -> dict[str, str]:
        """What a shard's footer says about the data set."""
        stated = {"id": self.id, "version": self.version, "hash": self.hash, "licence": self.licence}
        return stated | ({"never_train": "true"} if self.never_train else {})


def load_manifest(
    id_or_path: str | Path, root_override: str | Path | None = None, *, frames: FrameChoice = ALL_FRAMES
) -> Manifest:
    """Read a manifest by its id, or from a YAML file; or make one of photos and videos, see ``manifest_of``.

    Args:
        id_or_path: id of a manifest that comes with the project, the path of a .yaml file, or that of a folder or
            file of photos or videos, or an address of photos.
        root_override: folder to use instead of the manifest's own.
        frames: which frames of videos, where it is the path of photos or videos.

    Raises:
        ValueError: no such manifest (known ids are listed), or a key that is unknown, absent or has a bad value.
    """
    if is_address(id_or_path):
        path = place_of(place_in("", str(id_or_path)))
    else:
        path = _manifest_path(str(id_or_path))
    if not isinstance(path, Path) or not is_yaml(path):
        manifest = manifest_of(path, frames)
        return manifest if root_override is None else replace(manifest, root=str(root_override))
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"Manifest {path} is not UTF-8: {error}") from error
    where = f"Manifest {path}"
    manifest = read_settings(Manifest, parse_yaml(text, where), where)
    if path.parent == MANIFEST_FOLDER and manifest.id != path.stem:
        raise ValueError(f"Manifest {path} has the id {manifest.id!r}; it must be the file's name, {path.stem!r}.")
    return manifest if root_override is None else replace(manifest, root=str(root_override))


def manifest_of(path: Place, frames: FrameChoice = ALL_FRAMES) -> Manifest:
    """Make the manifest of a folder of photos, videos and tar files, or of one of these: all photos, chosen frames.

    Its id is the name of the folder or file, of a file without suffix, in letters, digits, _ . and - alone.
    """
    is_photo = path.suffix.lower() in PHOTO_SUFFIXES
    if not isinstance(path, Path):
        is_file = is_photo or path.suffix == ARCHIVE_SUFFIX
        name = path.stem if is_file else path.name or path.path
    else:
        named = fixed(path)  # "." and ".." have no name; the folders they mean do.
        name, is_photo = named.name if path.is_dir() else named.stem, is_photo and not path.is_dir()
    clean = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-_.")[:64]
    return Manifest(
        id=clean or "photos",
        version="as found",
        licence="Not stated; ask whoever made the photos or videos.",
        access="Named by its path when it was annotated.",
        adapter="folder",
        root=str(path.parent if is_photo else path),
        split="all",
        boxes="detector",
        keypoints="none",
        purpose="Annotation of photos and videos named by their path.",
        layout={"frames": {}, "include": [glob.escape(path.name)]} if is_photo else {"frames": frames.stated},
    )


def open_source(manifest: Manifest, *, results: Iterable[Path] = ()) -> ImageSource:
    """Return where the photos of a data set are read from.

    Args:
        manifest: the data set.
        results: folders where results are written, as for ``open_images``.

    Raises:
        ValueError: the folder or tar file is not there; the sentence says how to get the data. Or the store cannot be
            looked at, or the adapter reads none.
    """
    if is_address(manifest.root):
        if manifest.adapter != "folder":
            raise ValueError(
                f"Data set {manifest.id}: its adapter {manifest.adapter} reads annotations, which have to be files of "
                f"this machine, got the root {manifest.root}; copy the data to a disk and give that as its root."
            )
        return open_images(place_in("", manifest.root), manifest.links)
    root = manifest.root_path
    try:
        os.stat(root)
    except OSError as error:
        is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        problem = "does not exist" if is_gone else f"cannot be looked at ({error.strerror})"
        raise ValueError(
            f"Data set {manifest.id}: the folder {root} {problem}; put the data there or give another root. "
            f"How to get it: {manifest.access}"
        ) from error
    return open_images(root, manifest.links, results)


def open_adapter(manifest: Manifest, images: ImageSource | None = None) -> Adapter:
    """Return the adapter of a manifest, ready to list.

    Args:
        manifest: the data set.
        images: its photos, where they are open already.

    Raises:
        ValueError: as ``open_source``, or the manifest asks for what the adapter cannot give.
    """
    adapter = adapter_class(manifest.adapter)
    images = open_source(manifest) if images is None else images
    try:
        return adapter(images, manifest.typed_layout, boxes=manifest.boxes, keypoints=manifest.keypoints)
    except ValueError as error:
        raise ValueError(f"Manifest {manifest.id!r}: {error}") from error


def _manifest_path(id_or_path: str) -> Path:
    known = manifest_ids()
    if id_or_path in known:
        return MANIFEST_FOLDER / f"{id_or_path}.yaml"
    path = placed(id_or_path)
    kinds = {*MANIFEST_SUFFIXES, *PHOTO_SUFFIXES, *VIDEO_SUFFIXES, ARCHIVE_SUFFIX}
    if os.path.isdir(path) or (os.path.isfile(path) and path.suffix.lower() in kinds):
        return path
    by_suffix = f" by its suffix: expected one of {', '.join(sorted(kinds))}" if os.path.isfile(path) else ""
    raise ValueError(
        f"There is no manifest {path.name!r}; known are {', '.join(known)}, or give the path of a .yaml, or of a "
        f"folder, photo, video or tar file, which {path.absolute()} is not{by_suffix}."
    )
