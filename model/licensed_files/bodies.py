"""Bodies as this project reads them, and the official files that they are made from."""

from __future__ import annotations

from model.licensed_files.asset_file import CONVERTED, MPI, UNSTATED, AssetFile

SMPLX_SITE = "https://smpl-x.is.tue.mpg.de (sign in, Downloads)"
FLAME_SITE = "https://flame.is.tue.mpg.de (sign in, Downloads)"


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
