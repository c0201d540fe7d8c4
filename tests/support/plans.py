"""Planning by settings alone."""

from pathlib import Path

from tasks.annotate.datasets import find_datasets
from tasks.annotate.plan.plan import DatasetPlan, list_dataset, plan_dataset
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.workspace import Workspace


def plan_of(config: AnnotateConfig, workspace: Workspace) -> DatasetPlan:
    """Plans the one data set that the settings name."""
    (dataset,) = find_datasets(config, workspace, Path.cwd())
    listing = list_dataset(dataset, workspace, config)
    return plan_dataset(listing, workspace, config, Origin(params=Path("params.yaml").absolute()))
