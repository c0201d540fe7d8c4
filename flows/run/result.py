"""What a run did, in figures and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.run.progress import Progress
from tasks.annotate.plan.plan import DatasetPlan
from tasks.annotate.run.publication import Publication
from tasks.annotate.settings import AnnotateConfig
from tasks.wording import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class RunResult:
    """What a run did."""

    publication: Publication
    """The published labels and what describes them."""
    failed_parts: int
    """Shard parts without a file."""
    failed_shards: tuple[str, ...]
    """Names of the shards that lack a part, in order."""
    unlisted: tuple[str, ...]
    """Why the listings of data sets are not complete; their photos that could be seen are done."""
    seconds: float
    """Time of the whole run."""
    max_failed_share: float
    """Largest share of failed people with which the run still counts as good."""

    @property
    def is_good(self) -> bool:
        """Whether the listing is complete, every shard has its labels, they are a snapshot, and not too many people
        failed."""
        problems = self.unlisted or self.failed_parts or self.publication.warning
        return not problems and self.failed_share <= self.max_failed_share

    @property
    def failed_share(self) -> float:
        """Share of the people that failed; photos without people are none."""
        return self.publication.count.failed_share

    @property
    def sentence(self) -> str:
        """What came out, in a sentence or two."""
        told = [self.publication.sentence, *self.unlisted]
        if self.failed_share > self.max_failed_share:
            told.append(f"{self.failed_share:.0%} of the people failed, allowed are {self.max_failed_share:.0%}.")
        if self.publication.warning:
            told.append(self.publication.warning)
        if not self.failed_parts:
            return " ".join(told)
        shards = self.failed_shards
        shown = ", ".join(shards[:5]) + (" ..." if len(shards) > 5 else "")
        told.append(
            f"{counted(len(shards), 'shard')} failed ({shown}): the reasons are in {self.publication.failures_csv}; "
            "run the same command again to do just these."
        )
        return " ".join(told)


def result_of(
    publication: Publication, progress: Progress, plans: Sequence[DatasetPlan], seconds: float, config: AnnotateConfig
) -> RunResult:
    """What a run did that is over."""
    return RunResult(
        publication=publication,
        failed_parts=progress.failed,
        failed_shards=tuple(sorted(progress.failed_shards)),
        unlisted=tuple(plan.problem for plan in plans if plan.problem),
        seconds=seconds,
        max_failed_share=config.run.max_failed_share,
    )
