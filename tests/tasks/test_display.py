"""Lines of a log on long pieces of work: enough to see that it goes on, too few to drown the rest."""

import logging

from tasks.display import Lines, clock

LOG = logging.getLogger("lines")


def told(caplog, *, hours, each_s):
    """The lines of a piece of work with a report every ``each_s``."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    time = [0.0]
    lines, total = Lines(LOG, now=lambda: time[0]), int(hours * 3600 / each_s)
    for done in range(1, total + 1):
        time[0] += each_s
        lines.show("people", done, total, "", (total - done) * each_s)
    return caplog.messages


def test_a_minute_of_work_has_a_line_every_five_seconds(caplog):
    lines = told(caplog, hours=1 / 60, each_s=0.5)
    assert lines[0] == "11 of 120 people, 0:54 left"
    assert len(lines) == 11


def test_a_day_of_work_has_few_lines_but_one_a_minute(caplog):
    lines = told(caplog, hours=24, each_s=1.0)
    assert 24 * 60 <= len(lines) <= 24 * 60 + 300


def test_what_is_counted_next_begins_anew(caplog):
    caplog.set_level(logging.INFO)
    time = [0.0]
    lines = Lines(LOG, now=lambda: time[0])
    for what, at in (("people", 0), ("people", 6), ("shard parts", 7), ("shard parts", 11), ("shard parts", 13)):
        time[0] = at
        lines.show(what, 1, 2, "1 failed", None)
    assert caplog.messages == ["1 of 2 people, 1 failed, ? left", "1 of 2 shard parts, 1 failed, ? left"]


def test_hours_are_shown_only_where_there_are_some():
    assert [clock(s) for s in (0, 59.6, 3599, 3600, 36061)] == ["0:00", "1:00", "59:59", "1:00:00", "10:01:01"]
