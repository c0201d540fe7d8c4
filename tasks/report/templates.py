"""The templates of pages: each fills in the base, which holds the style, and looks alike."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2


@cache
def template(folder: Path, name: str) -> jinja2.Template:
    """A page's, compiled once; what it includes is in its folder or beside the base."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
