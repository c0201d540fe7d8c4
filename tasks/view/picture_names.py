"""What pictures of a person are called in addresses."""

from __future__ import annotations

from datasets_manifest.schema.ehm_fields import PART_NAMES

LAYERS = ("overlay", "keypoints", "photo", "whole")
"""What the large picture shows: the mesh or the keypoints over the photo, the photo alone, or all of it."""
CROPS = PART_NAMES[1:]
"""Parts with a picture of their own: keypoints and mesh side by side."""
MESH = "mesh.glb"
_PHOTOS = tuple(f"photo-{part}" for part in CROPS)
WHATS: frozenset[str] = frozenset({MESH, *(f"{name}.jpg" for name in (*LAYERS, *CROPS, *_PHOTOS))})
"""`photo-face.jpg` is the photo around a face, large."""
