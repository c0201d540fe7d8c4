"""Renders the synthetic data set: coloured people of the body model whose true pose is known.

A folder holds ``images/000000.jpg`` ..., ``scenes.csv``, and, written last, ``truth.parquet``: a label shard with one
row a person (``tasks/synthetic/labels.py``). Person k depends on the seed and on k alone, so a larger set begins with
the people of a smaller one, and the same settings give the same bytes.

The third number of a true keypoint is its visibility, as ``tasks/synthetic/visibility.py`` describes it.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from datasets_manifest.canonical import config_hash
from datasets_manifest.files import alone_in, whole_file, write_bytes
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.selection import LabelSet
from datasets_manifest.shards.shard import finished_footer
from datasets_manifest.shards.store import write_shard
from model.body.ehms import EHMs
from model.renderer.overlay import encode_jpeg, encode_png
from model.renderer.people import RestShape
from tasks.revisions import REVISIONS
from tasks.synthetic.labels import VALID_SHARE, label_table
from tasks.synthetic.person import SyntheticConfig, render_person
from tasks.synthetic.pool import call_in_processes
from tasks.synthetic.pose import CROP_SHARES
from tasks.version import code_version

log = logging.getLogger(__name__)

TRUTH_FILE = "truth.parquet"
SCENE_FILE = "scenes.csv"
"""What is random in a picture and no label: what is framed, whether it is a child, whether something is in front."""
LICENCE = "Rendered by this project from its own body model; no person is shown."
PEOPLE_A_PROCESS = 32
"""Fewer people are not worth the seconds that a process takes to start."""


def synthesise(
    out_dir: Path, config: SyntheticConfig, ehm: EHMs, *, jobs: int = 1, dataset: str = "synthetic", split: str = "all"
) -> LabelSet:
    """Renders the data set into a folder unless it is already there, complete and made with these settings.

    Of several processes that ask for one folder at once, one renders and the others wait for it.

    Args:
        out_dir: folder; images of an earlier, larger set in it are removed.
        config: what to render.
        ehm: the body model.
        jobs: processes that render, fewer for a small set; the files are the same byte for byte for any number. More
            than 1 need a program that new processes can import (``if __name__ == "__main__":`` around what starts it).
        dataset: name of the data set in the labels.
        split: its split.

    Returns:
        Labels and photos, as a training takes them.

    Raises:
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs: expected at least 1 process, got {jobs}")
    with alone_in(Path(out_dir)):
        _synthesise(Path(out_dir), config, ehm, jobs, dataset, split)
    return LabelSet(path=str(out_dir), images=str(out_dir))


def _synthesise(out_dir: Path, config: SyntheticConfig, ehm: EHMs, jobs: int, dataset: str, split: str) -> None:
    truth_path = out_dir / TRUTH_FILE
    stated = _stated_config(config, ehm) | {"dataset": dataset, "split": split, "valid_share": VALID_SHARE}
    names = [_image_name(k, config) for k in range(config.count)]
    if finished_footer(truth_path, config_hash(stated)) and all((out_dir / name).is_file() for name in names):
        log.info("%s is complete (%d images); nothing to render.", out_dir, config.count)
        return
    truth_path.unlink(missing_ok=True)
    people = _render_files(out_dir, config, ehm, jobs)
    for stale in sorted((out_dir / "images").glob("[0-9]" * 6 + ".*")):
        if f"images/{stale.name}" not in set(names):
            stale.unlink()
    footer = Footer(
        config=stated,
        code_version=code_version(),
        manifest={"id": dataset, "version": "1", "hash": config_hash(stated), "licence": LICENCE},
        shard=TRUTH_FILE.split(".")[0],
        body_model=stated["body_model"],
        created_utc="1970-01-01T00:00:00+00:00",  # no clock: the same settings give the same bytes
    )
    with whole_file(out_dir / SCENE_FILE) as file:
        csv.write_csv(pa.Table.from_pylist([{"image": label["image"], **scene} for label, scene in people]), file)
    write_shard(truth_path, label_table([label for label, _ in people], dataset, split), footer)
    log.info("Rendered %d people into %s.", config.count, out_dir)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Renderer:
    """What a process needs in order to render any person of a set."""

    out_dir: Path
    config: SyntheticConfig
    ehm: EHMs
    rest: RestShape

    def write(self, index: int) -> tuple[dict, dict]:
        """Renders one person into its file and returns its label and its scene."""
        name = _image_name(index, self.config)
        person = render_person(index, self.config, self.ehm, self.rest)
        encode = encode_jpeg if self.config.image_format == "jpeg" else encode_png
        write_bytes(self.out_dir / name, encode(person.rgb))
        return {"image": name, **person.truth}, person.scene


def _render_files(out_dir: Path, config: SyntheticConfig, ehm: EHMs, jobs: int) -> list[tuple[dict, dict]]:
    """Writes every image and returns labels and scenes in their order."""
    renderer = _Renderer(out_dir=out_dir, config=config, ehm=ehm, rest=RestShape.from_assets(ehm.assets))
    processes = min(jobs, max(1, config.count // PEOPLE_A_PROCESS))
    return list(_logged(call_in_processes(renderer.write, config.count, processes), config.count))


def _logged(rows: Iterable[Any], count: int) -> Iterator[Any]:
    """The same rows; says how far it is at every tenth."""
    for done, row in enumerate(rows, 1):
        yield row
        if done % max(1, count // 10) == 0 and done < count:
            log.info("Rendered %d of %d people.", done, count)


def _stated_config(config: SyntheticConfig, ehm: EHMs) -> dict:
    assets = ehm.assets
    body = {"name": assets.smplx.name, "sha256": assets.sha256, "licence": assets.smplx.licence, "mode": ehm.mode}
    settings = dataclasses.asdict(config)
    if config.crop_shares == CROP_SHARES:
        del settings["crop_shares"]  # a set with the usual shares is the same whether or not they are stated
    return {"step": "synthesise", "revision": REVISIONS["synthesise"], "settings": settings, "body_model": body}


def _image_name(index: int, config: SyntheticConfig) -> str:
    return f"images/{index:06d}.{'jpg' if config.image_format == 'jpeg' else 'png'}"
