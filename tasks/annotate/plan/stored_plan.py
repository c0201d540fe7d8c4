"""The plan of a data set whose labels lie in a store: it lies there too, so that all machines cut the data set alike.

<labels>/.plans/<dataset>/<split>.tar    plan files of the split and its source.json; readers of labels pass over it
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from io import BytesIO
from pathlib import Path

from datasets_manifest.files import write_bytes
from datasets_manifest.stores import get
from tasks.annotate.plan_files import plan_files
from tasks.annotate.stale import set_aside
from tasks.annotate.workspace import STEPS, Group, Workspace, shard_paths

_SOURCE = "source.json"
"""As ``Workspace.record_path``."""
_FILE = re.compile(rf"\d+-\d+\.parquet|{re.escape(_SOURCE)}")


class StoredPlan:
    """The plan of a split in the store, for whoever holds its claim; where labels are files there is none."""

    def __init__(self, workspace: Workspace, group: Group) -> None:
        """Takes where the files are, and data set and split; nothing is read."""
        self._workspace, self._group = workspace, group
        self._folder = workspace.plan_folder(group)
        labels = workspace.labels
        self._place = None if isinstance(labels, Path) else labels / ".plans" / group[0] / f"{group[1]}.tar"
        self._digest: bytes | None = None

    @property
    def is_there(self) -> bool:
        """Whether there was one when it was fetched."""
        return self._digest is not None

    def fetch(self) -> bool:
        """Makes the plan on this disk the one of the store, if there is one; says whether it was another.

        Plan files that the store does not have are set aside.

        Raises:
            ValueError: It cannot be read.
            OSError: The store does not give it.
        """
        if self._place is None:
            return False
        try:
            packed = get(self._place)
        except FileNotFoundError:
            return False
        try:
            with tarfile.open(fileobj=BytesIO(packed)) as archive:
                names = {name for name in archive.getnames() if _FILE.fullmatch(name)}
                changed = [name for name in sorted(names - {_SOURCE}) if self._replace(name, archive)]
                other = [path for path in self._files() if path.name not in names]
                if changed or other or not (self._folder / _SOURCE).is_file():  # Else photos lie here where they do.
                    self._replace(_SOURCE, archive)
        except (tarfile.TarError, KeyError) as error:
            raise ValueError(
                f"Expected the plan of {'/'.join(self._group)} in {self._place}, got what is no tar file of one "
                f"({error}); delete it, and run pear annotate on the machine that has the plan"
            ) from error
        if other:
            set_aside(self._workspace, other)
        self._digest = hashlib.sha256(packed).digest()
        return bool(changed or other)

    def put(self) -> None:
        """Makes the plan of the store the one on this disk.

        Raises:
            WriteError: The store did not take it.
        """
        if self._place is None:
            return
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path in self._files():
                data, member = path.read_bytes(), tarfile.TarInfo(path.name)
                member.size = len(data)
                archive.addfile(member, BytesIO(data))
        if hashlib.sha256(packed.getvalue()).digest() != self._digest:
            write_bytes(self._place, packed.getvalue())

    def check_unplanned(self) -> None:
        """Refuses to plan beside labels or parts in the store whose plan is nowhere: others may be at work by it.

        Raises:
            ValueError: There are some; the sentence says what to do.
        """
        if self._place is None or plan_files(self._workspace, self._group):
            return
        folders = [self._workspace.step_folder(step).joinpath(*self._group) for step in STEPS]
        if found := next((folder for folder in folders if any(shard_paths(folder))), None):
            raise ValueError(
                f"Expected the plan of what is in {found}, found none in {self._place} or {self._folder}; another one "
                f"would give its numbers to other photos. Run pear annotate once on the machine that has the plan, or, "
                "if no machine has it and no worker is at it, here"
            )

    def _replace(self, name: str, archive: tarfile.TarFile) -> bool:
        """Gives a file the content that it has there, and says whether it was another."""
        member, path = archive.extractfile(name), self._folder / name
        data = b"" if member is None else member.read()
        if path.is_file() and path.read_bytes() == data:
            return False
        write_bytes(path, data)
        return True

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*") if _FILE.fullmatch(path.name))
