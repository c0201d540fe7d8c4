"""Renders the synthetic data set: coloured people of the body model whose true pose is known.

A folder holds ``images/000000.jpg`` ..., ``masks/images/000000.jpg.png`` ... where asked for, ``scenes.csv``, and,
written last, ``truth.parquet``: a label shard with one row a person (``tasks/synthetic/labels.py``). Person k depends
on the seed and on k alone, so a larger set begins with the people of a smaller one, and the same settings give the
same bytes. Until all are rendered, ``.unfinished/`` has labels and scenes of those that are, from which a rendering
that was stopped goes on. Pictures of people who move lie below ``images/group_000/`` ..., those of several cameras
below ``images/group_000/camera_0/`` ...; truth then says where in its group a picture is.

The third number of a true keypoint is its visibility, as ``tasks/synthetic/visibility.py`` describes it.
"""

import dataclasses
import itertools
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pyarrow import csv

from datasets_manifest.canonical import config_hash
from datasets_manifest.files import alone_in, whole_file, write_bytes
from datasets_manifest.schema.labels import label_schema
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.label_sets import LabelSet
from datasets_manifest.shards.shard import finished_footer, read_shard
from datasets_manifest.shards.store import write_shard
from datasets_manifest.sources.masks import mask_path, mask_png
from model.body.ehms import EHMs
from model.body.shown import SHOWN_SHARE
from model.renderer.overlay import encode_jpeg, encode_png
from model.renderer.people import RestShape
from tasks.display import Display, Lines
from tasks.revisions import REVISIONS
from tasks.synthetic.groups import GroupConfig, World, make_world, render_view
from tasks.synthetic.labels import label_table
from tasks.synthetic.person import SyntheticConfig, render_person
from tasks.synthetic.pool import call_in_processes
from tasks.synthetic.pose import CHILD_SHARE, CROP_SHARES
from tasks.version import code_version

log = logging.getLogger(__name__)
T = TypeVar("T")
RenderConfig = SyntheticConfig | GroupConfig
"""What is rendered: people one a photo, or groups of pictures of people who move."""

TRUTH_FILE = "truth.parquet"
MASKS = "masks"
"""Folder of the masks."""
SCENE_FILE = "scenes.csv"
"""What is random in a picture and no label: what is framed, whether it is a child, whether something is in front."""
LICENCE = "Rendered by this project from its own body model; no person is shown."
UNFINISHED = ".unfinished"
BLOCK = 256
"""Pictures whose labels are kept together until all are rendered."""
PEOPLE_A_PROCESS = 32
"""Fewer pictures are not worth the seconds that a process takes to start."""


def synthesise(
    out_dir: Path,
    config: RenderConfig,
    ehm: EHMs,
    *,
    jobs: int = 1,
    dataset: str = "synthetic",
    split: str = "all",
    display: Display | None = None,
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
        display: shows how far it is; None for a line of the log now and then.

    Returns:
        Labels and photos, as a training takes them.

    Raises:
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs: expected at least 1 process, got {jobs}")
    with alone_in(Path(out_dir)):
        _synthesise(Path(out_dir), config, ehm, jobs, dataset, split, display or Lines(log))
    masks = str(Path(out_dir) / MASKS) if _has_masks(config) else None
    return LabelSet(path=str(out_dir), images=str(out_dir), masks=masks)


def _synthesise(
    out_dir: Path, config: RenderConfig, ehm: EHMs, jobs: int, dataset: str, split: str, display: Display
) -> None:
    truth_path = out_dir / TRUTH_FILE
    stated = _stated_config(config, ehm) | {"dataset": dataset, "split": split, "valid_share": SHOWN_SHARE}
    if finished_footer(truth_path, config_hash(stated)) and _are_there(out_dir, range(config.num_images), config):
        log.info("%s is complete (%d images); nothing to render.", out_dir, config.num_images)
        return
    truth_path.unlink(missing_ok=True)
    footer = Footer(
        config=stated,
        code_version=code_version(),
        manifest={"id": dataset, "version": "1", "hash": config_hash(stated), "licence": LICENCE},
        shard=TRUTH_FILE.split(".")[0],
        body_model=stated["body_model"],
        created_utc="1970-01-01T00:00:00+00:00",  # no clock: the same settings give the same bytes
    )
    blocks = _blocks(out_dir, config, footer)
    _render(out_dir, config, ehm, jobs, footer, blocks, display)
    kept = {file for number in range(config.num_images) for file in _files(number, config)}
    for folder in ("images", f"{MASKS}/images"):
        for stale in sorted((out_dir / folder).rglob("[0-9]" * 6 + ".*")):
            if stale.relative_to(out_dir).as_posix() not in kept:
                stale.unlink()
    scenes = [csv.read_csv(path.with_suffix(".csv")) for path in blocks]
    with whole_file(out_dir / SCENE_FILE) as file:
        csv.write_csv(pa.concat_tables(scenes).combine_chunks(), file)
    labels = pa.concat_tables([read_shard(path, _schema(config)) for path in blocks])
    write_shard(truth_path, labels.combine_chunks(), footer)
    shutil.rmtree(out_dir / UNFINISHED)
    log.info("Rendered %d %s into %s.", config.num_images, _noun(config), out_dir)


def _blocks(out_dir: Path, config: RenderConfig, footer: Footer) -> dict[Path, range]:
    """The files of the labels of all people, and who is in each; those that other settings left are deleted, since the
    pictures of their people will be replaced."""
    blocks = {
        out_dir / UNFINISHED / f"{first:06d}.parquet": range(first, min(first + BLOCK, config.num_images))
        for first in range(0, config.num_images, BLOCK)
    }
    for path in sorted((out_dir / UNFINISHED).glob("*.parquet")):
        if path not in blocks or not finished_footer(path, footer.config_hash):
            path.unlink()
    return blocks


@dataclass(frozen=True, kw_only=True, slots=True)
class _Renderer:
    """What a process needs in order to render any picture of a set."""

    out_dir: Path
    config: RenderConfig
    ehm: EHMs
    rest: RestShape
    worlds: dict[int, World] = field(default_factory=dict)
    """Of the group that was rendered last."""

    def write(self, index: int) -> tuple[list[dict], dict]:
        """Renders one picture into its file and returns the labels of its people and its scene."""
        config, name = self.config, self.config.image_name(index)
        if isinstance(config, GroupConfig):
            picture = render_view(index, self._world(config.place(index)[0], config), config, self.ehm, self.rest)
            people = picture.people
        else:
            picture = render_person(index, config, self.ehm, self.rest)
            people = [picture.truth]
            if config.masks:
                write_bytes(mask_path(self.out_dir / MASKS, name), mask_png(picture.shown_mask))
        encode = encode_jpeg if config.image_format == "jpeg" else encode_png
        write_bytes(self.out_dir / name, encode(picture.rgb))
        return [{"image": name, **person} for person in people], {"image": name, **picture.scene}

    def _world(self, group: int, config: GroupConfig) -> World:
        if group not in self.worlds:
            self.worlds.clear()
            self.worlds[group] = make_world(group, config, self.ehm, self.rest)
        return self.worlds[group]


def _render(
    out_dir: Path,
    config: RenderConfig,
    ehm: EHMs,
    jobs: int,
    footer: Footer,
    blocks: Mapping[Path, range],
    display: Display,
) -> None:
    """Writes the pictures, scenes and labels of every block that is not there."""
    absent = {
        path: people for path, people in blocks.items() if not path.is_file() or not _are_there(out_dir, people, config)
    }
    numbers = list(itertools.chain.from_iterable(absent.values()))
    there = config.num_images - len(numbers)
    what = f"{len(numbers)} {_noun(config)}" + ", one a photo" * isinstance(config, SyntheticConfig)
    what += f" ({there} are there already)" * bool(there)
    log.info("Rendering %s, into %s.", what, out_dir)
    renderer = _Renderer(out_dir=out_dir, config=config, ehm=ehm, rest=RestShape.from_assets(ehm.assets))
    processes = min(jobs, max(1, len(numbers) // PEOPLE_A_PROCESS))
    rendered = _shown(call_in_processes(renderer.write, numbers, processes), there, config, display)
    for path, people in absent.items():
        own = list(itertools.islice(rendered, len(people)))
        scenes = pa.Table.from_pylist([scene for _, scene in own])
        with whole_file(path.with_suffix(".csv")) as file:
            csv.write_csv(scenes, file)
        everyone = [person for people, _ in own for person in people]
        labels = label_table(everyone, footer.manifest["id"], footer.config["split"], _schema(config))
        write_shard(path, labels, footer)


def _shown(people: Iterable[T], there: int, config: RenderConfig, display: Display) -> Iterator[T]:
    """The same people; shows how far it is, by the speed after the first, who waited for the processes to start."""
    first_s = 0.0
    for done, person in enumerate(people):
        now = time.perf_counter()
        first_s = first_s or now
        each_s = (now - first_s) / done if done else 0.0
        count = config.num_images
        left = count - there - done - 1
        rate, left_s = (f"{1 / each_s:.1f}/s", each_s * left) if each_s else ("", None)
        display.show(f"{_noun(config)} rendered", count - left, count, rate, left_s)
        yield person


def _stated_config(config: RenderConfig, ehm: EHMs) -> dict:
    assets = ehm.assets
    body = assets.entry | {"mode": assets.fusion}
    settings = dataclasses.asdict(config)
    if isinstance(config, SyntheticConfig):  # a set with the usual shares is the same whether or not they are stated
        for name, usual in (("crop_shares", CROP_SHARES), ("child_share", CHILD_SHARE), ("masks", False)):
            if settings[name] == usual:
                del settings[name]
    return {"step": "synthesise", "revision": REVISIONS["synthesise"], "settings": settings, "body_model": body}


def _are_there(out_dir: Path, people: Iterable[int], config: RenderConfig) -> bool:
    """Whether all files of some people have been written."""
    return all((out_dir / file).is_file() for number in people for file in _files(number, config))


def _files(number: int, config: RenderConfig) -> list[str]:
    """Picture and, where asked for, its mask, relative to the folder."""
    name = config.image_name(number)
    return [name, mask_path(Path(MASKS), name).as_posix()] if _has_masks(config) else [name]


def _has_masks(config: RenderConfig) -> bool:
    return isinstance(config, SyntheticConfig) and config.masks


def _noun(config: RenderConfig) -> str:
    return "people" if isinstance(config, SyntheticConfig) else "pictures"


def _schema(config: RenderConfig) -> pa.Schema:
    return label_schema(in_groups=isinstance(config, GroupConfig))
