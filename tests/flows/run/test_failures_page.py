"""What a person sees in the browser after a run with failures: real server, real run, headless Chromium."""

from __future__ import annotations

import io

import numpy as np
import pytest
from chromium import browse, needs_browser, picture_of
from PIL import Image
from prefect_api import of_run

from flows.run import artifacts
from tasks.annotate.look.failures import Failure, FailureCounts
from tasks.annotate.run.publication import WorstFit

pytestmark = needs_browser


def _gradient_png() -> bytes:
    ramp = np.linspace(0, 255, 320, dtype=np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], np.uint8(128)), axis=-1)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


@pytest.fixture
def failed_run(api, tmp_path) -> str:
    """A flow run with one failed task and its artifacts; its id."""
    from prefect import flow, task
    from prefect.context import FlowRunContext
    from prefect.states import Failed

    found = {}

    @task(task_run_name="hands/coco/val/00012")
    def hands():
        raise RuntimeError("disk on fire")

    @flow(name="fails-in-the-browser")
    def fails():
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        found["id"] = str(context.flow_run.id)
        hands.submit().wait()
        common = {"dataset": "coco", "split": "val", "shard": "coco/val/00012", "retry": "pear retry coco/val/00012"}
        failures = [
            Failure(step="hands", sample_id="", code="shard_failed", reason="disk on fire " * 12, **common),
            Failure(step="refine", sample_id="42_1", code="fit_not_finite", reason="<b>moved</b> | 3 rad", **common),
        ]
        counts = FailureCounts()
        assert len(list(counts.counted(failures))) == 2
        worst = WorstFit(sample_id="coco/val/000012.jpg#0", command="pear inspect a", png=_gradient_png())
        verdict = artifacts.verdict_markdown("Failed", "1 shard failed (coco/00012).")
        artifacts.publish_artifacts(verdict, counts, worst, tmp_path / "failures.csv")
        return Failed(message="1 of 1 shards failed")

    assert fails(return_state=True).is_failed()
    return found["id"]


def _artifact_page(api: str, run_id: str, key: str) -> str:
    (artifact,) = of_run(api, "artifacts", run_id, artifacts={"key": {"any_": [key]}})
    return f"{api.removesuffix('/api')}/artifacts/artifact/{artifact['id']}"


def test_the_failed_shard_is_on_the_page(api, failed_run, tmp_path):
    page = _artifact_page(api, failed_run, artifacts.FAILURES_KEY)
    dom = browse(page, tmp_path / "profile")
    for text in ("coco/val/00012", "shard_failed", "disk on fire", "pear retry coco/val/00012", "fit_not_finite"):
        assert text in dom
    assert "<table" in dom
    assert "<b>moved</b>" not in dom
    picture_of(page, tmp_path)


def test_the_worst_overlay_is_drawn(api, failed_run, tmp_path):
    page = _artifact_page(api, failed_run, artifacts.OVERLAY_KEY)
    pixels = picture_of(page, tmp_path)
    blue_gradient = (abs(pixels[..., 2].astype(int) - 128) < 3) & (np.ptp(pixels[..., :2], axis=-1) > 20)
    assert blue_gradient.mean() > 0.01


def test_the_run_page_names_the_failed_task_run(api, failed_run, tmp_path):
    page = f"{api.removesuffix('/api')}/runs/flow-run/{failed_run}"
    assert "hands/coco/val/00012" in browse(page, tmp_path / "profile")
    picture_of(page, tmp_path)
