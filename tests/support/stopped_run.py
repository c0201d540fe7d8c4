"""Program of the crash tests: annotates a settings file in this process; the test kills it somewhere on the way."""

import logging
import sys

from flows.run.orchestrate import run
from flows.run.runners import LocalRunner
from tasks.annotate.settings import Origin

if __name__ == "__main__":
    origin = Origin.of(sys.argv[1])
    config = origin.config()
    log = logging.getLogger("stopped_run")
    print("started", flush=True)
    result = run(config, lambda _: LocalRunner(config.run, log), log, origin=origin)
    sys.exit(bool(result.failed_parts))
