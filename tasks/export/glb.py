"""A motion as a skinned, animated GLB: the joints are nodes, the mesh hangs on them, the face is morph targets.

glTF 2.0: metres, y up, linear interpolation. What a pose adds to the mesh of some bodies (pose correctives) it cannot
say, so that the skin of these is that of blending alone; joints are exact.

Legend: T frames, V vertices, J joints, M morphs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from model.body import skeleton
from model.body.ehms import EHMs
from model.body.normals import VertexNormals
from model.renderer.track_colours import track_rgb
from tasks.export.gltf_file import ELEMENTS, VERTICES, GltfFile
from tasks.export.motion import FrameState, Motion
from tasks.export.rest import Morphs, Rest, morphs_of, rest_of
from tasks.export.y_up import Y_UP_FROM_Z_UP

_INFLUENCES = 8
"""Joints that a vertex may hang on: two sets of four, the heavier ones in the first. Viewers that know one set alone
make little of the second."""
_GAMMA = 2.2


def encode(motion: Motion, body: EHMs) -> bytes:
    """The file.

    Raises:
        ValueError: The labels are of the fusion `paper`, whose head is no skin on joints.
    """
    if body.assets.fusion != "blended":
        raise ValueError(
            f"{motion.name.group}: a GLB has a skin on joints, which the head of the fusion {body.assets.fusion} is "
            "not; export amass or bvh, or annotate with body_model.fusion: blended"
        )
    file = GltfFile()
    rest, morphs = rest_of(body, motion.parameters), morphs_of(body, motion.parameters)
    names, nodes = skeleton.SMPLX_JOINT_NAMES, len(skeleton.SMPLX_PARENTS)
    title = f"{motion.name.group} track {motion.name.track}"
    return file.encode(
        {
            "asset": {"version": "2.0", "generator": "pear-pipeline", "copyright": motion.licence},
            "scene": 0,
            "scenes": [{"nodes": [0, nodes]}],
            "nodes": [
                *(_joint(names[k], rest.joints, k) for k in range(nodes)),
                {"name": title, "mesh": 0, "skin": 0},
            ],
            "meshes": [_mesh(file, title, body, rest, morphs)],
            "materials": [_material(motion)],
            "skins": [_skin(file, rest)],
            "animations": [_animation(file, title, motion, rest, morphs)],
            "extras": _extras(motion, body),
        }
    )


def _joint(name: str, joints: np.ndarray, number: int) -> dict[str, Any]:
    parents = skeleton.SMPLX_PARENTS
    above = joints[parents[number]] if parents[number] >= 0 else np.zeros(3)
    node: dict[str, Any] = {"name": name, "translation": (joints[number] - above).tolist()}
    children = [k for k, parent in enumerate(parents) if parent == number]
    return node | ({"children": children} if children else {})


def _mesh(file: GltfFile, title: str, body: EHMs, rest: Rest, morphs: Morphs) -> dict[str, Any]:
    normals = VertexNormals(body.faces, len(rest.vertices))(torch.from_numpy(rest.vertices)[None])[0].numpy()
    attributes = {
        "POSITION": file.add(rest.vertices, "VEC3", VERTICES, bounds=True),
        "NORMAL": file.add(normals, "VEC3", VERTICES),
    }
    joints, weights = _influences(body.body.skin_weights.T.double().numpy())
    for start in range(0, joints.shape[1], 4):
        part = slice(start, start + 4)
        attributes[f"JOINTS_{start // 4}"] = file.add(joints[:, part].astype(np.uint8), "VEC4", VERTICES)
        attributes[f"WEIGHTS_{start // 4}"] = file.add(weights[:, part], "VEC4", VERTICES)
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "indices": file.add(body.faces.numpy().astype(np.uint32).reshape(-1), "SCALAR", ELEMENTS),
        "material": 0,
    }
    mesh: dict[str, Any] = {"name": title, "primitives": [primitive]}
    if morphs.names:
        primitive["targets"] = [{"POSITION": file.add(own, "VEC3", VERTICES, bounds=True)} for own in morphs.offsets_m]
        mesh |= {"weights": [0.0] * len(morphs.names), "extras": {"targetNames": list(morphs.names)}}
    return mesh


def _influences(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skin weights (V, J) -> joints and weights (V, 4 or 8) of the heaviest, which add up to 1."""
    most = int((weights > 0).sum(1).max())
    width = min(_INFLUENCES, 4 * -(-most // 4))
    joints = np.argsort(-weights, axis=1, kind="stable")[:, :width]
    kept = np.take_along_axis(weights, joints, 1)
    # A joint without weight must be told as number 0.
    return np.where(kept > 0, joints, 0), kept / kept.sum(1, keepdims=True)


def _skin(file: GltfFile, rest: Rest) -> dict[str, Any]:
    inverse = np.tile(np.eye(4), (len(rest.joints), 1, 1))
    inverse[:, :3, 3] = -rest.joints
    # Matrices are stored column by column.
    matrices = file.add(inverse.transpose(0, 2, 1).reshape(-1, 16), "MAT4")
    return {"inverseBindMatrices": matrices, "joints": list(range(len(rest.joints))), "skeleton": 0}


def _animation(file: GltfFile, title: str, motion: Motion, rest: Rest, morphs: Morphs) -> dict[str, Any]:
    times = file.add(motion.time_s - motion.start_s, "SCALAR", bounds=True)
    rotations = motion.parameters.local_rotations().double().numpy()
    rotations[:, 0] = Y_UP_FROM_Z_UP @ rotations[:, 0]
    place = motion.parameters.known("transl_m").double().numpy() @ Y_UP_FROM_Z_UP.T
    tracks: list[tuple[int, str, int]] = [(0, "translation", file.add(place, "VEC3"))]
    for joint in range(len(rest.joints)):
        tracks.append((joint, "rotation", file.add(_quaternions(rotations[:, joint]), "VEC4")))
    if morphs.names:
        tracks.append((len(rest.joints), "weights", file.add(morphs.weights.reshape(-1), "SCALAR")))
    return {
        "name": title,
        "samplers": [{"input": times, "output": output, "interpolation": "LINEAR"} for *_, output in tracks],
        "channels": [
            {"sampler": k, "target": {"node": node, "path": path}} for k, (node, path, _) in enumerate(tracks)
        ],
    }


def _quaternions(rotations: np.ndarray) -> np.ndarray:
    """(T, 3, 3) -> (T, 4) x, y, z, w, each on the side of the one before, so that nothing turns the long way round."""
    found = Rotation.from_matrix(rotations).as_quat()
    flips = np.sign(np.sum(found[1:] * found[:-1], -1))
    return found * np.cumprod(np.concatenate([[1.0], np.where(flips < 0, -1.0, 1.0)]))[:, None]


def _material(motion: Motion) -> dict[str, Any]:
    colour = (track_rgb(motion.name.track) / 255) ** _GAMMA
    shading = {"baseColorFactor": [*colour.tolist(), 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {"name": "track", "pbrMetallicRoughness": shading}


def _extras(motion: Motion, body: EHMs) -> dict[str, Any]:
    return {
        "reference": motion.reference,
        "start_s": motion.start_s,
        "first_frame": int(motion.frame[0]),
        "bridged": motion.frames_of(FrameState.BRIDGED),
        "gaps": motion.frames_of(FrameState.FILLED),
        "body_model": dict(motion.body_model),
        "pose_correctives": "left out" if body.assets.smplx.posedirs is not None else "none",
    }
