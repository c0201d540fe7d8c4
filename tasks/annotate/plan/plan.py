"""From manifests to shards: what is to be annotated, cut into files of a few photos.

A plan has a row for every person the data set annotates, or one row a photo whose people are still to be found.
Its content decides ``inputs_hash``: when a photo or an annotation changes, the steps of that shard are done again.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets_manifest.adapters.base import ImageRecord, Inventory, Missing
from datasets_manifest.adapters.colour_check import with_colours_checked
from datasets_manifest.adapters.photo_check import with_photos_checked
from datasets_manifest.manifest import Manifest, open_adapter
from datasets_manifest.schema.error_codes import ErrorCode
from datasets_manifest.sources.image_source import ImageSource, problem_of
from datasets_manifest.sources.images import ImageError, UnreachableError
from datasets_manifest.stores import Place, is_file
from tasks.annotate.dataset_records import write_record
from tasks.annotate.datasets import Dataset
from tasks.annotate.plan.membership import Membership
from tasks.annotate.plan.plan_writer import PlanWriter
from tasks.annotate.plan.refused import write_refused
from tasks.annotate.plan.shard_plans import ShardPlan, shard_plans
from tasks.annotate.plan_files import planned_shards
from tasks.annotate.settings import AnnotateConfig, Origin
from tasks.annotate.stale import set_shards_aside
from tasks.annotate.workspace import ShardRef, SplitShards, Workspace, shard_paths
from tasks.wording import counted

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetPlan:
    """One data set, cut into shards."""

    manifest: Manifest
    """What data it is."""
    shards: SplitShards
    """In order."""
    summary: str
    """What was listed, in one line for a person."""
    problem: str = ""
    """Why the listing is not complete; empty if it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A data set that was opened and listed as far as its first photo with a row; nothing of it is written yet."""

    dataset: Dataset
    """What was opened."""
    images: ImageSource
    """Its photos."""
    inventory: Inventory
    """Counts of what was listed so far."""
    refused: list[Missing]
    """What has no row, so far."""
    photos: Iterator[ImageRecord]
    """Those with a row, from the first one on."""
    before: SplitShards | None
    """The shards as they were planned before, if these stay."""


def list_dataset(dataset: Dataset, workspace: Workspace, config: AnnotateConfig, *, anew: bool = False) -> Listing:
    """Opens a data set, so that those that cannot be annotated are refused before any is planned.

    Args:
        dataset: Of ``find_datasets``; a synthetic one is rendered first.
        workspace: Where files are.
        config: All settings.
        anew: Whether what was planned before counts for nothing.

    Raises:
        ValueError: Missing folder, or a data set without a single photo to annotate.
    """
    manifest = dataset.manifest
    if dataset.is_rendered:
        _render(manifest, config)
    images = dataset.open()
    inventory = Inventory()
    refused: list[Missing] = []

    def tell(missing: Missing) -> None:
        log.warning("%s: %s: %s", manifest.id, missing.path, missing.reason)
        if not missing.has_row:
            refused.append(missing)

    entries = open_adapter(manifest, images).entries()
    if manifest.check_colours and manifest.keypoints != "none" and not dataset.is_rendered:
        entries = with_colours_checked(entries, images, f"data set {manifest.id}")
    if manifest.check_photos and manifest.boxes == "manifest" and not dataset.is_rendered:
        entries = with_photos_checked(entries, images, f"data set {manifest.id}")
    photos = with_rows(inventory.records(entries, tell), manifest)
    first = list(itertools.islice(photos, 1))
    problem = _unlisted(manifest, inventory)
    before = _planned_before(manifest, workspace, problem) if problem and not anew else None
    if not first and not before:
        if inventory.images:
            raise ValueError(
                f"data set {manifest.id}: none of its photos has an annotated person ({inventory.summary})"
            )
        raise ValueError(
            f"data set {manifest.id}: no photo was found in {manifest.root_text} ({inventory.summary}); "
            + (problem or inventory.reasons or "check the root and the layout of its manifest")
        )
    return Listing(
        dataset=dataset,
        images=images,
        inventory=inventory,
        refused=refused,
        photos=itertools.chain(first, photos),
        before=before,
    )


def _render(manifest: Manifest, config: AnnotateConfig) -> None:
    # Imports of a body model and of PyTorch, which other data sets are planned without.
    from tasks.body_model import full_body
    from tasks.synthetic.asked import pictures_of
    from tasks.synthetic.render import synthesise

    synthesise(Path(manifest.root), pictures_of(manifest.typed_layout), full_body(config.body_model))


def plan_dataset(
    listing: Listing, workspace: Workspace, config: AnnotateConfig, origin: Origin, *, is_own: bool = True
) -> DatasetPlan:
    """Lists the rest of a data set and writes the plans of its shards; files that are as they should be stay untouched.

    A photo stays in its shard (see ``Membership``): new ones open new shards, and the shard of one that vanished is
    made again without it. A shard without a photo is set aside.

    While a folder or tar file cannot be looked into, a data set that was planned before stays as it was planned: the
    photos that cannot be seen may be there all the same, so that nothing of them is set aside or made anew. So does a
    single shard, one of whose photos is listed, but may not be looked at.

    Args:
        listing: Of ``list_dataset``.
        workspace: Where files are.
        config: All settings.
        origin: Where they came from, for the record of the data set.
        is_own: Whether this machine made the plan that there was; of another's nothing is set aside.

    Raises:
        ValueError: A photo of a plan that another machine made is not here.
    """
    dataset, inventory = listing.dataset, listing.inventory
    manifest, problem = dataset.manifest, _unlisted(dataset.manifest, inventory)
    write_record(workspace, dataset.group, dataset.record(origin, config.run.images_per_shard))
    if before := listing.before:
        return DatasetPlan(manifest=manifest, shards=before, summary="as it was planned before", problem=problem)
    members = Membership(workspace, dataset.group)
    writer = PlanWriter(workspace, dataset.group, members)
    unseen: list[ImageError] = []
    cut = (
        (ShardRef(dataset=manifest.id, split=manifest.split, index=index), own)
        for index, own in members.cut(listing.photos, config.run.images_per_shard)
    )
    for plan in shard_plans(cut, manifest, listing.images):
        is_same = members.is_planned(plan.shard, plan.footer)
        own = [] if is_same else _unseen_of(plan, manifest, listing.images, workspace, members)
        writer.add(plan.shard.index, None if own or is_same else plan)
        unseen += own
    planned = writer.finish()
    if manifest.boxes == "manifest" and inventory.empty:
        log.info("%s: %d photos without an annotated person get no row", manifest.id, inventory.empty)
    if vanished := sum(members.missing.values()):
        if not is_own:
            raise ValueError(
                f"data set {manifest.id}: {counted(vanished, 'photo')} of the plan that another machine made cannot be "
                f"found in {manifest.root_text}; copy all photos here (rsync -a), or, if they are gone for good, run "
                "pear annotate, which sets their labels aside"
            )
        log.warning("%s: %s gone; their rows go with them", manifest.id, counted(vanished, "planned photo"))
    shards = SplitShards(manifest.id, manifest.split, planned)
    write_refused(workspace, dataset.group, listing.refused)
    if is_own and (aside := set_shards_aside(workspace, dataset.group, shards)):  # So that no person occurs twice.
        log.warning("%s, no longer planned: %s", "/".join(dataset.group), aside)
    problem = " ".join(filter(None, [problem, _not_seen(manifest, unseen)]))
    return DatasetPlan(manifest=manifest, shards=shards, summary=inventory.summary, problem=problem)


def _not_seen(manifest: Manifest, unseen: Sequence[ImageError]) -> str:
    """Why some shards stay as they were planned before; empty if none does."""
    if not unseen:
        return ""
    more = f" So it is with {len(unseen) - 1} more." * (len(unseen) > 1)
    return f"{manifest.id}: {unseen[0].detail}{more} Their shards stay as they were planned before."


def _unlisted(manifest: Manifest, inventory: Inventory) -> str:
    """Why the listing of a data set is not complete; empty if it is."""
    if inventory.unlisted is None:
        return ""
    more = inventory.missing[ErrorCode.LISTING_INCOMPLETE] - 1
    return f"{manifest.id}: {inventory.unlisted.reason}" + f" So it is with {more} more." * bool(more)


def _planned_before(manifest: Manifest, workspace: Workspace, problem: str) -> SplitShards | None:
    """The shards of a data set as they lie in the workspace, None without any.

    Raises:
        ValueError: There are labels without a plan, which another plan would replace.
    """
    group = manifest.id, manifest.split
    planned = [shard.index for shard in planned_shards(workspace, [group])]
    if not planned and any(shard_paths(labels := workspace.step_folder("refine").joinpath(*group))):
        raise _no_plan(problem, labels)
    return SplitShards(manifest.id, manifest.split, planned) if planned else None


def _no_plan(problem: str, labels: Place) -> ValueError:
    return ValueError(
        f"{problem} Labels of the data set are in {labels}, but not the plan that they were made by, so that a new one "
        "could replace those of photos that cannot be seen; mend it and run it again"
    )


def _unseen_of(
    plan: ShardPlan, manifest: Manifest, images: ImageSource, workspace: Workspace, members: Membership
) -> list[ImageError]:
    """Why photos of a shard that is not planned as it should be may not be looked at now: it stays as it was planned.

    Raises:
        ValueError: So it is with photos of a shard that has labels, but no plan.
    """
    shard = plan.shard
    if shard.index not in members.known:
        return []
    labels = workspace.step_path("refine", shard)
    has_plan = shard.index in members.planned
    if not (has_plan or is_file(labels)) or not (unseen := _unseen(plan.records, images)):
        return []
    if not has_plan:
        raise _no_plan(f"{manifest.id}: {unseen[0].detail}", labels.parent)
    return unseen


def _unseen(records: Sequence[ImageRecord], images: ImageSource) -> list[ImageError]:
    """Why photos may not be looked at, those that are known to be gone left out."""
    problems = (problem_of(images, record.path) for record in records)
    return [problem for problem in problems if isinstance(problem, UnreachableError)]


def with_rows(photos: Iterable[ImageRecord], manifest: Manifest) -> Iterator[ImageRecord]:
    """The photos that get a row: all, or those with an annotated person, where the data set says who is in them."""
    return iter(photos) if manifest.boxes == "detector" else (photo for photo in photos if photo.people)
