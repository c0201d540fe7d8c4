"""The tables of the PEAR paper (arXiv 2601.22693) with their numbers, and which of our figures stands in which column.

Known slips of the paper are left as they are printed: MLE is metres times 1e-3 and LVE square metres, whatever the
caption says, and the last two columns of Table 4's second row repeat Table 6's first.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.evaluate.licensed_meshes import HANDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmark:
    """Data that a column is measured on."""

    title: str
    """As the paper calls it."""
    manifests: tuple[str, ...]
    """Ids of the manifests that have it; the first one that is here is taken."""
    limbs_only: bool = False
    """Whether only people count whose twelve limb points are all annotated, as SPIN and HMR2 have it."""
    protocol: str = ""
    """How ours is measured, and why it may not be compared; empty where nothing of it is measured."""
    needs: str = ""
    """What of ``tasks.evaluate.mesh_errors`` the figures are, whose licensed files may be absent; empty for others."""
    lacks: str = ""
    """What our figures need beside the photos and is not distributed; empty if nothing."""


_PCK = (
    "PCK of HMR2: per keypoint over the set, then the mean over keypoints; unit the longer side of the box times 1.2. "
    "Points are those of this body, not of the J19 regressor; people of labels and predictions are those who were found"
)
_HANDS_ARE = (
    "PA-PVE of hands as OSX has it: each aligned by itself, the mean of a person's hands, then of people. The mesh is "
    "EHM-s's, and people of labels and predictions are those who were found"
)
_HEAD_TRUTH = "no truth of heads is distributed, nor the space in which they are compared, nor which frames are"
BENCHMARKS = {
    "coco": Benchmark(
        title="COCO",
        manifests=("hmr2_coco_val", "coco_wholebody_val"),
        limbs_only=True,
        protocol=f"{_PCK}; 17 points.",
    ),
    "lsp": Benchmark(
        title="LSP-Extended",
        manifests=("lsp_extended",),
        protocol=f"{_PCK}; 12 of 14 points, without neck and head top.",
    ),
    "posetrack": Benchmark(
        title="PoseTrack",
        manifests=("posetrack18_val", "hmr2_posetrack18_val"),
        limbs_only=True,
        protocol=f"{_PCK}; 13 of 15 points, without the ends of the head.",
    ),
    "3dpw": Benchmark(
        title="3DPW",
        manifests=("pw3d_test", "pw3d_sequences"),
        needs="h36m14",
        protocol=(
            "convention h36m14, of SPIN and Multi-HMR; the paper does not say which it has, and `hmr2` stands among "
            "all figures. People of labels and predictions are those who were found."
        ),
    ),
    "agora": Benchmark(
        title="AGORA",
        manifests=("agora_validation",),
        lacks=(
            "the column is of the test set, whose truth is hidden: submit (pear export --to agora). The validation set "
            "has a table of its own"
        ),
    ),
    "ehf": Benchmark(
        title="EHF",
        manifests=("ehf",),
        needs=HANDS,
        protocol=f"{_HANDS_ARE}. Boxes are of OpenPose's points, those of OSX are not part of EHF.",
    ),
    "ubody": Benchmark(
        title="UBody",
        manifests=("ubody_test",),
        needs=HANDS,
        protocol=(
            f"{_HANDS_ARE}. Vertices count whose known place is inside the photo, by the camera of the annotation, "
            "where OSX takes that of its crop."
        ),
    ),
    "ubody_head": Benchmark(title="UBody, heads", manifests=("ubody_test",), lacks=_HEAD_TRUTH),
    "3dpw_head": Benchmark(title="3DPW, heads", manifests=("pw3d_test",), lacks=_HEAD_TRUTH),
    "speed": Benchmark(
        title="fps, L40S", manifests=(), lacks="time is measured by python -m benchmarks.inference, on your machine"
    ),
}
"""Key -> data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of a table."""

    title: str
    """With its unit."""
    benchmark: str
    """Key of ``BENCHMARKS``."""
    figure: str = ""
    """Name of our figure; empty where we have none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperTable:
    """A table as it is printed."""

    number: int
    title: str
    columns: tuple[Column, ...]
    rows: dict[str, tuple[str, ...]]
    """Method -> its numbers, one a column; a dash where the paper has none."""


def _pck(title: str, benchmark: str) -> tuple[Column, Column]:
    return (
        Column(title=f"{title} .05", benchmark=benchmark, figure="pck_0_05"),
        Column(title=f"{title} .1", benchmark=benchmark, figure="pck_0_1"),
    )


def figures_of_paper(key: str) -> set[str]:
    """Names of our figures that stand in columns of a benchmark."""
    return {column.figure for table in TABLES for column in table.columns if column.benchmark == key} - {""}


_HEADS = (
    Column(title="UBody MLE, 1e-3 m", benchmark="ubody_head"),
    Column(title="UBody LVE, 1e-5 m2", benchmark="ubody_head"),
    Column(title="3DPW MLE, 1e-3 m", benchmark="3dpw_head"),
    Column(title="3DPW LVE, 1e-4 m2", benchmark="3dpw_head"),
)
_HANDS = (
    Column(title="EHF hands, mm", benchmark="ehf", figure="hand_pa_pve_mm"),
    Column(title="UBody hands, mm", benchmark="ubody", figure="hand_pa_pve_mm"),
)
_POINTS = (*_pck("COCO", "coco"), *_pck("LSP-Extended", "lsp"), *_pck("PoseTrack", "posetrack"))


def _rows(text: str) -> dict[str, tuple[str, ...]]:
    """``method: a b c`` a line."""
    lines = (line.partition(":") for line in text.strip().splitlines())
    return {name.strip(): tuple(numbers.split()) for name, _, numbers in lines}


TABLES = (
    PaperTable(
        number=1,
        title="heads",
        columns=_HEADS,
        rows=_rows("""
            SMIRK (crops): 2.81 8.02 4.25 2.77
            TEASER (crops): 1.92 4.23 3.95 5.60
            SMPLest-X: 8.93 15.6 13.3 9.38
            PEAR: 0.72 1.22 3.36 0.99
        """),
    ),
    PaperTable(
        number=2,
        title="hands, PA-PVE",
        columns=_HANDS,
        rows=_rows("""
            PIXIE (crops): 11.1 12.2
            Hand4Whole (crops): 10.8 8.9
            OSX: 15.9 10.8
            SMPLer-X: 15.0 10.3
            Multi-HMR: 16.4 11.2
            PEAR: 12.8 9.8
        """),
    ),
    PaperTable(
        number=3,
        title="bodies",
        columns=(
            Column(title="fps, L40S", benchmark="speed"),
            *_POINTS,
            Column(title="3DPW MPJPE, mm", benchmark="3dpw", figure="mpjpe_h36m14_mm"),
            Column(title="3DPW PA-MPJPE, mm", benchmark="3dpw", figure="pa_mpjpe_h36m14_mm"),
            Column(title="AGORA body MVE, mm", benchmark="agora"),
        ),
        rows=_rows("""
            OSX: 20 .70 .87 .42 .73 .82 .90 74.7 45.1 80.2
            Multi-HMR: 10 .65 .82 .43 .70 - - 78.0 45.9 59.6
            SMPLest-X: 20 .71 .91 .40 .74 .82 .91 74.8 45.8 63.5
            PEAR: 100 .81 .94 .55 .81 .87 .97 71.3 45.3 59.3
        """),
    ),
    PaperTable(
        number=4,
        title="training data",
        columns=(*_POINTS, *_HANDS),
        rows=_rows("""
            Part 1: .79 .94 .52 .80 .87 .97 13.3 9.5
            Part 1 and 2: .81 .94 .55 .81 .87 .97 13.3 12.8
        """),
    ),
    PaperTable(
        number=6,
        title="the photometric stage",
        columns=(*_HEADS, *_HANDS),
        rows=_rows("""
            without: 7.92 1.43 3.43 1.24 13.3 12.8
            with: 7.19 1.22 3.36 0.99 12.8 9.8
        """),
    ),
)
"""Those of accuracy; Table 5 is of speed."""
