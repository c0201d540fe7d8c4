"""Files that benchmarks of meshes are measured with, as they are distributed; only `pear evaluate` reads them."""

from __future__ import annotations

from model.licensed_files.asset_file import MPI, RESEARCH, AssetFile

_SMPL_SITE = "https://smpl.is.tue.mpg.de (sign in, Downloads), version 1.1.0 for Python"


def _of_evaluation(
    id: str, name: str, holds: str, source: str, licence: str, *other_names: str, sha256: str | None = None
) -> AssetFile:
    return AssetFile(
        id=f"evaluation.{id}",
        place=f"evaluation/{name}",
        other_names=other_names,
        holds=holds,
        part="evaluation",
        licence=licence,
        source=source,
        sha256=sha256,
        optional=True,
    )


EVALUATION: tuple[AssetFile, ...] = (
    _of_evaluation(
        "smpl-male",
        "SMPL_MALE.pkl",
        "SMPL, male: truth of 3DPW",
        _SMPL_SITE,
        MPI,
        "basicmodel_m_lbs_10_207_0_v1.1.0.pkl",
        "basicModel_m_lbs_10_207_0_v1.0.0.pkl",
    ),
    _of_evaluation(
        "smpl-female",
        "SMPL_FEMALE.pkl",
        "SMPL, female: truth of 3DPW",
        _SMPL_SITE,
        MPI,
        "basicmodel_f_lbs_10_207_0_v1.1.0.pkl",
        "basicModel_f_lbs_10_207_0_v1.0.0.pkl",
    ),
    _of_evaluation(
        "smplx2smpl",
        "smplx2smpl.pkl",
        "SMPL-X mesh to SMPL mesh: predictions on 3DPW",
        "https://github.com/naver/multi-hmr (its README says how; made of SMPL-X's model transfer data)",
        MPI,
    ),
    _of_evaluation(
        "h36m14",
        "J_regressor_h36m.npy",
        "joints of the convention h36m14",
        "https://github.com/nkolot/SPIN (fetch_data.sh, data.tar.gz)",
        RESEARCH,
    ),
    _of_evaluation(
        "hmr2",
        "SMPL_to_J19.pkl",
        "joints of the convention hmr2",
        "https://github.com/shubham-goel/4D-Humans (fetch_demo_data.sh, data)",
        RESEARCH,
    ),
    _of_evaluation(
        "agora-body",
        "body_verts_smplx.npy",
        "vertices of the body: MVE of AGORA",
        "https://github.com/pixelite1201/agora_evaluation (utils/body_verts_smplx.npy)",
        MPI,
        sha256="c3e992ab304a702f8ee43ad899caf335f02b992c39f67745ac7ad66990c96f5c",
    ),
)
"""SMPL's models by gender, the matrix between the meshes, the regressor of each convention by its name, and
AGORA's vertices. No hash of the others is known to be published."""
