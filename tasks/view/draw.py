"""Whom an audit draws, out of the index: the same people as ``pear audit``, which reads the labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datasets_manifest.reviews.digest import label_digests
from datasets_manifest.reviews.verdicts import Verdicts
from datasets_manifest.schema.error_codes import ErrorCode, Status
from tasks.review.audit import Audit, AuditResult, counted_verdicts, given_verdicts
from tasks.view.index import LabelIndex
from tasks.view.kinds import LABELS
from tasks.view.query import Query


def audit_of(query: Query) -> Audit:
    """The audit of an address.

    Raises:
        ValueError: It is none.
    """
    return Audit.of_tag(query.audit)


def asked_rows(index: LabelIndex, audit: Audit) -> np.ndarray:
    """Numbers of the labels to draw from: people who were found, whose part is valid or refused."""
    wanted = Query(
        words=(("dataset", audit.datasets),) if audit.datasets else (),
        flags=((f"{audit.part}_valid", audit.among == "valid"),),
    )
    found = (
        ("error_code", tuple(code for code in index.words("error_code") if code != ErrorCode.BRIDGED.value)),
        ("status", tuple(state for state in index.words("status") if state != Status.FAILED.value)),
    )
    return index.query(replace(wanted, words=(*wanted.words, *found)))


def drawn_rows(index: LabelIndex, query: Query) -> np.ndarray:
    """Numbers of the sample, in the order to judge them in.

    Raises:
        ValueError: The audit is none, what is looked at are no labels, or there is nothing to draw from.
    """
    audit = audit_of(query)
    if index.kind is not LABELS:
        raise ValueError(f"an audit is of labels; {index.root} holds {index.kind.name}")
    rows = asked_rows(index, audit)
    if not len(rows):
        raise ValueError(f"{index.root} has no {audit.among} {audit.part} to judge")
    return rows[audit.places(index.ids(rows))]


def audit_result(index: LabelIndex, query: Query, rows: np.ndarray, verdicts: Verdicts | None) -> AuditResult:
    """What people found.

    Args:
        index: Of the labels.
        query: Of the audit.
        rows: Its sample.
        verdicts: Those that state the audit; None: nobody has judged yet.
    """
    audit = audit_of(query)
    given = {} if verdicts is None else given_verdicts(verdicts, audit.part)
    # Only of those who were judged it matters whether the label is still the one that was judged.
    drawn = {
        sample: label_digests(index.label(number).table)[0] if sample in given else ""
        for sample, number in zip(index.ids(rows), rows.tolist(), strict=True)
    }
    return counted_verdicts(audit, len(asked_rows(index, audit)), drawn, given)
