"""A PostgreSQL server of one test, from the system's package: started, addressed by URL, ended."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
"""Debian keeps them out of PATH."""


def program(name: str) -> str | None:
    """Path of a program of PostgreSQL; None where it is not installed."""
    return shutil.which(name) or (str(PROGRAMS / name) if PROGRAMS and (PROGRAMS / name).is_file() else None)


@contextlib.contextmanager
def postgres(database: str = "prefect", password: str = "p@ss/word") -> Iterator[str]:
    """Address of an empty database as people write it, with a password that an address has to escape."""
    initdb, pg_ctl, psql = program("initdb"), program("pg_ctl"), program("psql")
    assert initdb is not None
    assert pg_ctl is not None
    assert psql is not None
    # It refuses to run as root.
    user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    try:
        (folder / "password").write_text(password)
        if user is not None:
            for path in (folder, folder / "password"):
                os.chown(path, user, -1)
        run(initdb, "-D", "data", "-U", "owner", "-A", "scram-sha-256", "--pwfile", "password", "--no-sync")
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run(pg_ctl, "-D", "data", "-w", "-l", "log", "-o", options, "start")
        try:
            quoted = password.replace("@", "%40").replace("/", "%2F")
            url = f"postgresql://owner:{quoted}@127.0.0.1:{port}/"
            run(psql, "-q", url + "postgres", "-c", f"CREATE DATABASE {database}")
            yield url + database
        finally:
            run(pg_ctl, "-D", "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
