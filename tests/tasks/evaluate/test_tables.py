"""The paper's tables with ours beside them: what is published stays as it is printed, what is missing says so."""

import csv
import io

import pytest

from datasets_manifest.manifest import manifest_ids
from tasks.evaluate.published import BENCHMARKS, TABLES
from tasks.evaluate.tables import MISSING, Measured, csv_text, markdown

OURS = Measured(
    figures={
        "net": {
            "coco": {"pck_0_05": 0.714, "pck_0_1": 1.0, "people": 7, "found": 6},
            "ehf": {"hand_pa_pve_mm": {"mean": 12.84, "median": 11.0, "people": 99}, "people": 100, "found": 99},
        },
        "labels": {},
    },
    missing={"posetrack": "is not here. Register at posetrack.net", "ubody": "is not here. Fill in a form"},
)


@pytest.fixture(scope="module")
def told():
    return markdown(OURS)


def lines_of(told, method):
    return [line.strip("| ").split("|") for line in told.splitlines() if line.startswith(f"| {method} ")]


def test_published_rows_have_a_number_or_a_dash_in_every_column():
    assert [table.number for table in TABLES] == [1, 2, 3, 4, 6]
    for table in TABLES:
        for method, numbers in table.rows.items():
            assert len(numbers) == len(table.columns), (table.number, method)
            assert all(number == "-" or float(number) > 0 for number in numbers)
    assert TABLES[2].rows["PEAR"] == (*["100", ".81", ".94", ".55", ".81", ".87", ".97", "71.3", "45.3", "59.3"],)
    assert TABLES[0].rows["PEAR"] == ("0.72", "1.22", "3.36", "0.99")


def test_every_column_is_of_a_benchmark_and_either_measured_or_says_what_it_lacks():
    for table in TABLES:
        for column in table.columns:
            own = BENCHMARKS[column.benchmark]
            assert bool(column.figure) == bool(own.protocol) != bool(own.lacks), column.title
    absent = {"agora_validation"}  # its truth needs a login and is not that of the column
    assert {name for each in BENCHMARKS.values() for name in each.manifests} - absent <= set(manifest_ids())


def test_ours_stand_in_their_columns_marked_as_not_comparable(told):
    row = lines_of(told, "net")[2]  # of table 3
    assert [cell.strip() for cell in row[2:4]] == [".71*", "1.00*"]
    assert "net: 6 of 7 people found" in told
    assert lines_of(told, "net")[1][1].strip() == "12.8*"  # of table 2
    assert "Not to be compared with the published numbers" in told


def test_nothing_is_blank_or_zero_and_what_is_missing_has_its_reason(told):
    for method in ("net", "labels"):
        for row in lines_of(told, method):
            for cell in row[1:]:
                assert cell.strip() == MISSING or cell.strip().endswith("*")
    missing = told.partition("## Missing")[2].partition("## *")[0]
    assert "PoseTrack (Tables 3, 4): is not here. Register at posetrack.net" in missing
    assert "UBody (Tables 2, 4, 6): is not here. Fill in a form" in missing
    assert "AGORA (Table 3): the column is of the test set" in missing
    assert "COCO" not in missing


def test_the_csv_has_a_line_for_every_cell():
    rows = list(csv.DictReader(io.StringIO(csv_text(OURS))))
    cells = sum(len(table.columns) * (len(table.rows) + len(OURS.figures)) for table in TABLES)
    assert len(rows) == cells
    assert all(row["value"] for row in rows)
    ours = [row for row in rows if row["source"] == "measured"]
    assert {(row["table"], row["column"], row["value"], row["comparable"]) for row in ours} == {
        *((table, "COCO .05", ".71", "no") for table in "34"),
        *((table, "COCO .1", "1.00", "no") for table in "34"),
        *((table, "EHF hands, mm", "12.8", "no") for table in "246"),
    }
    assert all(row["note"] for row in rows if row["value"] == MISSING)
