"""Labels, predictions and checkpoints on rendered people: who is found, what counts, and the row of `open_people`."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from predictions_of_photos import checkpoint
from scipy.spatial.transform import Rotation

from datasets_manifest.manifest import load_manifest, open_source
from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.ehm_fields import LABEL_PARAMETERS
from datasets_manifest.schema.group_columns import lens_columns
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.people import found_rows
from datasets_manifest.schema.predictions import prediction_id, prediction_schema
from datasets_manifest.schema.truth_3d import Truth3d
from datasets_manifest.shards.shard import Shard, read_shard
from datasets_manifest.shards.store import write_shard
from model.body.assets import load_open_body
from model.body.keypoint_body import KeypointBody
from model.body.skeleton import KEYPOINT_JOINT
from tasks.evaluate.agora import AGORA_ERRORS
from tasks.evaluate.extremes import HEADLINES, _chosen, file_name
from tasks.evaluate.label_errors import posed_points
from tasks.evaluate.mesh_errors import JOINT_ERRORS, WHOLE_ERRORS
from tasks.evaluate.open_people import ID, data_hash, figures_of, head_row, row_of, with_scenes
from tasks.evaluate.people_errors import ERRORS, PeopleErrors, all_limbs, figure_of
from tasks.evaluate.reference import known_people
from tasks.evaluate.subjects import CheckpointSubject, LabelSubject, PredictionSubject, subject_of
from tasks.synthetic.asked import pictures_of
from tasks.synthetic.person import SyntheticConfig
from tasks.synthetic.render import SCENE_FILE, TRUTH_FILE

COUNT = 8


def measured(subject, manifest, **settings):
    errors = PeopleErrors(load_open_body(), **settings)
    for said in subject.say(manifest, known_people(manifest), open_source(manifest)):
        errors.add(said)
    return errors


def labels(root, folder="labels"):
    return LabelSubject(folder=root / folder, assets=load_open_body(), name="truth")


@pytest.fixture(scope="module")
def of_truth(root, manifest):
    return measured(labels(root), manifest)


def rewritten(root, folder, table):
    with Shard(root / "labels" / ID / "test/00000.parquet") as shard:
        footer = shard.footer
    path = root / folder / ID / "test/00000.parquet"
    path.parent.mkdir(parents=True)
    write_shard(path, table, footer)


def truth(root):
    return read_shard(root / "data" / TRUTH_FILE, LABEL_SCHEMA)


def test_points_of_labels_behind_a_lens_are_where_the_lens_shows_them(root, manifest, of_truth):
    table = truth(root)
    lens = {
        "lens_model": ["brown"] * COUNT,
        "lens_coefficients": [[8.0, 0.0, 0.0, 0.0, 0.0]] * COUNT,
        "focal_xy_px": [[focal, focal] for focal in table["focal_px"].to_pylist()],
    }
    for field in lens_columns():
        table = table.append_column(field, pa.array(lens[field.name], field.type))
    rewritten(root, "behind_a_lens", table)
    right = [errors.pck.compute()[0.05] for errors in (of_truth, measured(labels(root, "behind_a_lens"), manifest))]
    assert right[0] > 0.95
    assert right[1] < right[0] - 0.05, "the annotated points are those of a pinhole"


def test_truth_has_no_error_where_it_is_shown(of_truth, root):
    people, known = of_truth.table(), Columns(truth(root))
    assert people["found"].to_pylist() == found_rows(known.table).tolist()  # of somebody no part is seen
    assert of_truth.false_people == 0
    for name in set(ERRORS) - {"hand_pa_pve_mm", "points_pa_mm", *WHOLE_ERRORS, *JOINT_ERRORS, *AGORA_ERRORS}:
        values = people[name].to_numpy(zero_copy_only=False).astype(float)
        assert np.nanmax(np.abs(values)) < (0.05 if name == "orient_deg" else 1e-2), name
    shown = {"pa_mpjpe_mm": "body", "head_pa_mm": "face", "left_hand_pa_pve_mm": "left_hand"}
    for name, part in shown.items():
        has = [value is not None for value in people[name].to_pylist()]
        assert has == known[f"{part}_valid"].tolist(), name
    assert of_truth.pck.compute() == {0.05: 1.0, 0.1: 1.0}


def test_who_is_not_found_has_no_error_and_another_find_is_false(root, manifest):
    table = truth(root)
    boxes = table["bbox_xyxy"].to_pylist()
    boxes[2] = [0, 0, 3, 3]
    place = table.schema.get_field_index("bbox_xyxy")
    table = table.set_column(place, table.schema.field(place), pa.array(boxes, table.schema.field(place).type))
    rewritten(root, "moved", table.slice(0, COUNT - 1))
    errors = measured(labels(root, "moved"), manifest)
    expected = found_rows(truth(root))
    expected[[2, -1]] = False
    assert errors.table()["found"].to_pylist() == expected.tolist()
    assert errors.table()["pa_mpjpe_mm"].to_pylist()[2] is None
    assert errors.false_people == 1


def test_a_label_s_own_flags_change_nothing(root, manifest, of_truth):
    table = truth(root)
    place = table.schema.get_field_index("face_valid")
    table = table.set_column(place, table.schema.field(place), pa.array([False] * COUNT))
    rewritten(root, "modest", table)
    assert measured(labels(root, "modest"), manifest).table().equals(of_truth.table())


def test_predictions_are_found_by_their_photo_s_name(root, manifest, of_truth):
    known = Columns(truth(root))
    same = ["image_width", "image_height", "status", "error_code", "bbox_xyxy", "focal_px", "principal_px"]
    sources = [f"elsewhere/{name}" for name in known["image"]]
    columns = {name: known.table[name] for name in (*same, *LABEL_PARAMETERS)}
    columns |= {"source": sources, "sample_id": [prediction_id(name, None, 0) for name in sources]}
    columns |= {"person": np.zeros(COUNT, np.int16)}
    with Shard(root / "data" / TRUTH_FILE) as shard:
        write_shard(root / "people/00000.parquet", table_from_columns(columns, prediction_schema()), shard.footer)
    subject = subject_of(root / "people", load_open_body())
    assert isinstance(subject, PredictionSubject)
    assert measured(subject, manifest).table().equals(of_truth.table())
    other = dataclasses.replace(manifest, root=str(root))
    with pytest.raises(ValueError, match="has no photo of the data set open_people"):
        list(subject.say(other, [], open_source(other)))


@pytest.fixture(scope="module")
def of_network(root, manifest):
    subject = subject_of(root / "net.safetensors", load_open_body())
    assert isinstance(subject, CheckpointSubject)
    assert subject.stated["step"] == 7
    return measured(subject, manifest)


def test_a_checkpoint_sees_the_annotated_people(of_network, of_truth):
    people = of_network.table()
    assert people["found"].to_pylist() == [True] * COUNT
    assert figure_of(people, "pa_mpjpe_mm").mean > 20
    assert figure_of(people, "hand_pa_pve_mm").people == figure_of(of_truth.table(), "hand_pa_pve_mm").people
    assert of_network.pck.compute()[0.05] < 1


def test_hands_of_a_person_are_one_person(of_network):
    people = of_network.table()
    both = [people[f"{side}_hand_pa_pve_mm"].to_numpy(zero_copy_only=False) for side in ("left", "right")]
    own = [np.nanmean(pair) for pair in np.stack(both, 1).astype(float) if np.isfinite(pair).any()]
    assert figure_of(people, "hand_pa_pve_mm") == pytest.approx((np.mean(own), np.median(own), len(own)))


def test_spin_s_filter_keeps_people_with_all_limbs(root, manifest):
    kept = measured(labels(root), manifest, keeps=all_limbs).table()
    seen = Columns(truth(root))["keypoints_2d"][:, 5:17, 2] > 0
    assert kept.num_rows == seen.all(1).sum() < COUNT


@pytest.mark.parametrize("are", ["keypoints", "joints"])
def test_points_that_are_known_in_3d_are_measured_in_any_frame(root, manifest, are):
    """Turned, grown and moved; of the first three points are known, which tell nothing, of the second one is off."""
    keypoints, joints = posed_points(Columns(truth(root)), KeypointBody(load_open_body()))
    points = keypoints.astype(float)
    if are == "joints":
        places = {point: joint for point, joint in KEYPOINT_JOINT.items() if point < 17}
        points[:, list(places)] = joints[:, list(places.values())]
    turn = Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix()
    known = np.concatenate([0.7 * points @ turn.T + 2.0, np.ones((COUNT, 133, 1))], 2).astype(np.float32)
    known[:, 1:5, 3] = known[0, 8:, 3] = known[0, 0, 3] = 0
    known[1, 5, 0] += 0.1
    truths = [Truth3d(frame="world", keypoints_m=own, points_are=are) for own in known]

    def real(record):
        person = dataclasses.replace(record.people[0], truth=None, truth_3d=truths[int(record.image_id[-6:])])
        return dataclasses.replace(record, people=(person,))

    errors = PeopleErrors(load_open_body())
    for said in labels(root).say(manifest, map(real, known_people(manifest)), open_source(manifest)):
        errors.add(said)
    people = errors.table()
    off = people["points_pa_mm"].to_numpy(zero_copy_only=False).astype(float)
    assert np.isnan(off[0])
    assert off[1] > 5
    assert np.nanmax(off[2:]) < 0.01
    assert people["pa_mpjpe_mm"].null_count == COUNT


def test_other_bodies_and_other_files_are_refused(root, manifest, tmp_path):
    (tmp_path / "net.safetensors").write_bytes(checkpoint(sha256="0" * 64))
    with pytest.raises(ValueError, match="this evaluation uses open_body"):
        subject_of(tmp_path / "net.safetensors", load_open_body())
    with pytest.raises(FileNotFoundError, match="expected a checkpoint"):
        subject_of(tmp_path, load_open_body())
    with pytest.raises(FileNotFoundError, match="is not a file"):
        subject_of(tmp_path / "absent.safetensors", load_open_body())
    with pytest.raises(ValueError, match="has no labels of the data set open_people, split all"):
        measured(labels(root), dataclasses.replace(manifest, split="all"))


def test_the_hash_is_of_pictures_and_truth(root, manifest):
    records, images = list(known_people(manifest)), open_source(manifest)
    before = data_hash(records, images)
    assert data_hash(records, images) == before
    person = dataclasses.replace(records[0].people[0], bbox_xyxy=np.zeros(4, np.float32))
    moved = [dataclasses.replace(records[0], people=(person,)), *records[1:]]
    assert data_hash(moved, images) != before
    assert data_hash(records[:-1], images) != before
    truth = Truth3d(frame="camera", model="smpl", parameters={"betas": np.ones(10)})
    for changed in (
        dataclasses.replace(records[0].people[0], truth_3d=truth),
        dataclasses.replace(records[0].people[0], truth_3d=dataclasses.replace(truth, gender="male")),
    ):
        assert data_hash([dataclasses.replace(records[0], people=(changed,)), *records[1:]], images) != before


def test_a_row_has_a_cell_of_every_group(of_network, root):
    people = with_scenes(of_network.table(), root / "data" / SCENE_FILE)
    result = {"figures": figures_of(people), "data_sha256": "0123456789abcdef"}
    row = row_of("net", result)
    assert len(row) == len(head_row()[0])
    assert (row[0], row[1], row[-1]) == ("net", f"{COUNT} of {COUNT}", "01234567")
    crops = people["crop"].to_pylist()
    assert result["figures"]["found"]["whole"] == [crops.count("full")] * 2
    bodies = [crop in ("full", "upper") for crop in crops]
    assert result["figures"]["found"]["child"][1] + result["figures"]["found"]["adult"][1] == sum(bodies)


def test_the_benchmark_has_every_crop_and_children():
    config = pictures_of(load_manifest(ID).typed_layout)
    assert isinstance(config, SyntheticConfig)
    assert min(config.crop_shares) > 0
    assert config.child_share > 0.3
    assert load_manifest(ID).never_train


def test_people_in_millimetres_are_refused(root, manifest):
    table = truth(root)
    far = [None if own is None else [1000 * value for value in own] for own in table["transl_m"].to_pylist()]
    place = table.schema.get_field_index("transl_m")
    table = table.set_column(place, table.schema.field(place), pa.array(far, table.schema.field(place).type))
    rewritten(root, "millimetres", table)
    with pytest.raises(ValueError, match="times as large as its box, expected about 1; transl_m has to be metres"):
        measured(labels(root, "millimetres"), manifest)


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("bbox_xyxy", lambda own: [np.nan, *own[1:]], "bbox_xyxy holds a value that is not finite"),
        ("body_pose", lambda own: own[:60], "body_pose must have 63 numbers, got 60"),
        ("focal_px", lambda own: np.inf, "focal_px is not finite"),
    ],
)
def test_values_that_no_writer_writes_are_refused_with_file_and_person(root, manifest, name, change, told):
    table = truth(root)
    values = table[name].to_pylist()
    row = next(k for k, own in enumerate(values) if own is not None)
    values[row] = change(values[row])
    place = table.schema.get_field_index(name)
    table = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    rewritten(root, f"broken_{name}", table)
    with pytest.raises(ValueError, match=rf"00000.parquet: Sample '{table['sample_id'][row].as_py()}': {told}"):
        measured(labels(root, f"broken_{name}"), manifest)


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_the_best_and_the_worst_are_other_people_but_of_one_who_is_alone(count):
    names = [*HEADLINES]
    people = pa.table({"image": [str(k) for k in range(count)], "person": [0] * count}
                      | {name: pa.array([None] * count, pa.float64()) for name in names[1:]}
                      | {names[0]: pa.array(np.arange(count, dtype=float))})  # fmt: skip
    told = sorted(_chosen(people).values())
    wanted = {0: [], 1: ["worst-1"], 2: ["best-1", "worst-1"]}
    assert told == wanted.get(count, [f"{kind}-{k}" for kind in ("best", "worst") for k in (1, 2, 3)])


def test_files_of_subjects_are_named_apart():
    names = ["net.safetensors", "runs/net", "runs_net!", "runs net", "人", "犬", "..", "x" * 300]
    files = [file_name(name) for name in names]
    assert files[:2] == ["net.safetensors", "runs_net"]
    assert len(set(files)) == len(names)
    assert all(len(name) < 120 and name.isascii() and "/" not in name for name in files)
