"""The viewer draws and counts as `pear audit` does, from its index alone."""

import numpy as np
import pyarrow as pa
import pytest
from label_shards import footer
from table_rows import table_from_rows
from whole_labels import failed, person, write

from datasets_manifest.reviews.verdicts import read_verdicts
from datasets_manifest.schema.labels import LABEL_SCHEMA
from datasets_manifest.shards.shard import Shard
from datasets_manifest.shards.store import write_shard
from tasks.review.audit import Audit, run_audit
from tasks.review.verdict import judge
from tasks.view.draw import audit_of, audit_result, drawn_rows
from tasks.view.index import LabelIndex
from tasks.view.index_file import open_index
from tasks.view.query import Query


@pytest.fixture
def labels(tmp_path):
    """40 people of two data sets, some of whose faces are refused, some bridged, some without a label."""
    rng = np.random.default_rng(0)
    for dataset in ("demo", "other"):
        rows = [person(n, rng, dataset=dataset, face_valid=n % 3 > 0) for n in range(18)]
        rows += [person(50, rng, dataset=dataset, status="partial", error_code="bridged", face_valid=False)]
        write(tmp_path / "labels", [*rows, failed(60, rng, dataset=dataset)])
    return tmp_path / "labels"


@pytest.mark.parametrize("among", ["valid", "refused"])
@pytest.mark.parametrize("datasets", [(), ("other",)])
def test_the_sample_and_its_result_are_those_of_the_command(labels, tmp_path, among, datasets):
    audit = Audit(part="face", among=among, size=8, seed=3, datasets=datasets)
    query = Query(audit=audit.tag)
    assert audit_of(query) == audit
    index = LabelIndex(open_index(labels, tmp_path / "view"))
    rows = drawn_rows(index, query)
    assert tuple(index.ids(rows)) == run_audit(labels, None, audit).sample
    assert audit_result(index, query, rows, None) == run_audit(labels, None, audit)
    for sample, verdict in zip(index.ids(rows), ("accept", "reject", "flag", "", "accept"), strict=False):
        if verdict:
            judge(labels, tmp_path / "reviews", sample, {"face": verdict}, reviewer="me", audit=audit.tag)
    verdicts = read_verdicts(tmp_path / "reviews", audit=audit.tag)
    found = audit_result(index, query, rows, verdicts)
    assert (found.judged, found.unsure) == (3, 1)
    assert found == run_audit(labels, verdicts, audit)
    # Whoever was judged first comes out anew, in the same file.
    rng = np.random.default_rng(9)
    first = index.rows(rows[:1])[0]
    (path,) = labels.glob(f"{first['dataset']}/*/*.parquet")
    with Shard(path) as shard:
        table = shard.table(LABEL_SCHEMA)
    k = table["sample_id"].to_pylist().index(first["sample_id"])
    moved = table_from_rows([person(int(index.ids(rows)[0].split("/")[2].split(".")[0]), rng, dataset=first["dataset"],
                                    face_valid=among == "valid")], LABEL_SCHEMA)  # fmt: skip
    write_shard(path, pa.concat_tables([table.slice(0, k), moved, table.slice(k + 1)]).unify_dictionaries(), footer())
    index = LabelIndex(open_index(labels, tmp_path / "view"))
    found = audit_result(index, query, drawn_rows(index, query), verdicts)
    assert (found.judged, found.stale) == (2, 1)
    assert found == run_audit(labels, verdicts, audit)


@pytest.mark.parametrize(
    "tag", ["", "x", "0-0-face-valid", "0-5-foot-valid", "0-5-face-both", "1-5-face", "0-5-face-a-", "0-5-face-valid@"]
)
def test_a_tag_that_names_no_audit_is_refused(tag):
    with pytest.raises(ValueError, match="audit"):
        Audit.of_tag(tag)


@pytest.mark.parametrize(("seed", "datasets"), [(-1, ()), (0, ("coco",)), (0, ("my.photos-2", "coco_wholebody"))])
def test_a_tag_says_what_is_audited(seed, datasets):
    audit = Audit(part="left_hand", among="refused", size=5, seed=seed, datasets=datasets)
    assert Audit.of_tag(audit.tag) == audit


def test_nobody_to_draw_is_said(labels, tmp_path):
    index = LabelIndex(open_index(labels, tmp_path / "view"))
    with pytest.raises(ValueError, match="has no refused body"):
        drawn_rows(index, Query(audit="0-5-body-refused@nobody"))
