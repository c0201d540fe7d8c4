"""Commands that go through all labels: compare, stats and exports, their processor time and memory.

    python -m benchmarks.label_sets                                   the table of docs/benchmarks/speed.md
    python -m benchmarks.label_sets --people 10000 --beside OTHER     beside another checkout, on the same labels
    python -m benchmarks.label_sets --people 40                       a check of the program

Two people a photo, random and exact; in the second set everybody is moved a little. There are no photos, so that
nothing is drawn and no crop is looked at. Processor time and peak memory are of the whole command, the imports too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.table import Column, Row, markdown, number
from datasets_manifest.schema.columns import table_from_columns
from datasets_manifest.schema.ehm_fields import BODY_GROUP_NAMES
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES
from datasets_manifest.shards.footer import Footer
from datasets_manifest.shards.store import shard_path, write_shard
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.parameters import EhmParameters
from model.imaging import camera as pinhole
from model.imaging.camera import Camera
from model.rotations import rotvec_to_rotmat

SHARD_PEOPLE = 500
WIDTH, HEIGHT, FOCAL_PX = 640, 480, 600.0
COMMANDS = {
    "compare": ("compare", "labels", "moved", "--json"),
    "stats": ("stats", "labels", "--no-photos", "--json"),
    "export --to smplx-npz": ("export", "--to", "smplx-npz"),
    "export --to humandata": ("export", "--to", "humandata"),
}
COLUMNS = (
    Column(title="command", text=lambda row: f"`pear {row['command']}`"),
    Column(title="people", text=number("people", "{:d}", 1)),
    Column(title="code", text=lambda row: str(row["code"])),
    Column(title="s of processor time", text=number("seconds")),
    Column(title="ms a person beyond one shard", text=number("seconds_more", "{:.2f}", 1e3)),
    Column(title="peak MB", text=number("bytes", "{:.0f}", 1e-6)),
    Column(title="MB more than of one shard", text=number("bytes_more", "{:.0f}", 1e-6)),
)
_MEASURED = """
import sys, time
from benchmarks.process_memory import peak_bytes
from flows.cli.app import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    print("\\n" + str([end.code or 0, time.process_time(), peak_bytes()]))
"""


def people_columns(count: int, moved: bool, body: KeypointBody) -> dict[str, Any]:
    """Columns of random people, those of the second set a little elsewhere."""
    rng = np.random.default_rng(0)

    def turns(*shape: int, spread: float) -> torch.Tensor:
        return rotvec_to_rotmat(torch.from_numpy(spread * rng.normal(size=(count, *shape, 3))).float())

    def numbers(size: int, spread: float) -> torch.Tensor:
        return torch.from_numpy(spread * rng.normal(size=(count, size))).float()

    size = body.size
    people = EhmParameters.neutral(
        count,
        size=size,
        global_orient=rotvec_to_rotmat(torch.tensor([np.pi, 0.0, 0.0])).float().expand(count, 3, 3),
        body_pose=turns(21, spread=0.2),
        left_hand_pose=turns(15, spread=0.1),
        right_hand_pose=turns(15, spread=0.1),
        betas=numbers(size.num_betas, 0.5),
        flame_shape=numbers(size.num_flame_shape, 0.5),
        flame_expression=numbers(size.num_expression, 0.5),
        transl_m=numbers(3, 0.1) + torch.tensor([0.0, 0.0, 4.0]),
    )
    columns = {name: value.numpy() for name, value in people.columns().items()}
    if moved:
        names = ("body_pose", "left_hand_pose", "right_hand_pose", "flame_shape", "flame_expression", "transl_m")
        columns |= {name: columns[name] + 0.02 * rng.normal(size=columns[name].shape) for name in names}
    camera = Camera(
        focal_px=torch.full((count,), FOCAL_PX), principal_px=torch.tensor([WIDTH / 2, HEIGHT / 2]).expand(count, 2)
    )
    points = pinhole.project(body(people).keypoints, camera).numpy()
    same = {
        "dataset": "many", "split": "all", "image_width": WIDTH, "image_height": HEIGHT, "status": "ok",
        "bbox_source": "manifest", "focal_px": FOCAL_PX, "reproj_rel": 0.002, "inlier_ratio": 1.0, "converged": True,
        "iterations": 5, "moved_rad": 0.0, "eyes_valid": True, "eyelids_valid": True, "quality": 0.9,
        **{f"{part}_valid": True for part in PART_NAMES}, **{f"{part}_quality": 0.9 for part in PART_NAMES},
        **{f"reproj_{part}_px": 0.3 for part in PART_NAMES},
    }  # fmt: skip
    vectors = {"principal_px": [WIDTH / 2, HEIGHT / 2], "hand_scale": np.ones(3), "joint_seen": np.ones(22, bool)}
    vectors["body_group_valid"] = np.ones(len(BODY_GROUP_NAMES), bool)
    return {
        **{name: [value] * count for name, value in {**same, **vectors}.items()},
        **columns,
        "person": [k % 2 for k in range(count)],
        "keypoints_2d": np.dstack([points, np.ones(points.shape[:2])]),
        "bbox_xyxy": np.concatenate([points.min(1), points.max(1)], 1),
    }


def write_labels(folder: Path, people: int, *, moved: bool) -> None:
    """Shards of people; the same ones in each, under other names."""
    assets = load_open_body()
    with torch.inference_mode():
        columns = people_columns(min(people, SHARD_PEOPLE), moved, KeypointBody(assets))
    for shard, first in enumerate(range(0, people, SHARD_PEOPLE)):
        count = min(SHARD_PEOPLE, people - first)
        images = [f"{(first + k) // 2:08d}.jpg" for k in range(count)]
        named = {name: values[:count] for name, values in columns.items()} | {
            "image": images,
            "sample_id": [f"many/all/{image}#{k % 2}" for k, image in enumerate(images)],
        }
        footer = Footer(
            config={"step": "benchmark"}, code_version="0", manifest={"id": "many", "licence": "CC0-1.0"},
            shard=f"{shard:05d}", body_model=dict(assets.entry),
        )  # fmt: skip
        table = table_from_columns(named, LABEL_SCHEMA)
        write_shard(shard_path(folder, "many", "all", shard), table, footer)


def measure(name: str, folder: Path, checkout: Path) -> dict[str, float]:
    """Runs a command in a folder of labels.

    Raises:
        RuntimeError: It failed.
    """
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _MEASURED, *COMMANDS[name]]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    code, seconds, peak = json.loads(done.stdout.splitlines()[-1]) if done.stdout else (1, 0, 0)
    if code or done.returncode:
        raise RuntimeError(f"pear {name} ended badly in {folder}: {done.stdout[-500:]}{done.stderr[-2000:]}")
    return {"seconds": seconds, "bytes": peak}


def _rows(people: int, checkouts: dict[str, Path], names: Sequence[str], root: Path) -> Iterator[Row]:
    few = min(people, SHARD_PEOPLE)
    for count in {few, people}:
        for folder, moved in (("labels", False), ("moved", True)):
            write_labels(root / str(count) / folder, count, moved=moved)
        # Annotation plans are not needed: labels are read from their folder.
        (root / str(count) / "params.yaml").write_text("annotate: {datasets: [demo_people]}\n", encoding="utf-8")
    for name in names:
        for code, checkout in checkouts.items():
            base, own = (measure(name, root / str(count), checkout) for count in (few, people))
            more = {"seconds_more": (own["seconds"] - base["seconds"]) / max(1, people - few)}
            more["bytes_more"] = own["bytes"] - base["bytes"]
            yield {"command": name, "people": people, "code": code, **own, **more}


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Measures and prints the table; returns its rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--beside", type=Path, help="Another checkout of this repository.")
    parser.add_argument("--only", nargs="*", choices=[*COMMANDS], default=[*COMMANDS])
    options = parser.parse_args(arguments)
    checkouts = {} if options.beside is None else {"other": options.beside.absolute()}
    checkouts["this"] = Path(__file__).absolute().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(options.people, checkouts, options.only, Path(folder)))
    print(markdown(rows, COLUMNS))
    return rows


if __name__ == "__main__":
    main()
