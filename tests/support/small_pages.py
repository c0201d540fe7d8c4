"""Pages of runs with few and small pictures: drawing takes most of a run of a few people."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest


@contextmanager
def small_pages(tile_px: int = 64) -> Iterator[None]:
    """Runs inside write such pages."""
    from model.renderer.overlay import encode_png
    from tasks.report.page import draw_label
    from tasks.report.settings import ReportConfig
    from tasks.report.track_cards import frames_of

    few = {"tile_px": tile_px, "num_worst": 2, "num_worst_of_part": 0, "num_random": 0}
    plot = encode_png(np.full((8, 8, 3), 255, np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.report.data.ReportConfig", partial(ReportConfig, **few))
        patch.setattr("tasks.report.page.error_plot_png", lambda _: plot)
        patch.setattr("tasks.report.track_cards.frames_of", partial(frames_of, num=2))
        small = lambda photo, label, body, _: draw_label(photo, label, body, tile_px)  # noqa: E731
        patch.setattr("tasks.annotate.run.publish.draw_label", small)
        yield
