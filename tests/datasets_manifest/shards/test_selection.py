"""A selection is one data set of one config, body and convention; every row is in it or counted with its reason."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from label_shards import footer
from table_rows import table_from_rows
from whole_labels import LISTS, failed, person, write

from datasets_manifest.schema.ehm_fields import BodySize
from datasets_manifest.schema.labels import LABEL_SCHEMA, PART_NAMES, SCHEMA_VERSION, label_schema
from datasets_manifest.settings import read_settings
from datasets_manifest.shards.label_filter import LabelFilter
from datasets_manifest.shards.label_sets import LabelSet, check_same_body, check_splits, unlike_settings
from datasets_manifest.shards.selection import select_labels
from datasets_manifest.shards.selection_columns import COLUMNS, QUALITIES, WHO_IS_WHO
from datasets_manifest.shards.selection_file import read_selections, write_selections
from datasets_manifest.shards.store import shard_path, write_shard


def select(folder, rule=None, *, max_dropped_share=1.0, **expected):
    return select_labels(folder, rule, max_dropped_share=max_dropped_share, **expected)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_every_row_is_kept_or_counted_with_its_first_reason(tmp_path, rng):
    none = {f"{part}_valid": False for part in PART_NAMES}
    write(
        tmp_path,
        [
            person(0, rng),
            failed(1, rng),
            person(2, rng, status="partial", error_code="body_not_found", body_valid=False),
            person(3, rng, **none),
            person(4, rng, **dict.fromkeys(QUALITIES, 0.1)),
            person(5, rng, **dict.fromkeys(QUALITIES)),
            person(6, rng, bbox_xyxy=[0.0, 0.0, 8.0, 9.0]),
            person(7, rng, betas=None),
            person(8, rng, keypoints_2d=None),
        ],
    )
    selection = select(tmp_path, LabelFilter(min_quality=0.2, min_box_px=10))
    assert selection.table["image"].to_pylist() == ["0.jpg", "2.jpg"]
    assert selection.dropped == {
        "failed with fit_not_finite": 1,
        "no valid body or left_hand or right_hand or face of quality 0.2": 3,
        "box smaller than 10 px": 1,
        "no betas": 1,
        "no keypoints_2d": 1,
    }
    assert "2 of 9 people of demo supervise" in selection.sentence
    only_ok = select(tmp_path, LabelFilter(statuses=("ok",), require=("body",)))
    assert only_ok.dropped["status partial"] == 1
    assert only_ok.num_rows + sum(only_ok.dropped.values()) == 9


def test_a_frame_in_which_nobody_was_found_is_neither_taken_nor_missed(tmp_path, rng):
    """Whatever its flags say: nothing there was seen."""
    code = {"status": "partial", "error_code": "bridged"}
    write(tmp_path, [person(0, rng), person(1, rng, **code), failed(2, rng)])
    selection = select(tmp_path, max_dropped_share=0.5)
    assert selection.table["image"].to_pylist() == ["0.jpg"]
    assert selection.dropped == {"failed with fit_not_finite": 1}


def test_who_is_who_is_known_of_groups_alone(tmp_path, rng):
    write(tmp_path / "photos", [person(0, rng)])
    known = [{"group": "scene", "track": 3}, {"group": "scene", "track": None}]
    rows = [person(number, rng, **own) for number, own in enumerate(known)]
    write(tmp_path / "groups", rows, schema=label_schema(in_groups=True))
    photos, groups = (select(tmp_path / name) for name in ("photos", "groups"))
    assert photos.table.column_names == list(COLUMNS)
    assert groups.table.column_names == [*COLUMNS, *WHO_IS_WHO]
    assert groups.table.select(WHO_IS_WHO).to_pylist() == known
    stamp = write_selections(tmp_path / "both.arrow", [photos, groups])
    for one, other in zip((photos, groups), read_selections(tmp_path / "both.arrow", stamp), strict=True):
        assert other.table.select(COLUMNS).equals(one.table.select(COLUMNS))
        assert other.table["track"].to_pylist() == (one.table["track"].to_pylist() if one is groups else [None])


def test_a_part_of_low_quality_does_not_supervise_and_the_others_do(tmp_path, rng):
    """A portrait has a good face on a body that nobody saw."""
    write(tmp_path, [person(0, rng, body_quality=0.08, left_hand_quality=None)])
    selection = select(tmp_path, LabelFilter(min_quality=0.4))
    valid = [bool(selection.array(f"{part}_valid")[0]) for part in PART_NAMES]
    assert dict(zip(PART_NAMES, valid, strict=True)) == {
        "body": False, "left_hand": False, "right_hand": True, "face": True
    }  # fmt: skip


def test_a_face_without_a_body_is_counted_and_not_kept(tmp_path, rng):
    """Nothing says how its head is turned, so it would supervise nothing; a hand or a stated turn is enough."""
    alone = dict.fromkeys(("body_valid", "left_hand_valid", "right_hand_valid"), False)
    empty = dict.fromkeys(("global_orient", "body_pose"))
    write(
        tmp_path,
        [
            person(0, rng, **alone, **empty),
            person(1, rng, **alone),
            person(2, rng, **alone | {"left_hand_valid": True}, **empty),
        ],
    )
    selection = select(tmp_path)
    assert selection.dropped == {"a face without a body, so without a turn of the head": 1}
    assert selection.table["image"].to_pylist() == ["1.jpg", "2.jpg"]
    with pytest.raises(ValueError, match=r"1 of 3 rows"):
        select(tmp_path, max_dropped_share=0.2)


def test_columns_come_back_as_matrices(tmp_path, rng):
    rows = [person(n, rng) for n in range(3)]
    write(tmp_path, rows[:2])
    write(tmp_path, rows[2:], shard=1)
    selection = select(tmp_path)
    assert selection.table.column_names == list(COLUMNS)
    for name in set(LISTS) & set(COLUMNS):
        expected = np.stack([np.asarray(row[name]).reshape(LISTS[name]) for row in rows])
        got = selection.array(name)
        assert got.dtype == (bool if name in ("joint_seen", "body_group_valid") else np.float32)
        np.testing.assert_array_equal(got, expected.astype(got.dtype))
    np.testing.assert_array_equal(selection.array("face_valid"), [True] * 3)
    np.testing.assert_array_equal(selection.array("focal_px"), [500.0] * 3)


def test_gaps_of_parts_that_do_not_supervise_are_filled(tmp_path, rng):
    unsaid = ("body_group_valid", "eyes_valid", "eyelids_valid", *QUALITIES)
    empty = ("left_hand_pose", "flame_shape", "eye_pose", "head_scale", "joint_seen", "image_width")
    absent = dict.fromkeys((*unsaid, *empty))
    flags = {"left_hand_valid": False, "face_valid": False}
    write(tmp_path, [person(0, rng), person(1, rng, **absent, **flags)])
    selection = select(tmp_path)
    assert selection.num_rows == 2
    assert not any(column.null_count for column in selection.table.columns)
    assert not selection.array("left_hand_pose")[1].any()
    assert not selection.array("flame_shape")[1].any()
    np.testing.assert_array_equal(selection.array("head_scale")[1], [1, 1, 1])
    assert selection.array("joint_seen")[1].all()
    assert selection.array("body_group_valid")[1].all()
    assert not selection.array("eyes_valid")[1]
    assert [selection.array(name)[1] for name in QUALITIES] == [1] * 4
    assert selection.array("image_width").tolist() == [100, 0]
    assert selection.array("left_hand_pose")[0].any()


def test_a_number_that_is_not_finite_never_reaches_a_model(tmp_path, rng):
    rows = [person(0, rng), person(1, rng), person(2, rng, face_valid=False)]
    table = table_from_rows(rows, LABEL_SCHEMA)
    for name, bad in (("flame_shape", (1, 2)), ("body_pose", ())):
        values = np.stack([np.reshape(row[name], -1) for row in rows]).astype(np.float32)
        values[list(bad), 3] = np.nan
        index = LABEL_SCHEMA.get_field_index(name)
        table = table.set_column(index, LABEL_SCHEMA.field(name), pa.array(list(values), LABEL_SCHEMA.field(name).type))
    write_shard(shard_path(tmp_path, "demo", "train", 0), table, footer())
    selection = select(tmp_path)
    assert selection.dropped == {"flame_shape is not finite": 1}
    assert selection.table["image"].to_pylist() == ["0.jpg", "2.jpg"]
    assert not selection.array("flame_shape")[1].any()


def test_more_than_the_stated_share_is_never_dropped_silently(tmp_path, rng):
    write(tmp_path, [person(n, rng) for n in range(7)] + [failed(n, rng) for n in range(7, 10)])
    assert select(tmp_path, max_dropped_share=0.3).num_rows == 7
    with pytest.raises(
        ValueError, match=r"3 of 10 rows .* left out \(3 x failed with fit_not_finite\), .* share of 0\.25"
    ):
        select(tmp_path, max_dropped_share=0.25)


def test_exactly_the_stated_share_may_be_dropped(tmp_path, rng):
    write(tmp_path, [person(n, rng) for n in range(71)] + [failed(n, rng) for n in range(71, 100)])
    assert select(tmp_path, max_dropped_share=0.29).num_rows == 71


def test_an_empty_result_says_why(tmp_path, rng):
    write(tmp_path, [person(0, rng), failed(1, rng)])
    with pytest.raises(
        ValueError, match=r"is left to train on \(1 x failed with fit_not_finite, 1 x no valid .* of quality 0\.9"
    ):
        select(tmp_path, LabelFilter(min_quality=0.9))


def test_the_test_split_is_for_who_asks_for_it(tmp_path, rng):
    write(tmp_path, [person(0, rng)])
    write(tmp_path, [person(1, rng, split="test")])
    with pytest.raises(ValueError, match=r"1 rows of the split test, which is not for training"):
        select(tmp_path)
    assert select(tmp_path, LabelFilter(splits=("train",))).table["split"].to_pylist() == ["train"]
    assert select(tmp_path, LabelFilter(splits=("test",))).num_rows == 1
    with pytest.raises(ValueError, match=r"the splits test, train, asked for is val"):
        select(tmp_path, LabelFilter(splits=("val",)))


def test_a_split_that_no_set_has_is_refused_by_name(tmp_path, rng):
    write(tmp_path / "a", [person(0, rng)])
    write(tmp_path / "b", [person(0, rng, split="val")])
    found = [select(tmp_path / name, LabelFilter(splits=("train", "val", "trian"))) for name in "ab"]
    with pytest.raises(ValueError, match=r"No label set has the split trian .*; present are train, val\.$"):
        check_splits(found, ("train", "val", "trian"))
    check_splits(found, ("train", "val"))
    check_splits(found, ())


def test_rows_of_other_splits_are_not_dropped_rows(tmp_path, rng):
    write(tmp_path, [person(0, rng)])
    write(tmp_path, [person(1, rng, split="val"), failed(2, rng, split="val")])
    selection = select(tmp_path, LabelFilter(splits=("train",)), max_dropped_share=0.0)
    assert (selection.num_rows, selection.dropped) == (1, {})


def test_mixed_configs_bodies_and_data_sets_are_refused(tmp_path, rng):
    write(tmp_path / "a", [person(0, rng)])
    write(tmp_path / "a", [person(1, rng)], shard=1, config={"weight": 2})
    with pytest.raises(ValueError, match="demo/train are of 2 settings"):
        select(tmp_path / "a")
    write(tmp_path / "b", [person(0, rng)])
    write(tmp_path / "b", [person(1, rng)], shard=1, body_model={"name": "other", "sha256": "99"})
    with pytest.raises(ValueError, match=r"mix the bodies open \(11, .*\) and other \(99, .*\)"):
        select(tmp_path / "b")
    write(tmp_path / "c", [person(0, rng)])
    write(tmp_path / "c", [person(1, rng, dataset="more")])
    with pytest.raises(ValueError, match="the data sets demo, more"):
        select(tmp_path / "c")


def test_splits_of_two_settings_are_learnt_from_one_at_a_time(tmp_path, rng):
    write(tmp_path, [person(0, rng)])
    write(tmp_path, [person(1, rng, split="val")], config={"solver": {"iterations": 30}, "weights": [1.0, 0.25]})
    hashes = [select(tmp_path, LabelFilter(splits=(split,))).snapshot_hash for split in ("train", "val")]
    assert hashes == [select(tmp_path / "demo" / split).snapshot_hash for split in ("train", "val")]
    told = r"demo/train of \w{12}, demo/val of \w{12} \(solver\.iterations is 30, not 20\).*filter\.splits"
    with pytest.raises(ValueError, match=told):
        select(tmp_path)


def test_label_sets_of_two_settings_are_told_apart(tmp_path, rng):
    write(tmp_path / "a", [person(0, rng)])
    write(tmp_path / "b", [person(0, rng)], config={"solver": {"iterations": 30}, "weights": [1.0, 0.25]})
    write(tmp_path / "c", [person(0, rng)], config={"step": "synthesise"})
    one, other, rendered = (select(tmp_path / name) for name in "abc")
    (told,) = unlike_settings([one, rendered, other, one])
    assert re.search(r"b \(\w{12}\) .* in \S+a \(\w{12}\): solver\.iterations is 30, not 20$", told)


def test_photos_without_people_are_no_people_left_out(tmp_path, rng):
    write(tmp_path, [person(0, rng), failed(1, rng) | {"error_code": "no_person_found"}])
    assert select(tmp_path, max_dropped_share=0.0).sentence.endswith(": 1 of 1 people of demo supervise.")


def test_another_body_is_refused_with_both_names(tmp_path, rng):
    write(tmp_path, [person(0, rng)])
    assert select(tmp_path, body_model={"name": "open", "sha256": "11"}).body_model["name"] == "open"
    with pytest.raises(ValueError, match=r"are of the body open \(11, .*\), expected is smplx \(abc, .*\)"):
        select(tmp_path, body_model={"name": "smplx", "sha256": "abc"})


def test_another_fusion_of_the_same_body_is_refused(tmp_path, rng):
    body = {"name": "open", "sha256": "11"}
    write(tmp_path / "old", [person(0, rng)])
    write(tmp_path / "new", [person(0, rng)], body_model=body | {"fusion": "paper"})
    select(tmp_path / "old", body_model=body | {"fusion": "blended"})
    with pytest.raises(ValueError, match=r"open \(11, fusion blended\), expected is open \(11, fusion paper\)"):
        select(tmp_path / "old", body_model=body | {"fusion": "paper"})
    one, other = (select(tmp_path / name) for name in ("old", "new"))
    with pytest.raises(ValueError, match=r"open \(11, fusion blended\), those in .* of open \(11, fusion paper\)"):
        check_same_body([one, other])


def test_kept_vertices_are_part_of_a_fused_body(tmp_path, rng):
    body = {"name": "open", "sha256": "11", "fusion": "paper"}
    write(tmp_path, [person(0, rng)], body_model=body | {"kept_sha256": "ab"})
    select(tmp_path, body_model=body | {"kept_sha256": "ab"})
    with pytest.raises(
        ValueError, match=r"fusion paper with kept vertices ab\), expected is open \(11, fusion paper\)"
    ):
        select(tmp_path, body_model=body)


def test_sets_of_different_bodies_are_refused_together(tmp_path, rng):
    write(tmp_path / "a", [person(0, rng)])
    write(tmp_path / "b", [person(0, rng)], body_model={"name": "smplx", "sha256": "abc"})
    one, other = select(tmp_path / "a"), select(tmp_path / "b")
    assert check_same_body([one, one])["name"] == "open"
    with pytest.raises(ValueError, match=r"a are of the body open \(11, .*\), those in .*b of smplx \(abc, .*\)"):
        check_same_body([one, other])


def test_labels_with_other_numbers_of_coefficients(tmp_path, rng):
    lists = LISTS | {"betas": (16,), "flame_shape": (20,)}
    schema = label_schema(BodySize(num_betas=16, num_flame_shape=20))
    write(tmp_path, [person(0, rng, lists=lists)], schema=schema)
    write(tmp_path, [person(1, rng, lists=lists)], shard=1, schema=schema)
    selection = select(tmp_path, size=BodySize(num_betas=16, num_flame_shape=20))
    assert selection.array("betas").shape == (2, 16)
    with pytest.raises(ValueError, match=r"betas has 16 numbers a row, expected are 10.* \(1 other shard"):
        select(tmp_path)


@pytest.mark.parametrize(
    ("column", "note", "stated"),
    [("global_orient", "frame", "world: z up"), ("keypoints_2d", "unit", "1"), ("bbox_xyxy", "frame", "")],
)
def test_another_coordinate_convention_is_refused_with_both_sides(tmp_path, rng, column, note, stated):
    field = LABEL_SCHEMA.field(column)
    metadata = dict(field.metadata) | {note.encode(): stated.encode()}
    other = LABEL_SCHEMA.set(LABEL_SCHEMA.get_field_index(column), field.with_metadata(metadata))
    write(tmp_path, [person(0, rng)], schema=other)
    expected = field.metadata[note.encode()].decode()
    with pytest.raises(ValueError, match=f"{column} has the {note} '{stated or 'unstated'}', .* '{expected}'"):
        select(tmp_path)


def test_another_schema_version_is_named(tmp_path, rng):
    write(tmp_path, [person(0, rng)], schema_version=99)
    with pytest.raises(ValueError, match=f"schema version 99, this program reads version {SCHEMA_VERSION}"):
        select(tmp_path)


def test_labels_of_the_first_schema_version_are_read(tmp_path, rng):
    old = LABEL_SCHEMA.remove(LABEL_SCHEMA.get_field_index("joint_seen"))
    row = {name: value for name, value in person(0, rng).items() if name != "joint_seen"}
    write(tmp_path, [row], schema=old, schema_version=1)
    assert select(tmp_path).array("joint_seen").all()


def test_the_snapshot_hash_follows_rows_and_config_only(tmp_path, rng):
    rows = [person(n, rng) for n in range(3)]
    write(tmp_path / "a", rows)
    write(tmp_path / "b", rows, created_utc="1970-01-01", code_version="other")
    write(tmp_path / "c", rows[:2])
    write(tmp_path / "d", rows, config={"weight": 2})
    write(tmp_path / "e", rows[::-1])
    a, b, c, d, e = (select(tmp_path / name).snapshot_hash for name in "abcde")
    assert a == b
    assert len({a, c, d, e}) == 4


def test_hidden_and_absent_folders(tmp_path):
    with pytest.raises(ValueError, match="There is no folder of labels"):
        select(tmp_path / "labels")
    with pytest.raises(ValueError, match="There is no shard"):
        select(tmp_path)


def test_the_filter_agrees_with_one_written_in_arrow(tmp_path, rng):
    rows = [
        person(
            n,
            rng,
            **{name: rng.random() for name in QUALITIES},
            **{f"{part}_valid": bool(rng.random() < 0.4) for part in PART_NAMES},
        )
        for n in range(60)
    ]
    write(tmp_path, rows)
    rule = LabelFilter(min_quality=0.4, require=("left_hand", "face"))
    table = pq.read_table(tmp_path)
    good = [
        pc.and_(table[f"{part}_valid"], pc.greater_equal(table[f"{part}_quality"], pa.scalar(0.4, pa.float32())))
        for part in ("left_hand", "face")
    ]
    expected = table.filter(pc.or_(*good))
    assert select(tmp_path, rule).table["image"].to_pylist() == expected["image"].to_pylist()


@pytest.mark.parametrize(
    "bad",
    [
        {"min_quality": 1.5},
        {"min_box_px": -1.0},
        {"min_box_px": float("nan")},
        {"statuses": ["failed"]},
        {"require": []},
        {"require": ["torso"]},
        {"splits": "train"},
    ],
)
def test_impossible_filters_are_refused(bad):
    with pytest.raises(ValueError, match=rf"{next(iter(bad))}(\[0\])?: expected"):
        read_settings(LabelFilter, bad, "filter")


@pytest.mark.parametrize("bad", [{"weight": 0}, {"weight": float("inf")}, {"path": ""}, {"images": None}])
def test_impossible_label_sets_are_refused(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}: expected"):
        read_settings(LabelSet, {"path": "labels", "images": "photos"} | bad, "set")


def test_an_impossible_share_is_refused(tmp_path):
    with pytest.raises(ValueError, match="max_dropped_share: expected"):
        select(tmp_path, max_dropped_share=1.1)


def test_settings_are_values():
    assert read_settings(LabelFilter, {"splits": ["val"]}, "filter") == LabelFilter(splits=("val",))
