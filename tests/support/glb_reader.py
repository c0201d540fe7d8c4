"""A GLB file, read from its bytes alone: nodes, skin and animation, and the mesh as a viewer would show it."""

import json
import struct

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

_TYPES = {5121: np.uint8, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def parts_of(data: bytes) -> tuple[dict, bytes]:
    """The JSON document and the arrays' bytes."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON"
    binary, kind = struct.unpack_from("<I4s", data, 20 + size)
    assert kind == b"BIN\0"
    assert 28 + size + binary == len(data)
    return json.loads(data[20 : 20 + size]), data[28 + size :]


class Glb:
    """One skinned mesh with one animation."""

    def __init__(self, data: bytes) -> None:
        self.document, self.binary = parts_of(data)
        assert self.document["buffers"] == [{"byteLength": len(self.binary)}]

    def array(self, accessor: int) -> np.ndarray:
        """Values (N,) or (N, n) of an accessor; stated bounds are checked."""
        own = self.document["accessors"][accessor]
        view = self.document["bufferViews"][own["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        values = np.frombuffer(
            self.binary, _TYPES[own["componentType"]], own["count"] * _WIDTHS[own["type"]], view["byteOffset"]
        )
        assert view["byteLength"] == values.nbytes
        rows = values.reshape(own["count"], -1)
        for name, found in (("min", rows.min(0)), ("max", rows.max(0))):
            if name in own:
                np.testing.assert_array_equal(np.array(own[name], rows.dtype), found)
        return rows[:, 0] if own["type"] == "SCALAR" else rows

    @property
    def faces(self) -> np.ndarray:
        """(F, 3)."""
        return self.array(self.document["meshes"][0]["primitives"][0]["indices"]).reshape(-1, 3).astype(int)

    @property
    def times_s(self) -> np.ndarray:
        """(T,) of the keys."""
        return self.array(self.document["animations"][0]["samplers"][0]["input"])

    def at(self, time_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and joints (55, 3) at a time."""
        document = self.document
        local = [[np.array(node.get("translation", np.zeros(3))), np.eye(3), np.zeros(0)] for node in document["nodes"]]
        animation = document["animations"][0]
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            assert sampler["interpolation"] == "LINEAR"
            times, values = self.array(sampler["input"]), self.array(sampler["output"])
            node, path = channel["target"]["node"], channel["target"]["path"]
            values = values.reshape(len(times), -1)
            if path == "rotation":
                local[node][1] = Slerp(times, Rotation.from_quat(values))(time_s).as_matrix()
            else:
                now = np.array([np.interp(time_s, times, column) for column in values.T])
                local[node][0 if path == "translation" else 2] = now
        world: dict[int, tuple[np.ndarray, np.ndarray]] = {}

        def place(node: int, turn: np.ndarray, origin: np.ndarray) -> None:
            world[node] = turn @ local[node][1], origin + turn @ local[node][0]
            for child in document["nodes"][node].get("children", ()):
                place(child, *world[node])

        for node in document["scenes"][document["scene"]]["nodes"]:
            place(node, np.eye(3), np.zeros(3))
        return self._skinned(local, world), np.stack([world[node][1] for node in document["skins"][0]["joints"]])

    def _skinned(self, local: list, world: dict) -> np.ndarray:
        document = self.document
        (holder,) = [k for k, node in enumerate(document["nodes"]) if "mesh" in node]
        primitive = document["meshes"][0]["primitives"][0]
        rest = self.array(primitive["attributes"]["POSITION"]).astype(float)
        for weight, target in zip(local[holder][2], primitive.get("targets", ()), strict=True):
            rest = rest + weight * self.array(target["POSITION"])
        skin = document["skins"][document["nodes"][holder]["skin"]]
        inverse = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        matrices = np.stack([np.vstack([np.column_stack(world[node]), [0, 0, 0, 1]]) for node in skin["joints"]])
        matrices = matrices @ inverse
        found, total = np.zeros_like(rest), np.zeros(len(rest))
        whole = np.column_stack([rest, np.ones(len(rest))])
        for part in range(2):
            if f"JOINTS_{part}" not in primitive["attributes"]:
                continue
            joints = self.array(primitive["attributes"][f"JOINTS_{part}"])
            weights = self.array(primitive["attributes"][f"WEIGHTS_{part}"]).astype(float)
            for joint, weight in zip(joints.T, weights.T, strict=True):
                found += weight[:, None] * np.einsum("vij,vj->vi", matrices[joint], whole)[:, :3]
            total += weights.sum(1)
        np.testing.assert_allclose(total, 1, atol=1e-5)
        return found
