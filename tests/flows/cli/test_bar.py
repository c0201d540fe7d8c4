"""A bar where standard error is a terminal; else lines of the log."""

import logging
import os
import pty
import re
import subprocess
import sys

from flows.cli.bar import display
from tasks.display import Lines

PROGRAM = """
import logging
from flows.cli.bar import display
from flows.cli.command_line import command_log
log = command_log()
with display(log) as shown:
    shown.show("shard parts", 1, 3, "1 failed", 398.0)
    log.error("keypoints/many/00001 failed: no space left")
    shown.show("shard parts", 3, 3, "", 0.0)
log.info("run took 0:01")
"""


def test_without_a_terminal_there_are_lines():
    with display(logging.getLogger("lines")) as shown:
        assert isinstance(shown, Lines)


def test_on_a_terminal_the_lines_of_the_log_stay_and_the_bar_goes():
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], stderr=theirs, env=env, check=True)
    os.close(theirs)
    written = b""
    while True:
        try:
            written += os.read(ours, 65536)
        except OSError:
            break
    text = re.sub(r"\x1b\[\d*m", "", written.decode())  # without colours
    assert done.returncode == 0
    assert "1/3 shard parts" in text
    assert "1 failed, 6:38 left" in text
    assert text.count("keypoints/many/00001 failed: no space left") == 1
    assert text.rstrip().endswith("run took 0:01")
