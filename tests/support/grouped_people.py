"""People before a moving camera's frames and several cameras, as rows of a shard with groups."""

from dataclasses import fields, replace

import numpy as np

from benchmarks.clip_people import make_clips, make_view_clips
from fitting.sparse_body import SparseBody
from tasks.annotate.groups.places import Places
from tasks.annotate.groups.together import Given

FRAMES, VIEWS = 5, 3


def one_clip(body: SparseBody, *, unseen: tuple[int, ...] = (), seed: int = 3) -> tuple[Given, Places]:
    """Five frames of somebody before one camera; in those that are unseen nothing is."""
    people = make_clips(body, 1, FRAMES, seed=seed, gaps=tuple((frame, 1) for frame in unseen))
    frame = np.arange(FRAMES)
    places = Places(
        group=0 * frame,
        camera=0 * frame,
        frame=frame,
        time_s=people.clips.time_s.numpy(),
        world_to_camera=np.full((FRAMES, 3, 4), np.nan),
        plan_row=frame,
    )
    return (people.observations, replace(people.coarse, transl_m=None), people.camera), places


def one_rig(body: SparseBody, frames: int = 2, seed: int = 3) -> tuple[Given, Places]:
    """Some moments of somebody before three cameras, the views of a moment in turn."""
    people, _ = make_view_clips(body, 1, frames, VIEWS, seed=seed)
    rig, rows = people.rig, np.arange(frames * VIEWS)
    assert rig.camera_index is not None
    places = Places(
        group=0 * rows,
        camera=rig.camera_index.numpy(),
        frame=rig.moment.numpy(),
        time_s=rig.time_s.numpy(),
        world_to_camera=np.concatenate([rig.rotation.numpy(), rig.translation_m.numpy()[..., None]], -1),
        plan_row=rows,
    )
    return (people.observations, people.coarse, people.camera), places


def side_by_side(first: Places, then: Places) -> Places:
    """Rows of two shards as of one."""
    moved = {"group": 1, "camera": int(first.camera.max()) + 1, "plan_row": len(first.plan_row)}
    return Places(
        **{
            name: np.concatenate([getattr(first, name), getattr(then, name) + moved.get(name, 0)])
            for name in (field.name for field in fields(Places))
        }
    )
