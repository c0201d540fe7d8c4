"""Stub estimators as an installed package has them, so that every process finds them; and one that can be watched."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import psutil
from stub_estimators import StubKeypoints

SUPPORT = Path(__file__).parent
LOG, SECONDS, DEADLY = "WATCHED_LOG", "WATCHED_SECONDS", "WATCHED_DEADLY"
"""Variables: a file that gets a line ``<process> <photo>`` when a photo is begun; seconds that each takes; photos, as a
pattern, at which the process is killed, or ``<photo>:<file>`` to kill it as long as the file is not there, which is
then made."""


class WatchedKeypoints(StubKeypoints):
    def __init__(self, shift: float = 0.0, broken: bool = False):
        super().__init__(shift)
        if broken:
            raise ValueError("keypoints.options.broken: the weights are no file of this network")

    def estimate(self, image, boxes=None, annotated=None):
        name = image.image_id.rpartition("/")[2]
        if log := os.environ.get(LOG):
            with open(log, "a") as file:
                file.write(f"{os.getpid()} {name}\n")
        photo, _, once = os.environ.get(DEADLY, "").partition(":")
        if fnmatch(name, photo) and not (once and os.path.exists(once)):
            if once:
                Path(once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get(SECONDS, "0")))
        return super().estimate(image, boxes, annotated)


def install(folder: Path) -> dict[str, str]:
    """Writes what ``pip install`` of a package with these estimators leaves; returns the variables that find it."""
    info = folder / "watched-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: watched\nVersion: 1.0\n")
    names = {f"{part}.stub": f"stub_estimators:Stub{part.title()}" for part in ("keypoints", "body", "hands", "face")}
    names["keypoints.watched"] = "watched_estimators:WatchedKeypoints"
    lines = [f"{name} = {target}" for name, target in names.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pear.estimators]", *lines, ""]))
    paths = [str(folder), str(SUPPORT), str(SUPPORT.parents[1])]
    return {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def lines_of(log: Path) -> list[tuple[int, str]]:
    """Process and photo of each line so far."""
    if not log.exists():
        return []
    return [(int(pid), photo) for pid, photo in (line.split() for line in log.read_text().splitlines())]


COMMAND = "from small_pages import small_pages; from flows.cli.app import app\nwith small_pages(): app()"
SETTINGS = """annotate:
  datasets: [my_photos]
  roots: {{my_photos: photos}}
  keypoints: {{backend: watched}}
  body: {{backend: stub}}
  hands: {{backend: stub}}
  face: {{backend: stub}}
  refine: {{iterations: 2, graduated_iterations: 1}}
  run: {{images_per_shard: {images_per_shard}, workers: 2, retries: 0}}
"""


class WatchedProject:
    """A folder of photos whose estimators can be watched, and the commands in it as processes of their own."""

    def __init__(self, folder: Path, photos: int, images_per_shard: int = 1):
        from stub_estimators import write_photos

        self.folder, self.log = folder, folder / "begun.txt"
        self.env = {**install(folder / "package"), "SOURCE_DATE_EPOCH": "1700000000", LOG: str(self.log)}
        write_photos(folder / "photos", [f"{number:02d}.png" for number in range(photos)])
        (folder / "params.yaml").write_text(SETTINGS.format(images_per_shard=images_per_shard))

    def start(self, *words: str, **env: str) -> subprocess.Popen[str]:
        """Starts ``pear`` with some words."""
        given = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words], cwd=self.folder, env={**given, **self.env, **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *words: str, **env: str) -> tuple[int, str]:
        """Exit code of ``pear`` with some words, and what it says."""
        process = self.start(*words, **env)
        said = "".join(process.communicate(timeout=500))
        return process.returncode, said

    @property
    def begun(self) -> list[tuple[int, str]]:
        """Process and photo of each photo that was begun."""
        return lines_of(self.log)

    def processes(self) -> list[psutil.Process]:
        """All that carry the variables of the project, whoever started them."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(LOG) == str(self.log) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_for(self, condition: Callable[[], object], seconds: float = 400.0) -> None:
        """Waits until something is so."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.02)

    def labels(self) -> dict[str, bytes]:
        """The label files, to the byte."""
        return {path.name: path.read_bytes() for path in sorted((self.folder / "labels").rglob("*.parquet"))}

    def clear(self) -> None:
        """Forgets all results."""
        for name in ("work", "labels", "reports", "metrics"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.log.unlink(missing_ok=True)
