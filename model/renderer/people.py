"""Skin, clothes, hair and faces for bodies without textures: enough for a detector to take a render for a person.

Everything is painted per pixel, as a function of where the pixel's point lies on the body at rest (T-pose, metres,
y up, z forward, +x the person's left). Borders of garments are therefore smooth, whatever the size of the triangles.

Letters: V vertices, P pixels, S segments.
"""

from dataclasses import dataclass, field

import numpy as np

from model.body.assets import EhmAssets
from model.body.skeleton import SMPLX_HEAD_JOINTS, SMPLX_JOINT_NAMES
from model.renderer.raster import Raster, interpolate, shade, vertex_normals

SKIN_TONES = np.array(
    [[243, 208, 184], [228, 180, 146], [205, 148, 108], [166, 110, 76], [122, 78, 54], [84, 54, 40]], dtype=np.float64
)
HAIR_COLOURS = np.array(
    [[28, 22, 20], [52, 36, 26], [96, 62, 36], [158, 118, 66], [128, 126, 122], [122, 56, 28]], dtype=np.float64
)
IRIS_COLOURS = np.array([[70, 44, 26], [104, 72, 40], [74, 98, 116], [76, 100, 70]], dtype=np.float64)
SCLERA = (236.0, 234.0, 230.0)
MOUTH_INSIDE = (92.0, 34.0, 34.0)
BROW_RADIUS_M = 0.0042
"""Half the height of a brow."""
BORDER_M = 0.012
"""A garment reaches its full thickness this far from its border."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RestShape:
    """What painting needs to know about a body at rest."""

    points_m: np.ndarray
    """(V, 3) rest position of each vertex."""
    joints_m: dict[str, np.ndarray]
    """Rest position (3,) by joint name."""
    on_head: np.ndarray
    """(V,) float, skin weight of head, jaw and eyes."""
    on_eye: np.ndarray
    """(V,) float, skin weight of the eyes."""
    regions: dict[str, np.ndarray]
    """(V,) float 0/1 by region name; a body may lack any of them."""
    brows_m: np.ndarray
    """(8, 2, 3) the brows as line segments."""
    eye_radius_m: float
    """Radius of the eyeballs."""

    @classmethod
    def from_assets(cls, assets: EhmAssets) -> "RestShape":
        """Reads template, weights, regions and brow landmarks of the SMPL-X-like body."""
        body = assets.smplx
        points = np.asarray(body.v_template, dtype=np.float64)
        joints = np.asarray(body.joint_regressor, dtype=np.float64) @ points
        weights = np.asarray(body.skin_weights)
        on_eye = weights[:, list(SMPLX_HEAD_JOINTS[2:])].sum(1)
        corners = points[np.asarray(body.landmark_vertices)[:10]]
        landmarks = np.einsum("lkc,lk->lc", corners, np.asarray(body.landmark_weights)[:10])
        brows = [np.stack([landmarks[k : k + 4], landmarks[k + 1 : k + 5]], axis=1) for k in (0, 5)]
        left_eye = np.flatnonzero(weights[:, SMPLX_HEAD_JOINTS[2]] > 0.5)
        distance = np.linalg.norm(points[left_eye] - joints[SMPLX_HEAD_JOINTS[2]], axis=1)
        return cls(
            points_m=points,
            joints_m=dict(zip(SMPLX_JOINT_NAMES, joints, strict=True)),
            on_head=weights[:, list(SMPLX_HEAD_JOINTS)].sum(1).astype(np.float64),
            on_eye=on_eye.astype(np.float64),
            regions={name: np.asarray(mask).astype(np.float64) for name, mask in assets.regions.items()},
            brows_m=np.concatenate(brows),
            eye_radius_m=float(np.median(distance)) if len(distance) else 0.012,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Appearance:
    """The looks of one person; colours are RGB 0..255, lengths metres at rest."""

    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    shirt: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    pattern: str = "plain"
    """Of the shirt: plain, stripes, checks."""
    pattern_period_m: float = 0.06
    pattern_strength: float = 0.3
    sleeve: float = 0.5
    """Where the sleeves end: 0 shoulder, 1 elbow, 2 wrist."""
    trouser_length: float = 1.9
    """Where the trousers end: 0 hip, 1 knee, 2 ankle."""
    hair_length_m: float = 0.0
    """How far the hair falls below the head joint; negative: cropped above it."""
    thickness_m: dict[str, float] = field(default_factory=lambda: {"cloth": 0.007, "shoes": 0.009, "hair": 0.012})
    """Offset along the normals."""
    texture_phase: float = 0.0
    """Shifts the irregularities of skin and cloth, so that no two people share them."""


def sample_appearance(rng: np.random.Generator) -> Appearance:
    """Draws one person's looks."""
    skin = SKIN_TONES[rng.integers(len(SKIN_TONES))] * rng.uniform(0.93, 1.05)
    cloth = rng.uniform(15.0, 235.0, (2, 3))
    greyness = rng.uniform(0.1, 0.9, (2, 1))
    cloth = cloth * (1 - greyness) + cloth.mean(1, keepdims=True) * greyness
    return Appearance(
        skin=skin,
        hair=HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))] * rng.uniform(0.8, 1.1),
        iris=IRIS_COLOURS[rng.integers(len(IRIS_COLOURS))],
        shirt=cloth[0],
        trousers=cloth[1],
        shoes=np.full(3, rng.uniform(20, 220)) * rng.uniform(0.85, 1.0, 3),
        pattern=str(rng.choice(["plain", "plain", "stripes", "checks"])),
        pattern_period_m=float(rng.uniform(0.025, 0.1)),
        pattern_strength=float(rng.uniform(0.15, 0.5)),
        sleeve=float(rng.choice([0.35, 0.6, 1.4, 1.92])),
        trouser_length=float(rng.choice([0.55, 0.85, 1.93, 1.93])),
        hair_length_m=float(rng.choice([-0.045, -0.02, 0.03, 0.1])),
        thickness_m={
            "cloth": float(rng.uniform(0.006, 0.010)),
            "shoes": float(rng.uniform(0.007, 0.011)),
            "hair": float(rng.uniform(0.008, 0.012)),
        },
        texture_phase=float(rng.uniform(0, 100)),
    )


def garment_fields(look: Appearance, rest: RestShape, points_m: np.ndarray, on_head: np.ndarray, ears: np.ndarray):
    """Signed fields (N,) of shirt, trousers, shoes and hair at N rest points: > 0 inside, about in metres."""
    joint = rest.joints_m
    x, y, z = np.abs(points_m[:, 0]), points_m[:, 1], points_m[:, 2]
    waist = joint["pelvis"][1] + 0.02
    stops = np.abs([joint[f"left_{name}"][0] for name in ("shoulder", "elbow", "wrist")])
    sleeve_end = np.interp(look.sleeve, [0, 1, 2], stops)
    neck = joint["neck"]
    collar = neck[1] + 0.015 - 0.55 * (z - neck[2]) - y
    shirt = np.minimum.reduce([y - waist, sleeve_end - x, collar, 0.1 * (0.5 - on_head)])
    stops = [joint[f"left_{name}"][1] for name in ("hip", "knee", "ankle")]
    trousers = np.minimum(waist + 0.012 - y, y - np.interp(look.trouser_length, [0, 1, 2], stops))
    shoes = joint["left_ankle"][1] + 0.01 - y
    eye = joint["left_eye"]
    # One tilted plane makes forehead, temples and the space around the ears.
    hairline = 0.7 * (eye[2] - 0.045 - z) + 0.72 * (y - eye[1] - 0.022)
    ends = y - (joint["head"][1] - look.hair_length_m)
    hair = np.minimum.reduce([hairline, ends, 0.1 * (on_head - 0.5), 0.05 * (0.5 - ears)])
    return {"shirt": shirt, "trousers": trousers, "shoes": shoes, "hair": hair}


def dress(vertices: np.ndarray, faces: np.ndarray, look: Appearance, rest: RestShape) -> np.ndarray:
    """Moves the vertices (V, 3) of a posed body outwards by the thickness of what is worn there."""
    none = np.zeros(len(rest.points_m))
    fields = garment_fields(look, rest, rest.points_m, rest.on_head, rest.regions.get("ears", none))
    kind = {"shirt": "cloth", "trousers": "cloth", "shoes": "shoes", "hair": "hair"}
    offset = none.copy()
    for name, signed in fields.items():
        ramp = np.clip(signed / BORDER_M + 0.5, 0.0, 1.0)
        offset = np.maximum(offset, look.thickness_m[kind[name]] * ramp * ramp * (3 - 2 * ramp))
    return vertices + vertex_normals(vertices, faces) * offset[:, None]


def _distance_to_segments(points: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Smallest distance (P,) of points (P, 3) to segments (S, 2, 3)."""
    best = np.full(len(points), np.inf)
    for start, end in segments:
        along = end - start
        share = np.clip((points - start) @ along / max(along @ along, 1e-12), 0.0, 1.0)
        offset = points - start - share[:, None] * along
        best = np.minimum(best, np.einsum("pk,pk->p", offset, offset))
    return np.sqrt(best)


def _irregular(points: np.ndarray, period_m: float, phase: float) -> np.ndarray:
    """Smooth pseudo-noise (P,) within -1..1 of about the given period."""
    k = 2 * np.pi / period_m
    x, y, z = (points * k).T
    return np.sin(x + 1.7 * np.sin(0.61 * y + phase)) * np.sin(y + 1.3 * np.sin(0.73 * z - phase)) * np.cos(z + phase)


def paint(look: Appearance, rest: RestShape, raster: Raster, faces: np.ndarray) -> np.ndarray:
    """Unlit colours (P, 3) of the covered pixels, 0..255."""
    names = [name for name in ("ears", "lips", "inner", "eyelids", "fingernails") if name in rest.regions]
    columns = [rest.points_m, rest.on_head[:, None], rest.on_eye[:, None], *(rest.regions[n][:, None] for n in names)]
    values = interpolate(raster, faces, np.concatenate(columns, axis=1, dtype=np.float32))
    points, on_head, on_eye = values[:, :3], values[:, 3], values[:, 4]
    region = dict(zip(names, values[:, 5:].T, strict=True))
    none = np.zeros(len(points))

    mottle = 1.0 + 0.035 * _irregular(points, 0.05, look.texture_phase)
    colour = look.skin.astype(np.float32) * mottle[:, None]
    colour[region.get("fingernails", none) > 0.5] *= (1.03, 0.92, 0.92)
    colour[region.get("eyelids", none) > 0.5] *= (0.93, 0.89, 0.88)
    colour[region.get("lips", none) > 0.5] *= (0.86, 0.58, 0.58)

    def strands(pixels: np.ndarray) -> np.ndarray:
        return look.hair * (1.0 + 0.16 * _irregular(points[pixels], 0.012, look.texture_phase))[:, None]

    head = np.flatnonzero(on_head > 0.5)
    if len(head) and len(rest.brows_m):
        low, high = rest.brows_m.min((0, 1)) - BROW_RADIUS_M, rest.brows_m.max((0, 1)) + BROW_RADIUS_M
        near = head[((points[head] > low) & (points[head] < high)).all(1)]
        brow = near[_distance_to_segments(points[near], rest.brows_m) < BROW_RADIUS_M]
        colour[brow] = 0.7 * strands(brow) + 0.3 * colour[brow]
    colour[region.get("inner", none) > 0.5] = MOUTH_INSIDE
    eye = np.flatnonzero(on_eye > 0.5)
    colour[eye] = SCLERA
    for side in ("left", "right"):
        offset = points[eye] - rest.joints_m[f"{side}_eye"]
        radius = np.hypot(offset[:, 0], offset[:, 1]) / rest.eye_radius_m
        front = offset[:, 2] > 0
        colour[eye[front & (radius < 0.5)]] = look.iris
        colour[eye[front & (radius < 0.22)]] = (12.0, 10.0, 10.0)

    fields = garment_fields(look, rest, points, on_head, region.get("ears", none))
    for name, base in (("trousers", look.trousers), ("shoes", look.shoes), ("shirt", look.shirt)):
        worn = np.flatnonzero(fields[name] > 0)
        cloth = points[worn]
        tint = 1.0 + 0.05 * _irregular(cloth, 0.09, look.texture_phase) + 0.03 * _irregular(cloth, 0.02, 2.0)
        if name == "shirt":
            tint = tint * _pattern(look, cloth)
        colour[worn] = base * tint[:, None]
    hair = np.flatnonzero(fields["hair"] > 0)
    colour[hair] = strands(hair)
    return np.clip(colour, 0.0, 255.0)


def _pattern(look: Appearance, points: np.ndarray) -> np.ndarray:
    """Brightness factor (P,) of the shirt's pattern."""
    turns = points / look.pattern_period_m
    rows, columns = (np.floor(turns[:, k]) % 2 for k in (1, 0))
    dark = {"plain": 0.0 * rows, "stripes": rows, "checks": (rows + columns) % 2}[look.pattern]
    return 1.0 - look.pattern_strength * dark


def light_person(
    look: Appearance,
    rest: RestShape,
    vertices_cam: np.ndarray,
    faces: np.ndarray,
    raster: Raster,
    light: tuple[float, float, float],
    ambient: float,
) -> np.ndarray:
    """Lit colours (P, 3) of a dressed, rasterised person, 0..255."""
    normals = vertex_normals(vertices_cam, faces)
    return shade(raster, faces, normals, paint(look, rest, raster, faces), light=light, ambient=ambient, shine=0.06)
