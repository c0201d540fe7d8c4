"""Columns come back as arrays as they went in, whether they are written as arrays, as Arrow or value by value."""

import numpy as np
import pyarrow as pa
import pytest

from datasets_manifest.schema.columns import Columns, joined, table_from_columns
from datasets_manifest.schema.evidence import pack_arrays
from datasets_manifest.schema.fields import fixed_length
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.part_files import KEYPOINTS_SCHEMA, PART_SCHEMAS, PLAN_SCHEMA
from datasets_manifest.schema.table_hash import table_hash, table_hashes

COUNT = 5


def columns(count=COUNT, **changes):
    rng = np.random.default_rng(count)
    base = {
        "sample_id": [f"demo/all/a.jpg#{n}" for n in range(count)],
        "dataset": ["demo"] * count,
        "split": ["all"] * count,
        "image": ["a.jpg"] * count,
        "person": np.arange(count),
        "status": ["ok"] * count,
        **{f"{part}_valid": np.ones(count, bool) for part in ("body", "left_hand", "right_hand", "face")},
        "body_pose": rng.normal(size=(count, 21, 3)).astype(np.float32),
        "quality": rng.uniform(size=count).astype(np.float32),
        "iterations": np.arange(count),
        "joint_seen": rng.uniform(size=(count, 22)) > 0.5,
    }
    return base | changes


def test_arrays_come_back_with_the_shape_that_the_field_states():
    given = columns()
    back = Columns(table_from_columns(given, LABEL_SCHEMA))
    for name, values in given.items():
        np.testing.assert_array_equal(back[name], np.asarray(values), name)
        assert back[name].shape == np.shape(values), name
        assert back.has(name).all()
    assert back["body_pose"].dtype == np.float32
    assert back["joint_seen"].dtype == bool


def test_an_absent_column_has_no_value_in_any_row():
    back = Columns(table_from_columns(columns(), LABEL_SCHEMA))
    for name in set(LABEL_SCHEMA.names) - set(columns()):
        assert not back.has(name).any(), name
        values = back[name]
        length = fixed_length(LABEL_SCHEMA.field(name))
        assert values.size == COUNT * (length or 1)
        if values.dtype.kind == "f":
            assert np.isnan(values).all()
        elif values.dtype == object:
            assert set(values) == {None}
        else:
            assert not values.any()


def test_rows_without_a_value_are_nan_false_zero_and_none():
    given = columns(
        body_pose=[None if n == 1 else np.full(63, n) for n in range(COUNT)],
        joint_seen=[None if n == 2 else np.ones(22, bool) for n in range(COUNT)],
        quality=[None if n == 3 else 0.5 for n in range(COUNT)],
        iterations=[None if n == 4 else 7 for n in range(COUNT)],
        error_detail=["why" if n == 0 else None for n in range(COUNT)],
    )
    back = Columns(table_from_columns(given, LABEL_SCHEMA))
    assert np.isnan(back["body_pose"][1]).all()
    np.testing.assert_array_equal(back["body_pose"][[0, 2, 3, 4], 20, 2], [0, 2, 3, 4])
    assert not back["joint_seen"][2].any()
    assert back["joint_seen"][[0, 1, 3, 4]].all()
    assert np.isnan(back["quality"][3])
    np.testing.assert_array_equal(back["iterations"], [7, 7, 7, 7, 0])
    assert list(back["error_detail"]) == ["why", None, None, None, None]
    np.testing.assert_array_equal(back.has("iterations"), [True, True, True, True, False])


def test_arrow_columns_pass_as_they_are_and_are_checked_all_the_same():
    first = table_from_columns(columns(), LABEL_SCHEMA)
    again = table_from_columns({name: first[name] for name in first.column_names}, LABEL_SCHEMA)
    assert again.equals(first)
    short = pa.array([[1.0, 2.0]] * COUNT, pa.list_(pa.float32()))
    with pytest.raises(ValueError, match=r"a\.jpg#0': body_pose must have 63 numbers"):
        table_from_columns(columns(body_pose=short), LABEL_SCHEMA)


def test_a_whole_array_of_another_shape_or_with_a_nan_is_refused_by_the_samples_name():
    with pytest.raises(ValueError, match="body_pose must have 63 numbers"):
        table_from_columns(columns(body_pose=np.zeros((COUNT, 20, 3))), LABEL_SCHEMA)
    broken = columns()["body_pose"].copy()
    broken[3, 2, 1] = np.inf
    with pytest.raises(ValueError, match=r"a\.jpg#3': body_pose holds a value that is not finite"):
        table_from_columns(columns(body_pose=broken), LABEL_SCHEMA)
    with pytest.raises(ValueError, match="same number of rows"):
        table_from_columns(columns(quality=np.zeros(COUNT + 1)), LABEL_SCHEMA)


def test_sigma_may_be_infinite_in_an_array():
    names = ("sample_id", "dataset", "split", "image", "person", "status")
    given = {name: columns()[name] for name in names} | {"sigma_px": np.full((COUNT, 133), np.inf)}
    assert np.isinf(Columns(table_from_columns(given, KEYPOINTS_SCHEMA))["sigma_px"]).all()


def test_parts_of_a_table_are_joined_in_the_order_of_their_places():
    whole = table_from_columns(columns(error_code=["no_person_found"] * COUNT, status=["failed"] * COUNT), LABEL_SCHEMA)
    order = np.array([3, 0, 4, 1, 2])
    parts = [whole.take(pa.array(order[:2])), whole.take(pa.array(order[2:]))]
    assert joined(parts, LABEL_SCHEMA, [order[:2], order[2:]]).equals(whole)
    assert joined([whole.slice(0, 2), whole.slice(2)], LABEL_SCHEMA).equals(whole)
    assert joined([], LABEL_SCHEMA).schema.equals(LABEL_SCHEMA, check_metadata=True)
    with pytest.raises(ValueError, match="occurs twice"):
        joined([whole, whole], LABEL_SCHEMA)


def test_taken_rows_are_those_of_the_numbers_or_of_the_mask():
    whole = Columns(table_from_columns(columns(), LABEL_SCHEMA))
    np.testing.assert_array_equal(whole.take(np.array([4, 0]))["person"], [4, 0])
    np.testing.assert_array_equal(whole.take(whole["person"] > 2)["person"], [3, 4])
    assert whole.take(np.zeros(COUNT, bool)).num_rows == 0


def test_a_table_without_rows_gives_arrays_without_rows():
    empty = Columns(LABEL_SCHEMA.empty_table())
    assert empty["body_pose"].shape == (0, 21, 3)
    assert empty["status"].shape == (0,)


def hashed_rows():
    """Rows with absent values, categories, lists and named arrays."""
    given = {
        "sample_id": [f"demo/all/{n}.jpg#0" for n in range(COUNT)],
        "dataset": ["demo"] * COUNT,
        "split": ["all"] * COUNT,
        "image": [f"{n}.jpg" for n in range(COUNT)],
        "person": np.arange(COUNT),
        "image_width": [None, 3, 4, None, 6],
        "status": ["ok", "failed", "ok", "partial", "ok"],
        "error_code": [None, "no_person_found", None, "box_invalid", None],
        "bbox_xyxy": [None if n == 2 else np.arange(4) + n for n in range(COUNT)],
        **pack_arrays([None, {"a": np.ones(2)}, {}, {"a": np.zeros(2), "b": np.float32(3)}, None], "truth"),
    }
    return table_from_columns(given, PLAN_SCHEMA)


def test_the_hash_of_a_table_is_that_of_its_values_not_of_its_buffers():
    table = hashed_rows()
    cut = pa.concat_tables([table.slice(0, 2), table.slice(2)])
    wider = joined([table.slice(2), table.slice(0, 2)], PLAN_SCHEMA, [np.arange(2, COUNT), np.arange(2)])
    assert table_hash(table) == table_hash(cut) == table_hash(wider) == table_hash(hashed_rows())
    assert table_hash(table.slice(1, 3)) == table_hash(pa.table(table.slice(1, 3).to_pydict(), schema=PLAN_SCHEMA))


@pytest.mark.parametrize("counts", [(5,), (1, 1, 1, 1, 1), (2, 0, 3), (0, 4, 1), (3, 2, 0)])
def test_hashes_of_pieces_are_those_of_the_pieces_alone(counts):
    table, first, alone = hashed_rows(), 0, []
    more = [[b"x" * count, b"y"] for count in counts]
    for count, own in zip(counts, more, strict=True):
        piece = pa.Table.from_pylist(table.slice(first, count).to_pylist(), schema=PLAN_SCHEMA)
        alone.append(table_hash(piece, own))
        first += count
    assert table_hashes(table, counts, more) == alone


def value_of(kind):
    """Some value of a type."""
    if pa.types.is_struct(kind):
        return {part.name: value_of(part.type) for part in kind}
    if pa.types.is_map(kind):
        return [("k", value_of(kind.item_type))]
    if pa.types.is_list(kind):
        return [value_of(kind.value_type)]
    others = {pa.string(): "a", pa.binary(): b"a", pa.bool_(): True}
    return others.get(kind.value_type if pa.types.is_dictionary(kind) else kind, 1)


@pytest.mark.parametrize("field", PART_SCHEMAS["plan"], ids=lambda field: field.name)
def test_rows_without_a_value_have_the_hash_that_they_have_beside_one(field):
    schema = pa.schema([pa.field(field.name, field.type)])
    mixed = pa.table([pa.array([None] * 9 + [value_of(field.type)], field.type)], schema=schema)
    nulls = pa.table([pa.nulls(9, field.type)], schema=schema)
    assert table_hashes(mixed, [9, 1], [[], []])[0] == table_hash(nulls)
    assert table_hashes(nulls, [2, 0, 7], [[], [], []]) == [table_hash(nulls.slice(0, count)) for count in (2, 0, 7)]


def test_the_hash_of_a_table_is_that_of_before():
    # What plans were hashed with: another hash would do all that was annotated again.
    assert table_hash(hashed_rows(), [b"x"]) == "b55846d27c374b32e7e35884127fdc80e157e3153020cc68422cfd2b55fa0dcb"


def test_the_hash_of_a_table_changes_with_any_value():
    table = hashed_rows()
    hashes = {table_hash(table), table_hash(table, [b"x"]), table_hash(table.slice(1)), table_hash(table, [b"", b"x"])}
    for name in table.column_names:
        if not pa.types.is_map(table.schema.field(name).type):
            turned = table[name].take(pa.array([1, 0, 2, 4, 3]))
            hashes.add(table_hash(table.set_column(table.column_names.index(name), table.schema.field(name), turned)))
    constant = {"dataset", "split"} | {name for name in table.column_names if table[name].null_count == COUNT}
    maps = {"truth", "truth_shape"}
    assert len(hashes) == 4 + len(set(table.column_names) - constant - maps)
