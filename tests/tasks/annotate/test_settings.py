"""Settings: what is read, what is refused, and what a change of them re-does."""

from dataclasses import replace
from pathlib import Path

import pytest

from datasets_manifest.settings import read_settings
from model.estimators import create
from model.estimators.base import PARTS
from tasks.annotate.settings import AnnotateConfig, load_config
from tasks.estimators import checked_options

PROJECT = Path(__file__).resolve().parents[3]


def test_the_projects_own_settings_are_valid():
    config = load_config(PROJECT / "params.yaml")
    assert config.datasets == ("demo_photos", "demo_portrait", "demo_people", "demo_clip", "demo_rig")
    assert Path(config.output.labels) == PROJECT / "labels"


def test_overrides_replace_nested_values(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {keypoints: {backend: mediapipe}, run: {workers: 1}}\n")
    config = load_config(path, {"keypoints.backend": "annotations", "run.workers": 3})
    assert (config.keypoints.backend, config.run.workers) == ("annotations", 3)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"keypoint": {}}, "unknown setting keypoint"),
        ({"run": {"workers": 0}}, "run.workers"),
        ({"run": {"workers": "two"}}, "expected a whole number, got 'two'"),
        ({"run": {"workers": True}}, "expected a whole number, got True"),
        ({"run": {"task_runner": "slurm"}}, "one of threads, processes, dask, ray"),
        ({"body_model": {"head_fusion": "paper"}}, "unknown setting head_fusion"),
        ({"datasets": "demo_photos"}, "expected a list"),
        ({"roots": "x"}, "expected a mapping"),
        ({"run": {"retries": -1}}, "run.retries"),
        ({"run": 3}, "expected a mapping"),
        ({"smpl_to_smplx": "average"}, "conjugate, additive, copy, got 'average'"),
    ],
)
def test_a_wrong_setting_is_named(values, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_settings(AnnotateConfig, values, "params.yaml")


def test_a_missing_settings_file_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="--params"):
        load_config(tmp_path / "absent.yaml")


def test_an_override_below_a_plain_value_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {datasets: [demo_photos]}\n")
    with pytest.raises(ValueError, match="datasets is a single value"):
        load_config(path, {"datasets.x": 1})


def test_the_place_of_a_body_model_is_relative_to_the_settings(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {body_model: {path: licensed}}\n")
    assert load_config(path).body_model.path == str(tmp_path / "licensed")
    assert load_config(path, {"body_model.path": "/models"}).body_model.path == "/models"


def test_the_files_of_a_backend_are_relative_to_the_settings(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("annotate: {hands: {backend: hamer, options: {checkpoint_path: hamer.ckpt, batch_size: 8}}}\n")
    options = load_config(path).hands.options
    assert options == {"checkpoint_path": str(tmp_path / "hamer.ckpt"), "batch_size": 8, "device": "auto"}
    assert load_config(path, {"hands.options.checkpoint_path": None}).hands.options["checkpoint_path"] is None


def test_the_recipe_with_pixels_differs_in_data_sets_the_last_step_and_folders_alone():
    plain, by_pixels = (load_config(PROJECT / name) for name in ("params.yaml", "params.pixels.yaml"))
    assert plain.pixels.renderer is None
    assert by_pixels.pixels.renderer == str(PROJECT / "runs/renderer.safetensors")
    assert by_pixels.datasets == plain.datasets[:3]  # not those of people who move
    assert replace(by_pixels, datasets=plain.datasets, pixels=plain.pixels, output=plain.output) == plain


PAPER = PROJECT / "params.paper.yaml"


@pytest.fixture
def paper(tmp_path):
    """The paper's settings in a folder of their own, which has no other file."""
    path = tmp_path / PAPER.name
    path.write_bytes(PAPER.read_bytes())
    return path


@pytest.mark.parametrize(
    ("part", "backend", "place"),
    [("body", "hmr2", "hmr2/epoch=35-step=1000000.ckpt"), ("face", "smirk", "smirk/SMIRK_em1.pt")],
)
def test_another_backend_of_the_recipe_reads_its_own_file(paper, tmp_path, part, backend, place):
    config = getattr(load_config(paper, {f"{part}.backend": backend}), part)
    assert config.options == {"checkpoint_path": str(tmp_path / "licensed" / place), "device": "auto"}
    with pytest.raises(ValueError, match=place.partition("/")[2].replace("+", ".")):
        create(part, backend, **checked_options(part, config))


def test_mediapipe_in_the_recipe_gets_no_option_of_dwpose(paper):
    config = load_config(paper, {"keypoints.backend": "mediapipe"}).keypoints
    assert checked_options("keypoints", config) == {}


@pytest.mark.parametrize("first", ["body.backend", "body.options.half"])
def test_options_that_come_with_another_backend_stay(paper, first):
    overrides = {"body.backend": "hmr2", "body.options.half": True}
    overrides = {first: overrides[first], **overrides}
    assert load_config(paper, overrides).body.options["half"] is True


def test_the_same_backend_keeps_its_options(paper):
    paper.write_text("annotate: {body: {backend: hmr2, options: {checkpoint_path: a.ckpt, half: true}}}\n")
    kept = load_config(paper, {"body.backend": "hmr2"}).body.options
    assert kept == {"checkpoint_path": str(paper.parent / "a.ckpt"), "half": True, "device": "auto"}


def test_files_lie_with_the_bodies_or_in_licensed_under_any_published_name(paper, tmp_path):
    for place in ("bodies/teaser/TEASER_v1.pt", "licensed/hamer/hamer.ckpt"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()
    config = load_config(paper, {"body_model.path": str(tmp_path / "bodies")})
    assert config.face.options["checkpoint_path"] == str(tmp_path / "bodies/teaser/TEASER_v1.pt")
    assert config.hands.options["checkpoint_path"] == str(tmp_path / "licensed/hamer/hamer.ckpt")
    assert config.body.options["checkpoint_path"] == str(tmp_path / "bodies/prohmr/checkpoint.pt")


def test_null_is_no_file_and_the_route_chooses_the_files(paper):
    options = load_config(paper, {"keypoints.options.detector_path": None}).keypoints.options
    assert options["detector_path"] is None
    assert options["pose_path"].endswith("dw-ll_ucoco_384.onnx")
    options = load_config(paper, {"keypoints.options.route": "mmpose"}).keypoints.options
    assert options["pose_path"].endswith(".pth")
    assert options["config_path"].endswith("384x288.py")


def test_an_empty_path_stays_empty_and_a_number_is_named(paper):
    assert load_config(paper, {"body.options.checkpoint_path": ""}).body.options["checkpoint_path"] == ""
    with pytest.raises(ValueError, match=r"body\.options\.checkpoint_path: expected the path of a file or null, got 3"):
        load_config(paper, {"body.options.checkpoint_path": 3})


def test_one_setting_says_where_all_networks_run(paper):
    config = load_config(paper, {"run.device": "cpu"})
    assert {getattr(config, part).options["device"] for part in PARTS} == {"cpu"}
    assert checked_options("body", config.body)["device"] == "cpu"
    with pytest.raises(ValueError, match=r"body\.options\.device: is no option; run\.device says"):
        load_config(paper, {"body.options.device": "cpu"})
    with pytest.raises(ValueError, match="run: unknown setting use_gpu; known are address, cluster, device"):
        load_config(paper, {"run.use_gpu": True})
