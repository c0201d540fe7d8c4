"""A BVH file, read from its text alone, and the joints where a program for animation would put them."""

import numpy as np
from scipy.spatial.transform import Rotation


def read(text):
    """Names, parents, offsets, channels of each joint, end sites by parent, values (T, C) and the time of a frame."""
    words = iter(text.split())
    names, parents, offsets, channels, ends, above = [], [], [], [], {}, []
    for word in words:
        if word in ("ROOT", "JOINT"):
            names.append(next(words))
            parents.append(above[-1] if above else -1)
        elif word == "End":
            next(words)
            names.append(None)
            parents.append(above[-1])
        elif word == "{":
            above.append(len(names) - 1)
        elif word == "}":
            above.pop()
        elif word == "OFFSET":
            offset = [float(next(words)) for _ in range(3)]
            if names[above[-1]] is None:
                ends[parents.pop()] = offset
                names.pop()
            else:
                offsets.append(offset)
        elif word == "CHANNELS":
            channels.append([next(words) for _ in range(int(next(words)))])
        elif word == "MOTION":
            break
    assert next(words) == "Frames:"
    count = int(next(words))
    assert (next(words), next(words)) == ("Frame", "Time:")
    step = float(next(words))
    values = np.array([float(word) for word in words]).reshape(count, -1)
    return names, parents, np.array(offsets), channels, ends, values, step


def posed(names, parents, offsets, channels, values):
    """Joints (T, J, 3), in the units of the file."""
    at = 0
    world, place = np.zeros((len(values), len(names), 3, 3)), np.zeros((len(values), len(names), 3))
    for joint, (parent, own) in enumerate(zip(parents, channels, strict=True)):
        turn, moved = np.eye(3), np.zeros((len(values), 3))
        for name in own:
            value = values[:, at]
            at += 1
            if name.endswith("position"):
                moved[:, "XYZ".index(name[0])] = value
            else:
                turn = turn @ Rotation.from_euler(name[0], value[:, None], degrees=True).as_matrix()
        local = offsets[joint] + moved
        if parent < 0:
            world[:, joint], place[:, joint] = turn, local
        else:
            world[:, joint] = world[:, parent] @ turn
            place[:, joint] = place[:, parent] + np.einsum("tij,tj->ti", world[:, parent], local)
    assert at == values.shape[1]
    return place
