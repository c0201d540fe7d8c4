"""What a footer or a checkpoint states of its body model, and whether two of them state the same body.

``name``, ``sha256`` of the files, ``licence``; a body in another fusion of head and body than `blended` also ``fusion``
and, where it leaves vertices of the head to the body, ``kept_sha256``. Parameters mean something for one body only, in
one fusion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets_manifest.schema.ehm_fields import Fusion

_DEFAULT_FUSION: Fusion = "blended"
"""Of entries that state none: all there was when they were written."""


def body_identity(entry: Mapping[str, Any]) -> str | None:
    """Equal for equal bodies in the same fusion; None where no body is stated."""
    parts = [entry.get(name) for name in ("sha256", "fusion", "kept_sha256")]
    if parts[1] == _DEFAULT_FUSION:
        parts[1] = None
    stated = [str(part) for part in parts if part]
    return "+".join(stated) or None


def body_name(entry: Mapping[str, Any]) -> str:
    """Name of a body model, the beginning of its hash and its fusion, for messages."""
    fusion = f"fusion {entry.get('fusion', _DEFAULT_FUSION)}"
    if kept := entry.get("kept_sha256"):
        fusion += f" with kept vertices {str(kept)[:8]}"
    return f"{entry.get('name', 'unnamed')} ({str(entry.get('sha256', 'no hash'))[:12]}, {fusion})"
