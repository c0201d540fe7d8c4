"""What a run shows in the UI."""

from __future__ import annotations

import asyncio
import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from flows.run import artifacts
from tasks.annotate.look.failures import Failure, FailureCounts
from tasks.annotate.run.publication import WorstFit


def failure(**changes: str) -> Failure:
    return Failure(
        **{
            "dataset": "coco", "split": "val", "shard": "coco/val/00012", "step": "hands", "sample_id": "",
            "code": "shard_failed", "reason": "disk on fire", "retry": "pear retry coco/val/00012",
        }
        | changes
    )  # fmt: skip


def counted(*failures: Failure) -> FailureCounts:
    counts = FailureCounts()
    assert list(counts.counted(failures)) == list(failures)
    return counts


def noise_png(side: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def _items(markdown: str) -> list[str]:
    return [line for line in markdown.splitlines() if line.startswith("- **")]


def test_every_failure_is_a_row_with_code_reason_and_command(tmp_path):
    rows = [failure(), failure(sample_id="000042_1", step="refine", code="fit_not_finite", reason="moved 3 rad")]
    markdown = artifacts.failures_markdown(counted(*rows), tmp_path / "failures.csv")
    first, second = _items(markdown)
    assert first == "- **hands/coco/val/00012** shard\\_failed: disk on fire<br>`pear retry coco/val/00012`"
    assert "000042\\_1" in second
    assert "fit\\_not\\_finite" in second
    assert markdown.startswith("## 2 failures in 1 shard\n")
    assert str(tmp_path / "failures.csv") in markdown


def test_what_can_be_repaired_comes_first_and_codes_say_what_to_do(tmp_path):
    codes = ["estimator_refused", "image_missing", "estimator_refused", "shard_failed", "image_corrupt"]
    failures = [failure(code=code, sample_id=f"s{k}") for k, code in enumerate(codes)]
    markdown = artifacts.failures_markdown(counted(*failures), tmp_path / "failures.csv")
    assert [row.split("**")[1] for row in _items(markdown)] == ["s1", "s3", "s4", "s0", "s2"]
    assert markdown.index("## Can be repaired") < markdown.index("**s1") < markdown.index("## Not seen well enough")
    assert re.search(r"\| estimator\\_refused \| 2 \| An estimator found", markdown)


def test_many_refusals_leave_room_for_what_can_be_repaired():
    counts = FailureCounts(num_shown=3)
    rows = [failure(code="estimator_refused", sample_id=str(k)) for k in range(9)] + [failure(code="image_missing")]
    list(counts.counted(rows))
    assert [shown.code for shown in counts.shown] == ["image_missing", "estimator_refused", "estimator_refused"]


def test_a_path_is_one_word_of_a_cell(tmp_path):
    path = "/data/a-very-long/folder/of-photos/with-hyphens/and_more/photo-0001.jpg"
    (row,) = _items(artifacts.failures_markdown(counted(failure(reason=f"cannot read {path}")), tmp_path / "f.csv"))
    assert path.replace("_", "\\_") in row


def test_the_table_is_bounded_and_says_so(tmp_path):
    rows = [failure(reason="x" * 10_000) for _ in range(5000)]
    markdown = artifacts.failures_markdown(counted(*rows), tmp_path / "failures.csv")
    assert len(_items(markdown)) == 200
    assert "The first 200 of 5000 are shown." in markdown
    assert len(markdown) < 100_000


def test_every_failed_shard_is_named_however_many_there_are(tmp_path):
    failed = [*range(7, 1000), 1001, *range(99_998, 100_002)]
    rows = [failure(shard=f"coco/{split}/{index:05d}") for split in ("val", "dev") for index in failed]
    other = failure(shard="coco/val/00001", code="image_missing")
    markdown = artifacts.failures_markdown(counted(*reversed(rows), other), tmp_path / "failures.csv")
    (line,) = [line for line in markdown.splitlines() if line.startswith("Failed shards: ")]
    of = [f"`coco/{split}/{part}`" for split in ("dev", "val") for part in ("00007-00999", "01001", "99998-100001")]
    assert line == f"Failed shards: {', '.join(of)}"


@pytest.mark.parametrize("reason", ["a | b", "two\nlines", "<img src=x onerror=alert(1)>", "`code`", "![x](http://y)"])
def test_no_reason_breaks_the_table_or_becomes_markup(tmp_path, reason):
    (row,) = _items(artifacts.failures_markdown(counted(failure(reason=reason)), tmp_path / "failures.csv"))
    assert "\n" not in row
    assert row.count("`") - row.count("\\`") == 2
    assert "<" not in row.replace("<br>", "")
    assert "](" not in row


def test_a_long_reason_is_cut(tmp_path):
    (row,) = _items(artifacts.failures_markdown(counted(failure(reason="word " * 200)), tmp_path / "failures.csv"))
    assert row.endswith(" ...<br>`pear retry coco/val/00012`")
    assert len(row) < 2 * artifacts.MAX_REASON_CHARACTERS


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("pear retry a --params '/x  y/p.yaml'", "`pear retry a --params '/x  y/p.yaml'`"),
        ("pear retry a --params '/x|`y'", "`` pear retry a --params '/x|`y' ``"),
    ],
)
def test_a_command_stands_there_as_it_is_typed(tmp_path, typed, shown):
    (row,) = _items(artifacts.failures_markdown(counted(failure(retry=typed)), tmp_path / "failures.csv"))
    assert row.endswith("<br>" + shown)


def test_nothing_failed_is_said_in_words(tmp_path):
    assert "Every shard is finished" in artifacts.failures_markdown(counted(), tmp_path / "failures.csv")


def test_outside_of_a_flow_run_the_table_is_only_written(tmp_path):
    worst = WorstFit(sample_id="a#0", command="pear inspect 'a#0'", png=noise_png(8))
    verdict = artifacts.verdict_markdown("Failed", "Labels mix settings.")
    markdown = artifacts.publish_artifacts(verdict, counted(), worst, tmp_path / "new" / "failures.csv")
    assert markdown.startswith("# Failed\n\nLabels mix settings.\n")
    assert (tmp_path / "new" / "failures.md").read_text(encoding="utf-8") == markdown


def test_a_small_png_stays_as_it_is():
    assert artifacts.shrink_png(noise_png(32)) == noise_png(32)


def test_a_large_picture_is_shrunk_to_the_limit():
    data = artifacts.shrink_png(noise_png(1000))
    assert len(data) <= artifacts.MAX_PICTURE_BYTES
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert min(image.size) >= 320


def test_bytes_that_are_no_picture_are_refused():
    with pytest.raises(ValueError, match="the overlay is not a picture"):
        artifacts.shrink_png(b"<html>")


def test_keys_are_what_prefect_accepts():
    for key in (artifacts.FAILURES_KEY, artifacts.OVERLAY_KEY):
        assert re.fullmatch(r"[a-z0-9-]+", key)


def test_a_flow_run_has_both_artifacts(api, tmp_path):
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
    from prefect.context import FlowRunContext

    picture = noise_png(16)

    @flow(name="publishes-artifacts")
    def publishes():
        worst = WorstFit(sample_id="coco/val/7.jpg#0", command="pear inspect 'coco/val/7.jpg#0'", png=picture)
        artifacts.publish_artifacts("# Failed", counted(failure()), worst, tmp_path / "failures.csv")
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        return context.flow_run.id

    async def read(run_id):
        async with get_client() as client:
            return await client.read_artifacts(
                artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]))
            )

    found = {artifact.key: artifact.data for artifact in asyncio.run(read(publishes()))}
    assert found.keys() == {artifacts.FAILURES_KEY, artifacts.OVERLAY_KEY}
    assert "coco/val/00012" in found[artifacts.FAILURES_KEY]
    assert base64.b64encode(picture).decode() in found[artifacts.OVERLAY_KEY]
    assert "`pear inspect 'coco/val/7.jpg#0'`" in found[artifacts.OVERLAY_KEY]
