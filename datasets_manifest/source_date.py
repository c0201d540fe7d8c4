"""The time that files state: now, or that of ``SOURCE_DATE_EPOCH``, with which the same inputs give the same bytes."""

from __future__ import annotations

import datetime
import os
import time


def utc_now() -> str:
    """ISO time to the second.

    Raises:
        ValueError: ``SOURCE_DATE_EPOCH`` is set and is no whole number of seconds since 1970.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        when = int(epoch) if epoch else time.time()
        return datetime.datetime.fromtimestamp(when, datetime.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(
            f"The environment's SOURCE_DATE_EPOCH is {epoch!r}, expected whole seconds since 1970; correct it or "
            "unset it."
        ) from error
