"""Every file that the paper's recipes need: where it goes below one root folder, what it is for, who gives it out.

Nothing here fetches anything. The converted bodies (``smplx.npz`` and the like) lie in the root itself, so that the
root is what ``body_model.path`` names; the files they are made from lie in ``official/``, network weights in a folder
of each estimator.

A published hash says whether the file of that name is the publisher's. Under its other names, and where the settings
name a path of their own, it may be another version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from model.estimators.dwpose.files import (
    DETECTOR_FILE,
    LICENCE,
    MMPOSE_CHECKPOINT_FILE,
    MMPOSE_CONFIG_FILE,
    POSE_FILE,
    UpstreamFile,
)

PAPER_BACKENDS: Mapping[str, str] = MappingProxyType(
    {"keypoints": "dwpose", "body": "prohmr", "hands": "hamer", "face": "teaser"}
)
"""Part to backend of the paper's recipe. HMR2 and SMIRK are drop-in replacements for ProHMR and TEASER."""

MPI = "registration, non-commercial research, no redistribution (Max Planck Institute for Intelligent Systems)"
RESEARCH = "research use; no licence of its own"
CONVERTED = "that of the official file it is made from"
UNSTATED = "none stated: all rights reserved"
SHORT_LICENCES: Mapping[str, str] = MappingProxyType(
    {MPI: "MPI", RESEARCH: "research", CONVERTED: "as official", UNSTATED: "none"}
)
"""Licences that take a sentence, in a word."""
SMPLX_SITE = "https://smpl-x.is.tue.mpg.de (sign in, Downloads)"
FLAME_SITE = "https://flame.is.tue.mpg.de (sign in, Downloads)"


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetFile:
    """One file that a person puts in place."""

    id: str
    """Short unique name."""
    place: str
    """Path below the root, with ``/``."""
    other_names: tuple[str, ...] = ()
    """Names under which publishers give the same file out; accepted in the same folder."""
    holds: str
    """What is in it, a few words."""
    part: str
    """``keypoints``, ``body``, ``hands``, ``face``, ``body_model``, ``training`` or ``renderer``."""
    backend: str = ""
    """Backend of the part that reads it; empty for the body model, the training and the renderer."""
    option: str = ""
    """Option of the backend that takes its path."""
    route: str = ""
    """Value of the backend's option ``route`` that it is read with; empty: with any."""
    licence: str
    """Terms, in a few words."""
    source: str
    """Where it comes from; for a converted file the command that makes it."""
    sha256: str | None = None
    """Published hash or its leading digits, None where none is known."""
    num_bytes: int | None = None
    """Published size."""
    made_from: tuple[str, ...] = ()
    """Ids of the files that the converter makes it from."""
    flag: str = ""
    """Option of ``python -m model.body.convert`` that takes this official file."""
    optional: bool = False
    """The recipe runs without it."""


def _weights(id: str, part: str, place: str, option: str = "checkpoint_path", **known: object) -> AssetFile:
    fields = {"backend": id.partition(".")[0], "part": part, "place": place, "option": option, **known}
    return AssetFile(id=id, **fields)  # type: ignore[arg-type]


def _dwpose(id: str, file: UpstreamFile, **known: object) -> AssetFile:
    fields = {"option": file.option, "holds": file.holds, "source": file.source, "licence": LICENCE, **known}
    return _weights(id, "keypoints", f"dwpose/{file.name}", **fields)  # type: ignore[arg-type]


def _official(flag: str, name: str, holds: str, source: str, *, licence: str = MPI, **known: object) -> AssetFile:
    fields = {"place": f"official/{name}", "holds": holds, "source": source, "licence": licence, **known}
    return AssetFile(id=f"official.{flag}", part="body_model", flag=f"--{flag}", **fields)  # type: ignore[arg-type]


def _converted(name: str, holds: str, *flags: str, optional: bool = False) -> AssetFile:
    return AssetFile(
        id=name,
        place=f"{name}.npz",
        holds=holds,
        part="body_model",
        licence=CONVERTED,
        source="python -m model.body.convert",
        made_from=tuple(f"official.{flag}" for flag in flags),
        optional=optional,
    )


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

BODIES: tuple[AssetFile, ...] = (
    _converted("smplx", "SMPL-X body", "smplx"),
    _converted(
        "flame", "FLAME head with eyelids", "flame", "left-eyelid", "right-eyelid", "flame-static", "flame-dynamic"
    ),
    _converted(
        "correspondence",
        "which SMPL-X vertices are the head, the hands and the lips, and which the paper leaves to the body",
        "head-ids",
        "hand-ids",
        "lower-head",
        "flame-masks",
    ),
    _converted("smpl", "SMPL body, which ProHMR and HMR2 speak", "smpl"),
    _converted("smpl_to_smplx", "SMPL-X vertices on the SMPL surface", "smpl-to-smplx", "smplx-mask"),
)
"""Bodies as this project reads them, in the root."""

OFFICIAL: tuple[AssetFile, ...] = (
    _official(
        "smplx",
        "SMPLX_NEUTRAL_2020.npz",
        "SMPL-X, neutral",
        SMPLX_SITE,
        other_names=("SMPLX_NEUTRAL.npz", "SMPLX_NEUTRAL.pkl"),
        sha256="bdf06146e27d92022fe5dadad3b9203373f6879eca8e4d8235359ee3ec6a5a74",
        num_bytes=167_264_530,
    ),
    _official(
        "flame",
        "generic_model.pkl",
        "FLAME 2020",
        f"{FLAME_SITE}, FLAME2020.zip (FLAME 2023 has other coefficients than TEASER and SMIRK)",
        sha256="efcd14cc4a69f3a3d9af8ded80146b5b6b50df3bd74cf69108213b144eba725b",
        num_bytes=53_023_716,
    ),
    _official(
        "left-eyelid",
        "l_eyelid.npy",
        "left eyelid of FLAME",
        "https://github.com/georgeretsi/smirk, folder assets",
        licence="MIT (repository)",
        sha256="fa50997166c2f884fbfc577d99fe8707966763fc3d83a1870bb786df6cc9410d",
    ),
    _official(
        "right-eyelid",
        "r_eyelid.npy",
        "right eyelid of FLAME",
        "https://github.com/georgeretsi/smirk, folder assets",
        licence="MIT (repository)",
        sha256="dd78776fed765be4468889dd7d5b54b4bf61c8efbb2869b5b91409ce798aad8d",
    ),
    _official("flame-static", "flame_static_embedding.pkl", "51 face landmarks of FLAME", FLAME_SITE, optional=True),
    _official(
        "flame-dynamic", "flame_dynamic_embedding.npy", "face contour of FLAME by yaw", FLAME_SITE, optional=True
    ),
    _official(
        "head-ids",
        "SMPL-X__FLAME_vertex_ids.npy",
        "SMPL-X vertices of the head",
        f"{SMPLX_SITE}, MANO and FLAME vertex indices",
        sha256="7e70cdc3",
    ),
    _official(
        "hand-ids",
        "MANO_SMPLX_vertex_ids.pkl",
        "SMPL-X vertices of the hands",
        f"{SMPLX_SITE}, MANO and FLAME vertex indices",
        sha256="e5abe70b",
    ),
    _official(
        "lower-head",
        "selected_lowerhead.npy",
        "FLAME vertices of the lower neck, which the paper's code leaves to the body; without it the whole head is "
        "FLAME's, as in GUAVA",
        "https://github.com/Pixel-Talk/EHM-Tracker (its README names the archive of its assets, folder FLAME)",
        licence=UNSTATED,
        optional=True,
    ),
    _official(
        "flame-masks",
        "FLAME_masks.pkl",
        "FLAME vertices by region: the lips, whose error an evaluation tells",
        f"{FLAME_SITE}, FLAME Vertex Masks",
        optional=True,
    ),
    _official(
        "smpl",
        "SMPL_NEUTRAL.pkl",
        "SMPL, neutral",
        "https://smplify.is.tue.mpg.de (sign in, Downloads), basicModel_neutral_lbs_10_207_0_v1.0.0.pkl",
        other_names=("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"),
    ),
    _official(
        "smpl-to-smplx",
        "smpl2smplx_deftrafo_setup.pkl",
        "SMPL mesh to SMPL-X mesh",
        f"{SMPLX_SITE}, model transfer data",
    ),
    _official(
        "smplx-mask",
        "smplx_mask_ids.npy",
        "SMPL-X vertices that have a place on SMPL",
        f"{SMPLX_SITE}, model transfer data",
        optional=True,
    ),
)
"""Official files the bodies are made from; needed until those are there."""

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

SMPL_BACKENDS = ("prohmr", "hmr2")
"""Body backends whose poses are SMPL's."""
SMPL_BODIES = ("smpl", "smpl_to_smplx")
"""Converted files that only they need."""

ASSETS: tuple[AssetFile, ...] = (*WEIGHTS, *BODIES, *OFFICIAL, *TRAINING, *RENDERER)
"""All files, in the order in which to get them."""
BY_ID: Mapping[str, AssetFile] = MappingProxyType({asset.id: asset for asset in ASSETS})


def needed_ids(backends: Mapping[str, str] = PAPER_BACKENDS, *, licensed_body: bool = True) -> frozenset[str]:
    """Returns the ids of the files that a recipe cannot do without, official files of converted bodies included.

    Args:
        backends: Backend of each part; one without files of its own (``mediapipe``) needs none.
        licensed_body: Whether labels are of SMPL-X and FLAME, not of the open body.
    """
    weights = {asset.id for asset in WEIGHTS if backends.get(asset.part) == asset.backend and not asset.optional}
    bodies = {asset.id for asset in (*BODIES, *OFFICIAL) if licensed_body and not asset.optional}
    if backends.get("body") not in SMPL_BACKENDS:
        bodies -= {name for body in BODIES if body.id in SMPL_BODIES for name in (body.id, *body.made_from)}
    return frozenset(weights | bodies)
