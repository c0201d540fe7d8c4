"""People whom a data set knows in 3D, for the steps that make labels of them."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from datasets_manifest.schema.columns import Columns, table_from_columns
from datasets_manifest.schema.ehm_fields import DEFAULT_SIZE
from datasets_manifest.schema.part_files import BODY_SCHEMA, plan_schema
from datasets_manifest.schema.trusted import trusted_column
from datasets_manifest.schema.truth_3d import pack_truth_3d
from model.estimators.base import BodyOutput
from tasks.annotate.settings import AnnotateConfig
from tasks.annotate.steps.body import body_columns
from tasks.annotate.steps.truth import KnownPeople

IDS = ("a/all/1#0", "a/all/1#1", "a/all/2#0")


def plan_of(*people):
    """Rows of a plan that knows these people in 3D."""
    packed = pack_truth_3d(people)
    arrays = {name: pa.array(packed[name]) for name in packed if name not in ("truth_3d", "truth_3d_shape")}
    arrays |= {name: packed[name] for name in ("truth_3d", "truth_3d_shape")}
    schema = plan_schema(optional=packed.keys())
    key = {"sample_id": IDS[: len(people)], "dataset": ["a"] * len(people), "split": ["all"] * len(people)}
    rest = {"image": ["1"] * len(people), "person": [0] * len(people), "status": ["ok"] * len(people)}
    return Columns(table_from_columns(key | rest | arrays, schema))


def known(people, ids=IDS, world_to_camera=None, own_body=None, trusted=None):
    plan = plan_of(*people)
    if trusted is not None:
        plan = Columns(plan.table.append_column(trusted_column(), pa.array([trusted] * len(people))))
    return KnownPeople.of(plan, ids[: len(people)], world_to_camera, own_body)


def job_of(tmp_path):
    body = SimpleNamespace(body_model=AnnotateConfig().body_model)
    return SimpleNamespace(config=body, size=DEFAULT_SIZE, workspace=SimpleNamespace(work=tmp_path))


def body_rows(count):
    """Rows of bodies that an estimator found, at rest."""
    key = {"sample_id": IDS[:count], "dataset": ["a"] * count, "split": ["all"] * count, "image": ["1"] * count}
    rest = BodyOutput(
        valid=np.ones(count, bool),
        score=np.full(count, 0.5),
        global_orient=np.tile(np.eye(3), (count, 1, 1)),
        body_pose=np.tile(np.eye(3), (count, 21, 1, 1)),
        betas=np.ones((count, 10)),
        sigma_rad=np.full((count, 22), 0.3),
        reasons=[None] * count,
    )
    return Columns(table_from_columns(key | {"person": [0] * count} | body_columns(rest), BODY_SCHEMA))
