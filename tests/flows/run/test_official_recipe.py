"""The paper's recipe on self-made files in the official formats: whole runs go through, and random weights show.

Nobody's weights are needed for that: the files have the publishers' layouts, the bodies are the open body, the networks
are random. How good the official weights are is not what is tested here.
"""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from annotated_project import MANIFEST, PEOPLE, annotate, own_results, step_states
from recipe_files import write_converted_transfer, write_official_bodies, write_weights
from typer.testing import CliRunner

from datasets_manifest.files import file_sha256
from datasets_manifest.shards.shard import read_footer
from flows.cli.app import app
from model.body import convert
from model.licensed_files.asset_file import AssetFile
from model.licensed_files.table import BY_ID, PAPER_BACKENDS
from tasks.annotate.assets import inspect_assets, next_step

pytestmark = pytest.mark.long

PAPER = Path(__file__).parents[3] / "params.paper.yaml"
NUM_PHOTOS = 2
FILES = {
    "keypoints": {"dwpose": {"pose_path": "dwpose.pose", "detector_path": "dwpose.detector"}},
    "body": {"prohmr": {"checkpoint_path": "prohmr"}, "hmr2": {"checkpoint_path": "hmr2"}},
    "hands": {"hamer": {"checkpoint_path": "hamer"}},
    "face": {"teaser": {"checkpoint_path": "teaser"}, "smirk": {"checkpoint_path": "smirk"}},
}
"""Part -> backend -> option -> asset."""
BACKENDS = [(part, backend) for part, backends in FILES.items() for backend in backends]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def any_version():
    """The files here are made up: nothing is published of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AssetFile, "other_version", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def licensed(tmp_path_factory):
    """The folder ``licensed``, made as `pear assets` says."""
    root = tmp_path_factory.mktemp("paper") / "licensed"
    write_weights(root)
    write_converted_transfer(root)
    write_official_bodies(root, tmp_path_factory.mktemp("package_files"), transfer=False)
    convert_as_told(root)
    return root


def convert_as_told(root):
    """Runs the command that `pear assets` gives as the next step."""
    step = next_step(inspect_assets(root), root)
    command = step.partition("python -m model.body.convert ")[2]
    assert convert.main(shlex.split(command)) == 0


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def recipe(licensed, rendered):
    """Folder of a run of params.paper.yaml on the rendered people, and on two of their photos with nobody known."""
    folder = licensed.parent
    shutil.copy(PAPER, folder)
    (folder / "few.yaml").write_text(MANIFEST)
    shutil.copytree(rendered.parent / "work/datasets", folder / "work/datasets")
    (folder / "photos").mkdir()
    for photo in sorted((rendered.parent / "work/datasets/few/images").glob("*.jpg"))[:NUM_PHOTOS]:
        shutil.copy(photo, folder / "photos")
    answer = command(
        "annotate", folder / "few.yaml", "my_photos", "--root", f"my_photos={folder / 'photos'}", "--local",
        "--params", folder / PAPER.name, "--set", "run.images_per_shard=2", "--set", "run.workers=2",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    return folder


def labels_of(folder):
    return pd.read_parquet(folder / "labels")


def footers(folder, kind="labels"):
    return [read_footer(path) for path in sorted((folder / kind).rglob("*.parquet"))]


def hash_of(root, id):
    path = root / BY_ID[id].place
    return file_sha256(path)


def assert_every_row_is_explained(labels):
    for row in labels.to_dict("records"):
        assert row["status"] in ("ok", "partial", "failed")
        assert (row["status"] == "ok") == (row["error_code"] is None or row["error_code"] != row["error_code"])
        assert row["status"] == "ok" or row["error_detail"]


def test_a_folder_of_self_made_files_passes_the_check(licensed):
    answer = command("assets", "--params", PAPER, "--root", licensed, "--check")
    assert answer.exit_code == 0, answer.output
    assert "every needed file is there" in answer.output


def test_every_person_has_a_row_with_a_reason(recipe):
    labels = labels_of(recipe)
    assert labels.groupby("dataset").size().to_dict() == {"few": PEOPLE, "my_photos": NUM_PHOTOS}
    assert set(labels[labels.dataset == "my_photos"].bbox_source) == {"detector"}
    assert_every_row_is_explained(labels)


def test_all_four_parts_come_from_the_networks(recipe):
    files = {part: pd.read_parquet(recipe / "work/parts" / part) for part in PAPER_BACKENDS}
    assert all(len(table) == PEOPLE + NUM_PHOTOS for table in files.values())
    assert files["body"].valid.all()
    assert files["face"].valid.all()
    assert (files["hands"].left_valid & files["hands"].right_valid).all()
    # The crops differ, so what random networks make of them differs too; a person at rest would be the same each time.
    for part, column in (("body", "betas"), ("hands", "left_hand_pose"), ("face", "flame_expression")):
        values = np.stack(files[part][column])
        assert np.ptp(values, axis=0).max() > 1e-4, part


def test_the_quality_says_that_the_weights_are_random(recipe, rendered):
    random, simulated = labels_of(recipe).quality, labels_of(rendered.parent).quality
    assert random.max() < simulated.min() / 2


def test_footers_name_every_estimator_by_the_hash_of_its_weights_and_no_place(recipe, licensed):
    made = footers(recipe)
    assert len(made) == PEOPLE // 2 + NUM_PHOTOS // 2
    for footer in [*made, *footers(recipe, "work/parts")]:
        text = json.dumps([dict(footer.config), dict(footer.manifest), footer.body_model, footer.estimators])
        assert str(recipe) not in text
        assert "licensed" not in text
    for footer in made:
        stated = {one["part"]: (one["name"], one["weights_sha256"]) for one in footer.estimators}
        assert {part: name for part, (name, _) in stated.items()} == PAPER_BACKENDS
        for part, (name, sha256) in stated.items():
            assert sha256 == "+".join(hash_of(licensed, id) for id in FILES[part][name].values())
        assert footer.body_model["name"] == "SMPLX_NEUTRAL_2020"


def test_a_second_run_does_nothing(recipe):
    with step_states() as ended:
        annotate(
            recipe / PAPER.name, datasets=[str(recipe / "few.yaml")], run__images_per_shard=2,
            run__device="cpu", body__options__batch_size=3,
        )  # fmt: skip
    assert set(ended.values()) == {"skipped"}


@pytest.mark.parametrize("id", ["dwpose.pose", "dwpose.detector", "prohmr", "hamer", "teaser"])
def test_without_a_network_a_run_ends_in_one_sentence_before_any_shard(recipe, tmp_path, id):
    part, backend = next((p, b) for p, b in PAPER_BACKENDS.items() if id in FILES[p][b].values())
    option = next(name for name, asset in FILES[part][backend].items() if asset == id)
    answer = command(
        "annotate", recipe / "few.yaml", "--params", recipe / PAPER.name, "--local",
        "--set", f"{part}.options.{option}={tmp_path / 'absent'}", "--set", f"output.work={tmp_path / 'work'}",
    )  # fmt: skip
    assert_refused(answer, tmp_path, str(tmp_path / "absent"))


@pytest.mark.parametrize("name", ["smplx", "flame", "correspondence", "smpl", "smpl_to_smplx"])
def test_without_a_body_file_a_run_ends_in_one_sentence_before_any_shard(recipe, licensed, tmp_path, name):
    (tmp_path / "bodies").mkdir()
    for path in licensed.glob("*.npz"):
        if path.stem != name:
            (tmp_path / "bodies" / path.name).symlink_to(path)
    answer = command(
        "annotate", recipe / "few.yaml", "--params", recipe / PAPER.name, "--local",
        "--set", f"body_model.path={tmp_path / 'bodies'}", "--set", f"output.work={tmp_path / 'work'}",
    )  # fmt: skip
    assert_refused(answer, tmp_path, f"{name}.npz")


def assert_refused(answer, tmp_path, said):
    assert answer.exit_code == 2, answer.output
    assert said in answer.output
    assert len(answer.output.strip().splitlines()) == 1
    assert "Traceback" not in answer.output
    assert not list((tmp_path / "work").rglob("*.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize(("part", "backend"), BACKENDS)
def test_each_estimator_alone_among_simulated_ones(licensed, rendered, tmp_path, part, backend):
    options = {option: str(licensed / BY_ID[id].place) for option, id in FILES[part][backend].items()}
    places = own_results(rendered, tmp_path)
    result = annotate(rendered, **{f"{part}__backend": backend, f"{part}__options": options}, **places)
    assert not result.failed_parts, result.sentence
    labels, simulated = labels_of(tmp_path), labels_of(rendered.parent)
    assert labels.sample_id.tolist() == simulated.sample_id.tolist()
    assert_every_row_is_explained(labels)
    told = {one["part"]: one["name"] for footer in footers(tmp_path) for one in footer.estimators}
    assert told == dict.fromkeys(PAPER_BACKENDS, "simulated") | {part: backend}
    if part in ("keypoints", "body"):  # The score is about the body.
        # Random weights may be so far off that nobody can be labelled at all.
        assert labels.quality.fillna(0.0).median() < simulated.quality.median()


@pytest.mark.slow
def test_every_official_body_file_is_converted_as_told(tmp_path):
    """With the transfer of SMPL to SMPL-X, which takes 3 GB of memory."""
    root = tmp_path / "licensed"
    write_weights(root)
    write_official_bodies(root, tmp_path / "package_files")
    convert_as_told(root)
    assert next_step(inspect_assets(root), root) is None
    shutil.rmtree(root / "official")
    assert command("assets", "--root", root, "--check").exit_code == 0
