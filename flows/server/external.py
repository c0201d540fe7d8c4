"""A Prefect server that somebody else runs: ``pear up --external URL`` gives it this project's flows and a worker."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from datasets_manifest.files import write_text

ACCESS = (
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_SSL_CERT_FILE",
    "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
    "PREFECT_CLIENT_CUSTOM_HEADERS",
)
"""Variables of the shell that a server of one's own does not need, and that one which others run may ask for."""


def api_address(text: str) -> str:
    """Address of the API, from that of the server, of its page or of its API.

    Raises:
        ValueError: It is no address, or one with a user or a password in it.
    """
    if "@" in text:  # it would stand in files of the project, and in what is printed
        raise ValueError(f"--external takes an address without user and password; give them by {ACCESS[1]}")
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"--external takes the address of a Prefect server, as http://host:4200, not {text!r}")
    path = parts.path.rstrip("/")
    if not path.endswith("/api") and "/api/" not in path:  # Prefect Cloud's addresses go on behind /api/
        path += "/api"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def check_answers(api_url: str) -> None:
    """Asks the server for its health and its version.

    Raises:
        ValueError: It does not answer, or its version does not go with this Prefect.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url}):
        problem = asyncio.run(_problem())
    if problem is not None:
        raise ValueError(
            f"the Prefect server at {api_url} cannot be used: {problem}; check its address, that it"
            f" runs, and whether it asks for {ACCESS[0]} or {ACCESS[1]}"
        )


async def _problem() -> str | None:
    from prefect.client.orchestration import get_client

    try:
        async with get_client() as client:  # entering it compares the versions
            error = await client.api_healthcheck()
    except Exception as raised:  # whatever the network or Prefect raises: the reason is what counts
        error = raised
    return None if error is None else str(error) or type(error).__name__


def remember(state_dir: Path, api_url: str) -> None:
    """Writes down which server this folder works for."""
    write_text(_path(state_dir), api_url + "\n")


def remembered(state_dir: Path) -> str | None:
    """Address of the API that this folder works for, if it is not its own server's."""
    try:
        return _path(state_dir).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def forget(state_dir: Path) -> None:
    """Ends it."""
    _path(state_dir).unlink(missing_ok=True)


def _path(state_dir: Path) -> Path:
    return state_dir / "external_server.txt"
