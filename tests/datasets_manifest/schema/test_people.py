"""People are counted as people, photos without people as photos."""

from label_shards import label_table
from table_rows import table_from_rows

from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.schema.people import PeopleCount, is_bridged, is_empty_photo


def rows(*people):
    """Label rows of (photo, status, error code)."""
    flags = dict.fromkeys(("body_valid", "left_hand_valid", "right_hand_valid", "face_valid"), False)
    key = {"dataset": "demo", "split": "all"} | flags
    return table_from_rows(
        [
            key
            | {"sample_id": f"demo/all/{image}#{number}", "image": image, "person": number}
            | {"status": status, "error_code": code}
            for number, (image, status, code) in enumerate(people)
        ],
        LABEL_SCHEMA,
    )


def test_a_photo_without_people_is_no_person():
    table = rows(
        ("1.jpg", "partial", "keypoints_too_few"),
        ("2.jpg", "failed", "no_person_found"),
        ("3.jpg", "failed", "no_person_found"),
    )
    assert is_empty_photo(table).tolist() == [False, True, True]
    count = PeopleCount.of(table)
    assert count.sentence == "3 photos: 1 person (1 partial), 2 photos without people"
    assert (count.people, count.rows, count.failed_share) == (1, 3, 0)


def test_other_failures_are_failed_people():
    count = PeopleCount.of(
        rows(("1.jpg", "ok", None), ("1.jpg", "failed", "fit_not_finite"), ("2.jpg", "failed", "image_missing"))
    )
    assert count.sentence == "2 photos: 3 people (1 ok, 2 failed)"
    assert count.failed_share == 2 / 3


def test_who_is_bridged_has_a_label_and_was_not_found():
    table = rows(
        ("1.jpg", "ok", None), ("2.jpg", "partial", "bridged"), ("3.jpg", "partial", "bridged"),
        ("4.jpg", "partial", "estimator_refused"), ("5.jpg", "failed", "fit_not_finite"),
    )  # fmt: skip
    assert is_bridged(table).tolist() == [False, True, True, False, False]
    count = PeopleCount.of(table)
    assert count.sentence == "5 photos: 5 people (1 ok, 1 partial, 1 failed, 2 bridged)"
    assert (count.people, count.partial, count.bridged, count.failed_share) == (5, 3, 2, 1 / 3)


def test_counts_add_up_and_nothing_is_nobody():
    one, other = PeopleCount.of(label_table()), PeopleCount.of(label_table(image="b.jpg", failed=0))
    assert one + other == PeopleCount(ok=5, failed=1, photos=2)
    assert PeopleCount.of(LABEL_SCHEMA.empty_table()).sentence == "0 photos: 0 people"
