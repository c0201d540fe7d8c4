"""Subjects on benchmarks: what is written, what is refused, and real people where the samples are."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from coco_files import HEIGHT, WIDTH, coco_image, coco_person
from ply_files import write_ply
from predictions_of_photos import checkpoint, photo
from typer.testing import CliRunner

from datasets_manifest.manifest import MANIFEST_FOLDER
from flows import evaluate as flow
from flows.cli.app import app
from model.body.asset_files import Correspondence, save_body, save_correspondence
from model.body.assets import load_open_body
from tasks.body_model import ehm_assets
from tasks.evaluate.on_benchmarks import EVERY, BenchmarkRun, evaluate_on
from tasks.evaluate.open_people import ID
from tasks.evaluate.results import METADATA_KEY, METRICS, REPORT
from tasks.settings import BodyModelConfig

DATA = Path(__file__).parents[3].parent / "shared" / "data"
SAMPLE = {"version": "sample", "licence": "-", "access": "-", "adapter": "coco", "split": "val", "boxes": "manifest"}


@pytest.fixture(scope="module")
def result(root, tmp_path_factory):
    """A regressor and labels on the rendered people."""
    folder = tmp_path_factory.mktemp("benchmarks")
    manifest = yaml.safe_load((MANIFEST_FOLDER / f"{ID}.yaml").read_text())
    # The renderer takes them as they are: named by their photos' folder, they are no rendered set of these settings.
    (folder / "people.yaml").write_text(yaml.safe_dump(manifest | {"root": str(root / "data")}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.evaluate.on_benchmarks.synthesise", lambda *_, **__: None)
        done = evaluate_on(
            [str(folder / "people.yaml")], [root / "net.safetensors", root / "labels"], BenchmarkRun(folder=folder)
        )
    return folder, done


@pytest.mark.long
def test_every_subject_has_a_row_with_the_hash_of_the_data(result, root):
    folder, done = result
    results = json.loads((folder / METRICS).read_text())["results"]
    assert [own["subject"]["name"] for own in results] == [str(root / "net.safetensors"), str(root / "labels")]
    assert len({own["dataset"]["data_sha256"] for own in results}) == 1
    assert results[1]["figures"]["pa_mpjpe_mm"]["mean"] < 0.01 < 20 < results[0]["figures"]["pa_mpjpe_mm"]["mean"]
    assert f"| {root / 'net.safetensors'} | 8 of 8 |" in done.markdown
    assert done.sentence.startswith("8 people of open_people")
    assert (folder / REPORT / "tables.md").read_text() == done.markdown
    assert (folder / REPORT / "tables.csv").read_text().startswith("table,method,column,value")


@pytest.mark.long
def test_everybody_s_errors_are_kept_with_what_they_are_of(result):
    table = pq.read_table(result[0] / REPORT / "people.parquet")
    assert table.num_rows == 16
    stated = json.loads(table.schema.metadata[METADATA_KEY])
    assert [own["dataset"]["id"] for own in stated] == [ID, ID]
    assert all(len(own["dataset"]["data_sha256"]) == 64 for own in stated)


@pytest.mark.long
def test_the_best_and_the_worst_are_drawn(result):
    names = sorted(path.name for path in (result[0] / REPORT / ID).iterdir())
    kinds = [name.rpartition("_")[2].split("-", 1)[1] for name in names]
    assert {kind.split("-")[0] for kind in kinds} == {"best", "worst"}
    assert kinds.count("best-1.jpg") == kinds.count("worst-1.jpg") == 2


def test_a_data_set_that_is_not_here_says_how_to_get_it_and_benchmarks_list_it(root, tmp_path):
    with pytest.raises(ValueError, match=r"posetrack18_val: the folder .* does not exist.*posetrack.net"):
        evaluate_on(["posetrack18_val"], [root / "net.safetensors"], BenchmarkRun(folder=tmp_path))


@pytest.mark.long
def test_what_needs_licensed_meshes_says_so_with_the_open_body(result):
    missing = result[1].markdown.partition("## Missing")[2]
    assert "3DPW (Table 3): cannot be measured without a licensed file. Next: truth is of SMPL and SMPL-X" in missing
    assert "EHF (Tables 2, 4, 6): cannot be measured" in missing


@pytest.mark.long
def test_hands_of_ehf_stand_in_their_column_and_3dpw_says_its_next_file(tmp_path):
    """Two photos as EHF has them, and the open body as a folder of converted files."""
    body = load_open_body()
    for part in (body.smplx, body.flame):
        save_body(tmp_path / f"licensed/{part.kind}.npz", part)
    known = Correspondence(head=body.head_vertex_ids, hands=body.hand_vertex_ids)
    save_correspondence(tmp_path / "licensed/correspondence.npz", known)
    config = BodyModelConfig(path=str(tmp_path / "licensed"))
    (tmp_path / "net.safetensors").write_bytes(checkpoint(sha256=ehm_assets(config).sha256))
    (tmp_path / "EHF").mkdir()
    points = {"people": [{"pose_keypoints_2d": [20, 10, 1, 70, 90, 1]}]}
    for number in ("01", "02"):
        photo(tmp_path / f"EHF/{number}_img.png", 96, 100)
        (tmp_path / f"EHF/{number}_2Djnt.json").write_text(json.dumps(points))
        write_ply(tmp_path / f"EHF/{number}_align.ply", body.smplx.v_template)
    run = BenchmarkRun(folder=tmp_path, roots={"ehf": str(tmp_path / "EHF")}, body_model=config)
    told = evaluate_on(["ehf"], [tmp_path / "net.safetensors"], run).markdown
    (figures,) = (own["figures"] for own in json.loads((tmp_path / METRICS).read_text())["results"])
    hands = figures["hand_pa_pve_mm"]
    assert (figures["found"], hands["people"]) == (2, 2)
    assert 1 < hands["mean"] < 100
    assert f"{hands['mean']:.1f}*" in told.partition("## Table 2")[2].partition("## Table 3")[0]
    missing = told.partition("## Missing")[2].partition("## *")[0]
    assert "EHF (" not in missing
    assert f"put it at {tmp_path / 'licensed/evaluation/smplx2smpl.pkl'}" in missing
    assert len(list((tmp_path / REPORT / "ehf").iterdir())) == 2


def test_a_subject_twice_or_none_is_refused(root, tmp_path):
    with pytest.raises(ValueError, match="expected each once"):
        evaluate_on([ID], [root / "labels"] * 2, BenchmarkRun(folder=tmp_path))
    with pytest.raises(FileNotFoundError, match="expected a checkpoint"):
        evaluate_on([ID], [tmp_path], BenchmarkRun(folder=tmp_path))


def test_a_mistake_is_the_message_of_a_failed_run(tmp_path):
    state = flow.evaluate_benchmarks.fn(["net.safetensors"], params=str(tmp_path / "p.yaml"), overrides={"run.gpu": 1})
    assert state.is_failed()
    assert "unknown setting gpu" in state.message


@pytest.mark.long
@pytest.mark.skipif(not DATA.is_dir(), reason="the small real samples are not here")
def test_real_people_by_the_command(root, tmp_path, monkeypatch):
    """SPIN's filter keeps 7 people of COCO's sample, all limbs 3 of PoseTrack's."""
    posetrack = {"annotations": "annotations/test_posetrack18_val.json", "images": ".", "keypoint_set": "posetrack18"}
    sets = {
        "coco_wholebody_val": ("coco", {"annotations": "test_coco_wholebody.json", "images": "."}, "coco_wholebody"),
        "posetrack18_val": ("posetrack18", posetrack | {"require_limbs": True}, "coco"),
    }
    for name, (folder, layout, keypoints) in sets.items():
        stated = SAMPLE | {"id": name, "root": str(DATA / folder), "layout": layout, "keypoints": keypoints}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(stated | {"purpose": "sample"}))
    monkeypatch.chdir(tmp_path)
    named = [word for name in sets for word in ("--on", f"{name}.yaml")]
    ran = CliRunner().invoke(app, ["evaluate", str(root / "net.safetensors"), *named, "--local"])
    assert ran.exit_code == 0, ran.output
    assert "7 people of coco_wholebody_val, 3 people of posetrack18_val" in ran.output
    figures = [own["figures"] for own in json.loads((tmp_path / METRICS).read_text())["results"]]
    assert [own["found"] for own in figures] == [7, 3]
    assert all(0 <= own["pck_0_05"] <= own["pck_0_1"] < 1 for own in figures)


@pytest.mark.long
def test_a_benchmark_without_its_annotations_is_told_and_others_are_measured(root, tmp_path, monkeypatch):
    """COCO's photos with COCO-WholeBody's annotations, but not HMR2's file, and one photo is not there."""
    monkeypatch.setattr("tasks.evaluate.on_benchmarks.synthesise", lambda *_, **__: None)
    coco, other = tmp_path / "data/coco", tmp_path / "data/ubody"
    for folder in (coco / "annotations", coco / "val2017", other):
        folder.mkdir(parents=True)
    parts = {"foot_kpts": 6, "lefthand_kpts": 21, "righthand_kpts": 21, "face_kpts": 68}
    person = {name: [0] * 3 * count for name, count in parts.items()}
    person |= {f"{part}_valid": False for part in ("foot", "lefthand", "righthand", "face")}
    rows = {"images": [coco_image(1), coco_image(2)], "annotations": [coco_person(k, k, **person) for k in (1, 2)]}
    (coco / "annotations/coco_wholebody_val_v1.0.json").write_text(json.dumps(rows))
    photo(coco / "val2017/1.jpg", WIDTH, HEIGHT)
    run = BenchmarkRun(folder=tmp_path, roots={ID: str(root / "data")})
    told = evaluate_on([EVERY], [root / "net.safetensors"], run).markdown
    results = {own["dataset"]["id"]: own["figures"] for own in json.loads((tmp_path / METRICS).read_text())["results"]}
    assert list(results) == [ID, "coco_wholebody_val"]
    assert (results["coco_wholebody_val"]["people"], results["coco_wholebody_val"]["found"]) == (2, 1)
    assert "- people of the data set hmr2_coco_val cannot be read: The file " in told.partition("## Not measured")[2]
    missing = told.partition("## Missing")[2].partition("## *")[0]
    assert "UBody (Tables 2, 4, 6): cannot be measured: people of the data set ubody_test cannot be read: " in missing
    assert "; it cannot be measured without a licensed file" in missing
    assert "COCO (" not in missing
