"""Weights of networks: of the estimators, of what a training begins with, of the published renderer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.estimators.dwpose.files import (
    DETECTOR_FILE,
    LICENCE,
    MMPOSE_CHECKPOINT_FILE,
    MMPOSE_CONFIG_FILE,
    POSE_FILE,
    UpstreamFile,
)
from model.licensed_files.asset_file import RESEARCH, UNSTATED, AssetFile


def _weights(id: str, part: str, place: str, option: str = "checkpoint_path", **known: object) -> AssetFile:
    fields = {"backend": id.partition(".")[0], "part": part, "place": place, "option": option, **known}
    return AssetFile(id=id, **fields)  # type: ignore[arg-type]


def _dwpose(id: str, file: UpstreamFile, **known: object) -> AssetFile:
    fields = {"option": file.option, "holds": file.holds, "source": file.source, "licence": LICENCE, **known}
    return _weights(id, "keypoints", f"dwpose/{file.name}", **fields)  # type: ignore[arg-type]


WEIGHTS: tuple[AssetFile, ...] = (
    _dwpose(
        "dwpose.pose",
        POSE_FILE,
        route="onnx",
        sha256="724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
        num_bytes=134_399_116,
    ),
    _dwpose(
        "dwpose.detector",
        DETECTOR_FILE,
        sha256="7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411",
        num_bytes=216_746_733,
    ),
    _dwpose("dwpose.mmpose", MMPOSE_CHECKPOINT_FILE, route="mmpose", sha256="2438fd99", optional=True),
    _dwpose("dwpose.mmpose_config", MMPOSE_CONFIG_FILE, route="mmpose", optional=True),
    _weights(
        "prohmr",
        "body",
        "prohmr/checkpoint.pt",
        holds="ProHMR, body pose",
        licence="BSD-3-Clause (code)",
        source="http://visiondata.cis.upenn.edu/prohmr/data.tar.gz, member data/checkpoint.pt (reported unreachable, "
        "https://github.com/nkolot/ProHMR/issues/34; body.backend=hmr2 takes its place)",
    ),
    _weights(
        "hmr2",
        "body",
        "hmr2/epoch=35-step=1000000.ckpt",
        holds="HMR2.0b, body pose",
        licence="MIT (code)",
        source="https://people.eecs.berkeley.edu/~jathushan/projects/4dhumans/hmr2_data.tar.gz, member "
        "logs/train/multiruns/hmr2/0/checkpoints/epoch=35-step=1000000.ckpt",
    ),
    _weights(
        "hamer",
        "hands",
        "hamer/hamer.ckpt",
        holds="HaMeR, hand pose",
        licence="MIT (code)",
        source="https://www.cs.utexas.edu/~pavlakos/hamer/data/hamer_demo_data.tar.gz (5.8 GB), member "
        "_DATA/hamer_ckpts/checkpoints/hamer.ckpt",
    ),
    _weights(
        "teaser",
        "face",
        "teaser/TEASER.pt",
        other_names=("TEASER_v1.pt", "Teaser.pt"),
        holds="TEASER, face parameters",
        licence=UNSTATED,
        source="the Google Drive folder that https://github.com/julia-cherry/Teaser_official names (file id "
        "1SjYuCfDf5ElxK3VNvcF7KPBR57EIRDSY in its quick_install.sh)",
    ),
    _weights(
        "smirk",
        "face",
        "smirk/SMIRK_em1.pt",
        holds="SMIRK, face parameters",
        licence="MIT",
        source="Google Drive, file id 1T65uEd9dVLHgVw5KiUYL66NUee-MCzoE in quick_install.sh of "
        "https://github.com/georgeretsi/smirk",
        sha256="26b234e3cc31a5de226bcba4321bb5d7343a2ad48234c028b57a1c2f8c2d22d0",
        num_bytes=140_495_895,
    ),
)
"""Weights of the estimators."""


def backend_files(part: str, backend: str, options: Mapping[str, Any]) -> list[AssetFile]:
    """Returns the files that a backend takes by an option, by the route that its options choose."""
    route = options.get("route", "onnx")
    return [
        asset
        for asset in WEIGHTS
        if (asset.part, asset.backend) == (part, backend) and asset.option and asset.route in ("", route)
    ]


def check_published(part: str, backend: str, options: Mapping[str, Any]) -> None:
    """Refuses a file that has the place of published weights and is another; each is hashed once a process.

    Raises:
        ValueError: The sentence says what was expected and found, and what to do.
    """
    from model.weights import sha256_of  # It needs torch, which settings do without.

    for asset in backend_files(part, backend, options):
        path = options.get(asset.option)
        if asset.sha256 is None or not path or not asset.is_place(path) or not Path(path).is_file():
            continue
        found = sha256_of(Path(path))
        if asset.other_version(Path(path).stat().st_size, found) is not None:
            raise ValueError(
                f"{part}.options.{asset.option}: {path} is not the published {Path(asset.place).name}: expected sha256 "
                f"{asset.sha256}, got {found}; get it again from {asset.source}, or, if these are weights of your own, "
                f"give the file another name and set {part}.options.{asset.option} to it"
            )


SPIN_DATA = "http://visiondata.cis.upenn.edu/spin/data.tar.gz"

TRAINING: tuple[AssetFile, ...] = (
    AssetFile(
        id="vitpose",
        place="vitpose-b.pth",
        holds="ViTPose-B, what the regressor's backbone begins with",
        part="training",
        option="backbone_weights",
        licence="Apache-2.0",
        source="https://github.com/ViTAE-Transformer/ViTPose (ViTPose-B, simple or classic decoder, MS COCO)",
    ),
    AssetFile(
        id="spin.mean",
        place="smpl_mean_params.npz",
        holds="mean SMPL person, what the regressor's read-outs are added to",
        part="training",
        option="mean",
        licence=RESEARCH,
        source=f"{SPIN_DATA}, member data/smpl_mean_params.npz",
    ),
)
"""Files of ``params.train-paper.yaml``; ``option`` is the setting of the training that takes the path."""

TORCHVISION = "https://download.pytorch.org/models"

RENDERER: tuple[AssetFile, ...] = (
    AssetFile(
        id="guava",
        place="guava/checkpoint.pt",
        holds="GUAVA, a person's Gaussians from one picture; needs SMPL-X, FLAME and both eyelids",
        part="renderer",
        licence="Apache-2.0 (code)",
        source="Google Drive, file id 19_p1FUoJTHfb9t_S2_DpNta4nrwSXabl in the README of "
        "https://github.com/Pixel-Talk/GUAVA, member checkpoints/best_*.pt; it holds the UV map and DINOv2 too",
    ),
    AssetFile(
        id="lpips.alex",
        place="lpips/alexnet-owt-7be5be79.pth",
        holds="AlexNet, backbone of LPIPS",
        part="renderer",
        licence="BSD-3-Clause (torchvision)",
        source=f"{TORCHVISION}/alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
    ),
    AssetFile(
        id="lpips.vgg",
        place="lpips/vgg16-397923af.pth",
        holds="VGG16, backbone of LPIPS",
        part="renderer",
        licence="BSD-3-Clause (torchvision)",
        source=f"{TORCHVISION}/vgg16-397923af.pth",
        sha256="397923af",
    ),
)
"""Files of the published renderer and of the distance of pictures that it is measured by. No recipe needs them."""
