"""``prefect.toml``: leads every ``prefect`` command and flow that starts in the project's folder to its server."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from datasets_manifest.files import write_text
from flows.server.provision import HEARTBEAT_S

MARK = "# Written by `pear up`, removed by `pear down`."
"""First line of a file that is ours to change and to remove."""

MAX_RETRIES = 8
"""Tries of a client: SQLite answers 503 while it is locked; the waits double, so these last minutes, not one."""

RETRIED_TOO = 500
"""Status by which a server says that its database did not answer in time; Prefect's clients would end their flow."""


def write(root: Path, api_url: str, say: Callable[[str], None]) -> None:
    """Points at the server; a file that somebody else wrote stays as it is, and what to do instead is said."""
    path = address_path(root)
    if path.exists() and not is_ours(path):
        say(f"{path.name} is yours and stays as it is; to reach this server: export PREFECT_API_URL={api_url}")
        return
    text = (
        f"{MARK}\n"
        "# Points every `prefect` command and every flow that starts in this folder at the running server.\n"
        f'[api]\nurl = "{api_url}"\n\n'
        "# The server takes a run that is silent for three of these for dead.\n"
        f"[flows]\nheartbeat_frequency = {HEARTBEAT_S}\n\n"
        f"[client]\nmax_retries = {MAX_RETRIES}\nretry_extra_codes = [{RETRIED_TOO}]\n"
    )
    write_text(path, text)
    elsewhere = os.environ.get("PREFECT_API_URL")
    if elsewhere and elsewhere != api_url:
        say(f"Your shell sets PREFECT_API_URL={elsewhere}, which overrides prefect.toml: unset it to use this server.")


def remove(root: Path) -> bool:
    """Removes the file if it is ours.

    Returns:
        Whether it was.
    """
    ours = is_ours(address_path(root))
    if ours:
        address_path(root).unlink()
    return ours


def is_ours(path: Path) -> bool:
    """Whether ``pear up`` wrote the file."""
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace").startswith(MARK)


def address_path(root: Path) -> Path:
    """Where Prefect looks for the settings of a folder."""
    return root / "prefect.toml"
