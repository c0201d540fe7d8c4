"""Database of the project's Prefect server: SQLite in the project's folder, or the one that the shell's settings name.

Prefect's own variables are used (``PREFECT_SERVER_DATABASE_CONNECTION_URL`` and its siblings), as its documentation
describes them. Only the server is given them: workers and flow runs talk to its API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote_plus

PREFIXES = ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_")
"""Beginnings of the variables that describe a database; the second is Prefect's older name for the same."""

URL_VARIABLE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"

_EXAMPLE = "postgresql+asyncpg://user:password@host:5432/name"
_DRIVERS = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
"""What people write, and what Prefect's asynchronous server needs."""

_OLDEST_POSTGRES = (14, 9)
"""Oldest version that Prefect 3 supports, by its documentation of databases."""

_CONNECT_TIMEOUT_S = 10


class DatabaseError(ValueError):
    """The database that the shell's settings name cannot be used; the message says which, why and what to do."""


def database_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that describe a database, with the drivers that Prefect needs.

    Raises:
        DatabaseError: The address is none, or that of another kind of database.
    """
    found = {name: value for name, value in environment.items() if name.startswith(PREFIXES) and value}
    for name in [name for name in found if name.endswith("_CONNECTION_URL")]:
        found[name] = _address(name, _with_password(found[name], found))
    return found


def described(settings: Mapping[str, str], state_dir: Path) -> str:
    """The database in words, without its password: ``PostgreSQL at host:5432/name`` or ``SQLite, <file>``."""
    url = _url(settings)
    if url is None:
        return f"SQLite, {state_dir / 'prefect.db'}"
    if url.get_backend_name() == "sqlite":
        return f"SQLite, {url.database or 'in memory'}"
    return f"PostgreSQL at {url.host or 'localhost'}:{url.port or 5432}/{url.database}"


def check_database(settings: Mapping[str, str]) -> None:
    """Connects once to a PostgreSQL server, so that what is wrong with it is said before anything has started.

    Raises:
        DatabaseError: It does not answer, does not let the user in, or is too old.
    """
    url = _url(settings)
    if url is None or url.get_backend_name() == "sqlite":
        return
    where = f"{described(settings, Path())}, which the shell's PREFECT_SERVER_DATABASE_* settings name,"
    try:
        version = asyncio.run(_version(url))
    except Exception as error:  # asyncpg and the operating system have dozens of kinds; each says what it is
        reason = str(error) or type(error).__name__
        raise DatabaseError(
            f"{where} cannot be used: {reason}; start or create it, or unset them to keep the records in SQLite"
        ) from error
    if version < _OLDEST_POSTGRES:
        needed = ".".join(map(str, _OLDEST_POSTGRES))
        raise DatabaseError(f"{where} has version {'.'.join(map(str, version))}; Prefect needs {needed} or newer")


async def _version(url) -> tuple[int, ...]:
    """Asked through SQLAlchemy, as Prefect connects: what may stand behind the ? of an address is its to say."""
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": _CONNECT_TIMEOUT_S})
    try:
        async with engine.connect() as connection:
            return tuple(int(part) for part in connection.dialect.server_version_info or ())
    finally:
        await engine.dispose()


def _url(settings: Mapping[str, str]):
    """Address as SQLAlchemy takes it, from one variable or from several; None for Prefect's default."""
    from sqlalchemy.engine import URL, make_url

    if (address := _setting(settings, "CONNECTION_URL")) is not None:
        return make_url(address)
    if (driver := _setting(settings, "DRIVER")) is None:
        return None  # as Prefect does: the other parts count only with a driver
    port = _setting(settings, "PORT")
    user, password, host, name = (_setting(settings, part) for part in ("USER", "PASSWORD", "HOST", "NAME"))
    return URL.create(driver, user, password, host, int(port) if port else None, name)


def _setting(settings: Mapping[str, str], name: str) -> str | None:
    return next((settings[prefix + name] for prefix in PREFIXES if settings.get(prefix + name)), None)


def _with_password(text: str, settings: Mapping[str, str]) -> str:
    """Prefect lets an address name the variable of its password in place of the password."""
    for prefix in PREFIXES:
        text = text.replace(f"${{{prefix}PASSWORD}}", quote_plus(settings.get(prefix + "PASSWORD", "")))
    return text


def _address(name: str, text: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the text may hold a password: it is not repeated
        raise DatabaseError(f"{name} is no address of a database; expected for example {_EXAMPLE}") from None
    driver = _DRIVERS.get(url.drivername, url.drivername)
    if driver not in _DRIVERS.values():
        raise DatabaseError(
            f"{name} begins with {url.drivername}://; Prefect keeps its records in PostgreSQL ({_EXAMPLE}) or in SQLite"
        )
    return url.set(drivername=driver).render_as_string(hide_password=False)
