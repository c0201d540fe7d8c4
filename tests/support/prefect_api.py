"""What a test asks the API of a real Prefect server, which may be busy, and writes task runs down after their end."""

import json
import time
import urllib.request


def ask(url, body=None):
    """What the server answers, in Python's terms; asked again while it says that it is busy (503), or nothing."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    for attempt in range(8):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)
        except OSError as error:
            if attempt == 7 or getattr(error, "code", 503) != 503:
                raise
            time.sleep(0.5 * 2**attempt)
    raise AssertionError("unreachable")


def of_run(api, what, flow_run, **more):
    """Those of ``what`` (artifacts, task runs) that belong to a flow run; the server gives 200 at most."""
    return ask(f"{api}/{what}/filter", {"flow_runs": {"id": {"any_": [flow_run]}}} | more)


def task_runs(api, flow_run, number, seconds=120):
    """Task runs of a flow run that is over, once the server knows of so many that they have ended, or time is up.

    A flow reports its task runs as events, which the server writes down when it comes to them: on a busy machine
    seconds after the flow has ended.
    """
    deadline = time.monotonic() + seconds
    while True:
        pages = range(0, number + 200, 200)
        asked = {"sort": "EXPECTED_START_TIME_ASC"}
        found = [own for offset in pages for own in of_run(api, "task_runs", flow_run, offset=offset, **asked)]
        over = [own for own in found if own["state_type"] in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")]
        if len(over) >= number or time.monotonic() > deadline:
            return found
        time.sleep(0.25)
