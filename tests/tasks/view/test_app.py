"""The application over a few labels: what its routes answer, and to whom."""

import time
from pathlib import Path

import numpy as np
import pytest
from whole_labels import failed, person, write

pytest.importorskip("nicegui", reason="the extra view is not installed")

from starlette.testclient import TestClient

from tasks.annotate.settings import AnnotateConfig, OutputConfig
from tasks.view.app import view_app
from tasks.view.security import allowed_origins
from tasks.view.state import Opened, View


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    rng = np.random.default_rng(0)
    rows = [person(n, rng, face_valid=bool(n % 2)) for n in range(60)]
    write(folder / "labels", [*rows, failed(99, rng)])
    (folder / "secret.jpg").write_text("it is a secret", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def client(folder):
    """A browser without scripts; NiceGUI has one application a process, so that this module alone makes it."""
    config = AnnotateConfig(output=OutputConfig(work=str(folder / "work"), labels=str(folder / "labels")))
    view = View(Opened(labels=folder / "labels", config=config, roots={"demo": folder}))
    view.start_background = lambda work: None
    app = view_app(view, origins=allowed_origins("127.0.0.1", 8080, [], None))
    with TestClient(app, base_url="http://127.0.0.1:8080") as client:
        while view.index is None:
            time.sleep(0.01)
        client.stamp = view.index.stamp
        yield client


REQUESTS = {
    "/": (200, "demo/train/0.jpg#0"),
    "/?page=2": (200, "demo/train/59.jpg#0"),
    "/?face_valid=yes": (200, "30 of 61: 30 ok"),
    "/?status=failed&status=partial": (200, "1 of 61: 1 failed"),
    "/?text=nobody": (200, "0 of 61"),
    "/?body_quality=high": (200, "the address says body_quality=high, expected numbers"),
    "/?sort=image": (200, "the address says sort=image, which labels do not have"),
    "/?" + "status=ok&" * 300: (200, "Max number of fields exceeded"),
    "/person?id=demo/train/7.jpg%230": (200, "demo/train/7.jpg#0"),
    "/audit": (200, "Draw"),
    "/nowhere": (404, ""),
    "/media/STAMP/0/nothing.jpg": (404, "Not Found"),
    "/media/STAMP/61/photo.jpg": (404, "Not Found"),
    "/media/STAMP/-1/photo.jpg": (404, "Not Found"),
    "/media/STAMP/1e3/photo.jpg": (404, "Not Found"),
    "/media/0000000000000000/0/photo.jpg": (404, "Not Found"),
    "/media/STAMP/0/..%2f..%2fsecret.jpg": (404, ""),
    "/media/..%2f..%2fsecret.jpg": (404, ""),
    "/media/STAMP/0/%2e%2e/%2e%2e/%2e%2e/secret.jpg": (404, ""),
    "/_nicegui/3.18.0/static/..%2f..%2f..%2fpyproject.toml": (404, ""),
    "/_nicegui/3.18.0/components/..%2f..%2fsecret.jpg": (404, ""),
    "/docs": (404, ""),
    "/openapi.json": (404, ""),
    "/ host=evil.example": (400, "another host"),
    "/media/STAMP/0/photo.jpg host=evil.example:8080": (400, "another host"),
    "/ origin=http://evil.example": (400, "other origins"),
    "/media/STAMP/0/photo.jpg origin=http://evil.example": (400, "other origins"),
    "/_nicegui_ws/socket.io/?EIO=4&transport=polling origin=http://evil.example": (400, "other origins"),
    "/_nicegui_ws/socket.io/?EIO=4&transport=polling host=evil.example": (400, "another host"),
    "/_nicegui_ws/socket.io/?EIO=4&transport=polling": (200, "sid"),
    "/media/STAMP/0/photo.jpg sec-fetch-site=cross-site sec-fetch-mode=no-cors": (400, "other sites"),
}


@pytest.mark.parametrize("request_line", REQUESTS, ids=lambda line: line[:60])
def test_a_route_answers_what_it_should(client, request_line):
    path, _, headers = request_line.replace("STAMP", client.stamp).partition(" ")
    given = dict(pair.split("=", 1) for pair in headers.split())
    answer = client.get(path, headers=given, follow_redirects=False)
    status, text = REQUESTS[request_line]
    assert answer.status_code == status
    assert text in answer.text
    assert "it is a secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


def test_nothing_is_written_where_it_was_started(client, folder):
    assert {path.name for path in folder.iterdir()} == {"labels", "work", "secret.jpg"}
    assert not Path(".nicegui").exists()
