"""``pear predict``: people of photos and videos by a trained regressor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.bar import display
from flows.cli.command_line import Settings, command_log, one_sentence, split_pairs, typed_settings
from flows.cli.stopping import stoppable
from tasks.display import clock

_WAY_ON = "the rows so far are kept; name another folder with --out, or say --overwrite to begin again."


def predict(
    inputs: Annotated[
        list[str], typer.Argument(help="Photos, videos, tar files of photos, folders of them, or patterns in quotes.")
    ],
    params: Annotated[Path | None, typer.Option("--params", help="Settings file with a section `predict`.")] = None,
    settings: Settings = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Trained network (.safetensors).")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results; default: predictions.")] = None,
    boxes: Annotated[
        str | None, typer.Option(help="keypoints: people that the backend finds; whole: the image is one person.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="keypoints.backend: what finds the people; default: mediapipe.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the backend: <name>=<value>, for example pose_path=pose.onnx.")
    ] = None,
    meshes: Annotated[str | None, typer.Option(help="Write meshes as gltf or obj.")] = None,
    overlays: Annotated[
        bool, typer.Option("--overlays", help="Draw the meshes over the photos; of a video a film, MP4.")
    ] = False,
    render: Annotated[
        bool,
        typer.Option("--render", help="Draw the people in new poses, in pictures and films: a turntable."),
    ] = False,
    motion: Annotated[
        Path | None,
        typer.Option(
            help="avatar.motion: also in the poses of a Parquet of labels or predictions, or an NPZ as AMASS has."
        ),
    ] = None,
    renderer: Annotated[
        Path | None,
        typer.Option(help="avatar.renderer: a trained renderer; default: runs/renderer.safetensors."),
    ] = None,
    rotations_only: Annotated[
        bool, typer.Option("--rotations-only", help="Only joint rotations; no body model is read, no mesh computed.")
    ] = False,
    body_model: Annotated[
        Path | None, typer.Option(help="body_model.path: folder of converted body files; default: the open body.")
    ] = None,
    every: Annotated[int | None, typer.Option(help="frames.every: of videos every n-th frame.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="frames.fps: of videos at most so many frames a second; 0: all.")
    ] = None,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Smooth the people of videos over time, with one shape a track.")
    ] = False,
    focal: Annotated[
        float | None,
        typer.Option(help="focal_px; default: what the photo's EXIF states, else 1.2 times its longer side."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="run.device: cpu, cuda, or auto (the default): a GPU if there is one.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 (the default), tf32 or bf16.")] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="run.mode: eager; compile (needs a C++ compiler) or graph (CUDA): faster for many photos."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="run.batch_size: people in a batch of the network.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace predictions in the folder.")] = False,
) -> None:
    """Predict body, hands and face of everybody in photos and videos.

    Options stand for the settings of those names. Rows go to <out>/people as Parquet, one a person; what could not be
    read or holds nobody has a row with the reason.
    """
    with stoppable(_WAY_ON), one_sentence():
        from tasks.predict.run import predict as run
        from tasks.predict.settings import load_predict_config

        log = command_log()
        stated: dict[str, Any] = {
            "checkpoint": checkpoint,
            "out": out,
            "boxes": boxes,
            "body_model.path": body_model,
            "meshes": meshes,
            "overlays": overlays or None,
            "render": render or motion is not None or None,
            "avatar.motion": motion,
            "avatar.renderer": renderer,
            "rotations_only": rotations_only or None,
            "frames.every": every,
            "frames.fps": fps,
            "smooth": smooth or None,
            "focal_px": focal,
            "run.device": device,
            "precision": precision,
            "run.mode": mode,
            "run.batch_size": batch_size,
            "overwrite": overwrite or None,
        }
        overrides = {name: str(v) if isinstance(v, Path) else v for name, v in stated.items() if v is not None}
        texts = {"keypoints.backend": backend} if backend else {}
        texts |= {
            f"keypoints.options.{name}": text
            for name, text in split_pairs(option, "--option", "pose_path=pose.onnx").items()
        }
        texts |= split_pairs(settings)
        config = load_predict_config(params, overrides | typed_settings(texts, params, "predict"))
        with display(log) as shown:
            done = run(inputs, config, shown)
    doubtful = f" ({done.doubtful} doubtful)" if done.doubtful else ""
    unread = f" and {done.unread} that cannot be read" if done.unread else ""
    empty = f" ({done.empty} without people)" if done.empty else ""
    typer.echo(
        f"photos and frames: {done.frames - done.unread}{empty}{unread}, people: {done.people}{doubtful}, "
        f"rows without a prediction: {done.failed}, time: {clock(done.seconds)}, results: {Path(config.out) / 'people'}"
    )
    if done.unlisted:
        typer.echo(f"{done.unlisted} folders or tar files cannot be looked into; their rows say why.", err=True)
    raise typer.Exit(0 if done.people and not done.unlisted else 1)
