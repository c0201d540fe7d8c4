"""Renders the synthetic data set: coloured people of the body model whose true pose is known.

A folder holds ``images/000000.jpg`` ... and, written last, ``truth.parquet`` with one row a person. Person k depends on
the seed and on k alone, so a larger set begins with the people of a smaller one, and the same settings give the same
bytes.

The third number of a true keypoint is its visibility, as ``tasks/synthetic/visibility.py`` describes it.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from datasets_manifest.canonical import config_hash
from datasets_manifest.files import alone_in, write_bytes
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.fields import FLOATS, column
from datasets_manifest.schema.labels import parameter_columns
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.shard import finished_footer
from datasets_manifest.shards.store import write_shard
from model.body.ehms import EHMs
from model.renderer.overlay import encode_jpeg, encode_png
from model.renderer.people import RestShape
from tasks.revisions import REVISIONS
from tasks.synthetic.person import SyntheticConfig, render_person
from tasks.synthetic.pool import call_in_processes
from tasks.synthetic.pose import CROP_SHARES, CROPS
from tasks.version import code_version

log = logging.getLogger(__name__)

TRUTH_FILE = "truth.parquet"
PEOPLE_A_PROCESS = 32
"""Fewer people are not worth the seconds that a process takes to start."""


def truth_schema() -> pa.Schema:
    """Schema of ``truth.parquet``; lists are flat float32 in C order."""
    px, m = "px", "m"
    return pa.schema(
        [
            column("image", pa.string(), "path of the image relative to this file", required=True),
            column("person", pa.int16(), "index within the image", required=True),
            column("image_width", pa.int32(), "width", unit=px, required=True),
            column("image_height", pa.int32(), "height", unit=px, required=True),
            column("bbox_xyxy", FLOATS, "box of the person's pixels inside the image", unit=px, shape=(4,)),
            column("focal_px", pa.float32(), "focal length", unit=px),
            column("principal_px", FLOATS, "principal point", unit=px, shape=(2,)),
            *parameter_columns(*LABEL_PARAMETERS),
            column("keypoints_2d", FLOATS, "x, y px and visibility 0 or 1, COCO-WholeBody order", shape=(133, 3)),
            column("joints_cam_m", FLOATS, "55 SMPL-X joints, camera frame", unit=m, shape=(55, 3)),
            column("crop", pa.string(), f"what is framed: {', '.join(CROPS)}", required=True),
            column("is_child", pa.bool_(), "small body with a large head", required=True),
            column("has_occluder", pa.bool_(), "something covers a part of the person", required=True),
        ]
    )


TRUTH_SCHEMA = truth_schema()


def synthesise(out_dir: Path, config: SyntheticConfig, ehm: EHMs, *, jobs: int = 1) -> Path:
    """Renders the data set into a folder unless it is already there, complete and made with these settings.

    Of several processes that ask for one folder at once, one renders and the others wait for it.

    Args:
        out_dir: folder; images of an earlier, larger set in it are removed.
        config: what to render.
        ehm: the body model.
        jobs: processes that render, fewer for a small set; the files are the same byte for byte for any number. More
            than 1 need a program that new processes can import (``if __name__ == "__main__":`` around what starts it).

    Returns:
        Path of ``truth.parquet``, which exists only once every image does.

    Raises:
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"jobs: expected at least 1 process, got {jobs}")
    with alone_in(Path(out_dir)):
        return _synthesise(Path(out_dir), config, ehm, jobs)


def _synthesise(out_dir: Path, config: SyntheticConfig, ehm: EHMs, jobs: int) -> Path:
    truth_path = out_dir / TRUTH_FILE
    stated = _stated_config(config, ehm)
    names = [_image_name(k, config) for k in range(config.count)]
    if finished_footer(truth_path, config_hash(stated)) and all((out_dir / name).is_file() for name in names):
        log.info("%s is complete (%d images); nothing to render.", out_dir, config.count)
        return truth_path
    truth_path.unlink(missing_ok=True)
    rows = _render_files(out_dir, config, ehm, jobs)
    for stale in sorted((out_dir / "images").glob("[0-9]" * 6 + ".*")):
        if f"images/{stale.name}" not in set(names):
            stale.unlink()
    footer = Footer(
        config=stated,
        code_version=code_version(),
        manifest={},
        shard=TRUTH_FILE.split(".")[0],
        body_model=stated["body_model"],
        created_utc="1970-01-01T00:00:00+00:00",  # no clock: the same settings give the same bytes
    )
    write_shard(
        truth_path, table_from_columns({name: [row[name] for row in rows] for name in rows[0]}, TRUTH_SCHEMA), footer
    )
    log.info("Rendered %d people into %s.", config.count, out_dir)
    return truth_path


@dataclass(frozen=True, kw_only=True, slots=True)
class _Renderer:
    """What a process needs in order to render any person of a set."""

    out_dir: Path
    config: SyntheticConfig
    ehm: EHMs
    rest: RestShape

    def write(self, index: int) -> dict:
        """Renders one person into its file and returns its row of the truth."""
        name = _image_name(index, self.config)
        person = render_person(index, self.config, self.ehm, self.rest)
        encode = encode_jpeg if self.config.image_format == "jpeg" else encode_png
        write_bytes(self.out_dir / name, encode(person.rgb))
        return {"image": name, **person.truth}


def _render_files(out_dir: Path, config: SyntheticConfig, ehm: EHMs, jobs: int) -> list[dict]:
    """Writes every image and returns the rows of the truth in their order."""
    renderer = _Renderer(out_dir=out_dir, config=config, ehm=ehm, rest=RestShape.from_assets(ehm.assets))
    processes = min(jobs, max(1, config.count // PEOPLE_A_PROCESS))
    return list(_logged(call_in_processes(renderer.write, config.count, processes), config.count))


def _logged(rows: Iterable[dict], count: int) -> Iterator[dict]:
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
