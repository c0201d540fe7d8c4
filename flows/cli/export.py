"""``pear export``: labels and predictions in the formats of others."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.bar import display
from flows.cli.command_line import Params, Settings, command_log, one_sentence, parse_settings
from flows.cli.stopping import stoppable

if TYPE_CHECKING:
    from datasets_manifest.reviews.verdicts import ReviewRule
    from datasets_manifest.sources.image_source import ImageSource
    from fitting.delta_theta import DeltaTheta
    from tasks.annotate.workspace import Workspace
    from tasks.settings import BodyModelConfig


def export(
    datasets: Annotated[list[str] | None, typer.Argument(help="Ids of data sets; default: all.")] = None,
    to: Annotated[
        str,
        typer.Option(
            help="Of motion, one file a track: amass (SMPL-X), amass-smplh (SMPL+H), bvh, glb, the last two also of "
            "photos; of people: smplx-npz, humandata, coco-wholebody, hmr2-tar; for their evaluation: agora, ehf."
        ),
    ] = "amass",
    out: Annotated[Path, typer.Option(help="Folder of the files: <out>/<format>/<data set>/<split>/...")] = Path(
        "exports"
    ),
    predictions: Annotated[
        Path | None, typer.Option(help="In place of labels: the folder `people` of pear predict, or a file in it.")
    ] = None,
    body_model: Annotated[
        Path | None, typer.Option(help="Of predictions: folder of converted body files; default: the open body.")
    ] = None,
    together: Annotated[
        bool, typer.Option("--together", help="All data sets in one file, photos named <data set>/<photo>.")
    ] = False,
    mixed_terms: Annotated[
        bool, typer.Option("--mixed-terms", help="Let data sets of differing terms into one file.")
    ] = False,
    licensed_mesh: Annotated[
        bool, typer.Option("--licensed-mesh", help="Write meshes of a licensed body; they may not be passed on.")
    ] = False,
    reviews: Annotated[
        Path | None, typer.Option(help="Folder of verdicts of people on these labels, to be obeyed.")
    ] = None,
    review_rule: Annotated[
        str, typer.Option(help="drop_rejected or only_accepted: which verdicts a part needs to be trusted.")
    ] = "drop_rejected",
    params: Params = Path("params.yaml"),
    settings: Settings = None,
) -> None:
    """Write people, or the motion of tracks, from their labels or predictions for other programs to read.

    Files of before are replaced. What of them no label says is told, and stands in export.json beside them; their terms
    stand in LICENCE.txt.
    """
    with stoppable("run the same command again; it writes all files anew."), one_sentence():
        from datasets_manifest.paths import placed
        from datasets_manifest.reviews.verdicts import read_verdicts
        from tasks.annotate.provenance import labelled_body
        from tasks.annotate.settings import load_config
        from tasks.annotate.workspace import Workspace
        from tasks.export.run import ExportRequest, export_labels, export_predictions
        from tasks.settings import BodyModelConfig

        request = ExportRequest(
            form=to,
            out=placed(out),
            datasets=tuple(datasets or ()),
            together=together,
            mixed_terms=mixed_terms,
            licensed_mesh=licensed_mesh,
            verdicts=None if reviews is None else read_verdicts(placed(reviews)),
            review_rule=_rule(review_rule),
        )
        if predictions is None:
            if body_model is not None:
                raise ValueError("--body-model is for predictions; that of labels stands in the settings (body_model)")
            config = load_config(params, parse_settings(settings, params))
            workspace = Workspace.of(config.output)
            request = dataclasses.replace(
                request,
                photos=partial(_photos, workspace),
                transfer=partial(_transfer, config.body_model, workspace.work),
            )
            with display(command_log()) as shown:
                written = export_labels(workspace.labels, labelled_body(config), request, shown)
        else:
            if reviews is not None:
                raise ValueError("--reviews: verdicts are about labels, not about predictions; leave one of the two")
            if datasets:
                raise ValueError(f"{', '.join(datasets)}: predictions have no data sets; leave --predictions or these")
            body = BodyModelConfig(path=None if body_model is None else str(placed(body_model)))
            with TemporaryDirectory() as folder:
                request = dataclasses.replace(request, transfer=partial(_transfer, body, Path(folder)))
                written = export_predictions(placed(predictions), body, request)
        for exported in written:
            for line in exported.lines():
                typer.echo(line)


def _rule(text: str) -> ReviewRule:
    from datasets_manifest.reviews.verdicts import RULES

    if text not in RULES:
        raise ValueError(f"--review-rule {text}: expected one of {', '.join(RULES)}")
    return text


def _photos(workspace: Workspace, dataset: str, split: str) -> ImageSource:
    """Where the photos of a data set are read from."""
    from tasks.annotate.photos import PhotoReader

    return PhotoReader.of_dataset(workspace, (dataset, split), 0).source


def _transfer(body: BodyModelConfig, work: Path) -> DeltaTheta | None:
    """The way from SMPL to a body; None where SMPL's files are not beside its own."""
    from tasks.annotate.delta_theta import delta_theta

    if body.path is not None and not (Path(body.path) / "smpl.npz").is_file():
        return None
    return delta_theta(body, work)
