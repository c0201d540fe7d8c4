"""What a training shows in the Prefect UI: tables of errors and losses, the curves, the last overlays."""

from __future__ import annotations

import base64

from flows.run.artifacts import shrink_png
from tasks.training.engine.prepared import TrainResult

RESULT_KEY = "regressor"
CURVE_KEY = "training-curve"
OVERLAY_KEY = "held-out-overlays"


def publish_train_artifacts(result: TrainResult) -> None:
    """Puts the result on the page of the present flow run; the files on disk are complete without it."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(result.markdown, key=RESULT_KEY, description=result.sentence)
    create_markdown_artifact(
        picture_markdown("Training curve", result.plot.read_bytes()),
        key=CURVE_KEY,
        description="Loss and held-out errors by step",
    )
    if result.overlays is not None:
        create_markdown_artifact(
            picture_markdown("Held-out people", result.overlays.read_bytes()),
            key=OVERLAY_KEY,
            description="Crop with the label's keypoints, prediction over it, prediction and label from the side",
        )


def picture_markdown(title: str, picture: bytes) -> str:
    """A picture inside Markdown, small enough for Prefect's database.

    Raises:
        ValueError: The bytes are no picture.
    """
    data = base64.b64encode(shrink_png(picture)).decode("ascii")
    return f"# {title}\n\n![{title}](data:image/png;base64,{data})\n"
