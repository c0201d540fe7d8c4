"""``pear export``: labels and predictions in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.bar import display
from flows.cli.command_line import Params, Settings, command_log, one_sentence, parse_settings
from flows.cli.stopping import stoppable


def export(
    datasets: Annotated[list[str] | None, typer.Argument(help="Ids of data sets; default: all.")] = None,
    to: Annotated[
        str,
        typer.Option(
            help="Of motion, one file a track: amass (SMPL-X), amass-smplh (SMPL+H), bvh, glb, the last two also of "
            "photos; of people: smplx-npz, humandata, coco-wholebody."
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
    params: Params = Path("params.yaml"),
    settings: Settings = None,
) -> None:
    """Write people, or the motion of tracks, from their labels or predictions for other programs to read.

    Files of before are replaced. What of them no label says is told, and stands in export.json beside them; their terms
    stand in LICENCE.txt.
    """
    with stoppable("run the same command again; it writes all files anew."), one_sentence():
        from datasets_manifest.paths import placed
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
        )
        if predictions is None:
            if body_model is not None:
                raise ValueError("--body-model is for predictions; that of labels stands in the settings (body_model)")
            config = load_config(params, parse_settings(settings, params))
            labels, body = Workspace.of(config.output).labels, labelled_body(config)
            with display(command_log()) as shown:
                written = export_labels(labels, body, request, shown)
        else:
            if datasets:
                raise ValueError(f"{', '.join(datasets)}: predictions have no data sets; leave --predictions or these")
            config = BodyModelConfig(path=None if body_model is None else str(placed(body_model)))
            written = export_predictions(placed(predictions), config, request)
        for exported in written:
            for line in exported.lines():
                typer.echo(line)
