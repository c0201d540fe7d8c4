"""What other sites, other hosts and other machines may not ask, at every kind of route."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tasks.view.security import Guard, allowed_origins, is_loopback, page_address

PATHS = ("/", "/person", "/media/0/0/photo.jpg", "/_nicegui_ws/socket.io/")
OWN = "http://127.0.0.1:8080"


async def inside(scope, receive, send):
    """An application that lets everybody in, as NiceGUI's sockets do."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    headers = [(b"access-control-allow-origin", b"*"), (b"X-Frame-Options", b"ALLOWALL")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"inside"})


def asked(path="/", query="", kind="http", token=None, origins=None, **headers):
    """Status (of a socket 101 or 403) and headers of an answer."""
    origins = origins or allowed_origins("127.0.0.1", 8080, [], token)
    sent = []
    given = {"host": "127.0.0.1:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [
            (name.encode(), own.encode())
            for name, value in given.items()
            for own in ([value] if isinstance(value, str) else value)
        ],
    }

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(inside, origins=origins, token=token)(scope, None, send))
    if kind == "websocket":
        return {"websocket.accept": 101, "websocket.close": 403}[sent[0]["type"]], {}
    fields = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], fields


ATTACKS = [
    {"host": "evil.example"},
    {"host": "evil.example:8080"},  # a name bent to 127.0.0.1
    {"host": "127.0.0.1"},
    {"host": "127.0.0.1:9"},
    {"host": "127.0.0.1:8080@evil.example"},
    {"host": "127.0.0.1.evil.example:8080"},
    {"host": ["127.0.0.1:8080", "evil.example"]},
    {"host": []},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "https://127.0.0.1:8080"},
    {"origin": "http://127.0.0.1:9"},
    {"origin": "http://127.0.0.1:8080.evil.example"},
    {"origin": ["http://127.0.0.1:8080", "http://evil.example"]},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
    {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors"},
    {"sec_fetch_site": "cross-site"},
]


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_an_attack_gets_no_answer_from_any_route(attack):
    for path in PATHS:
        assert asked(path, **attack)[0] == 400
        assert asked(path, kind="websocket", **attack)[0] == 403


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": OWN}, {"host": "localhost:8080", "origin": "http://localhost:8080"}, {"host": "LocalHost:8080"},
     {"host": "[::1]:8080"}, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}],
    ids=str,
)  # fmt: skip
def test_the_own_browser_gets_answers_that_nobody_else_reads(headers):
    for path in PATHS:
        status, fields = asked(path, **headers)
        assert status == 200
        assert fields["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in fields["content-security-policy"]
        assert asked(path, kind="websocket", **headers)[0] == 101


def test_a_forwarded_port_is_named_by_an_origin():
    origins = allowed_origins("127.0.0.1", 8080, ["http://localhost:9000/"], None)
    assert asked(host="localhost:9000", origin="http://localhost:9000", origins=origins)[0] == 200
    assert asked(host="localhost:9001", origin="http://localhost:9001", origins=origins)[0] == 400


@pytest.mark.parametrize(
    ("port", "others", "opened"),
    [(80, [], "http://127.0.0.1"), (80, [], "http://localhost:80"),
     (8080, ["https://V.example:443"], "https://v.example"), (8080, ["https://v.example"], "https://v.example:443"),
     (8080, ["http://V.example:9000"], "http://v.example:9000"), (8080, ["http://[::1]:9000"], "http://[::1]:9000")],
)  # fmt: skip
def test_an_address_is_known_as_browsers_spell_it(port, others, opened):
    origins = allowed_origins("127.0.0.1", port, others, None)
    assert asked(host=urlsplit(opened).netloc, origin=opened, origins=origins)[0] == 200


def test_a_host_is_known_in_any_letters():
    origins = allowed_origins("Box.Example", 8080, [], TOKEN)
    assert asked(host="Box.Example:8080", origin="http://box.example:8080", origins=origins)[0] == 200
    assert allowed_origins("LocalHost", 8080, [], None) == allowed_origins("localhost", 8080, [], None)


TOKEN = "0123456789abcdef"


def test_the_printed_address_lets_in_with_any_token():
    for token in (TOKEN, "a+b&c=d#e%20f/g?h;i"):
        address = urlsplit(page_address("::1", 8080, [], token))
        assert (address.netloc, address.path, address.fragment) == ("[::1]:8080", "/", "")
        status, fields = asked(query=address.query, token=token)
        assert status == 303
        assert asked(cookie=fields["set-cookie"].partition(";")[0], token=token)[0] == 200


def test_of_every_address_of_the_machine_the_named_one_is_printed():
    assert page_address("0.0.0.0", 8080, ["http://box:8080/"], "a&b") == "http://box:8080/?token=a%26b"


def test_a_token_is_asked_for_at_every_route():
    for path in PATHS:
        for query in ("", "token=", "token=0123456789abcdeF", f"token={TOKEN}&token={TOKEN}", f"tokens={TOKEN}"):
            assert asked(path, query, token=TOKEN)[0] == 403
        for kind in ("http", "websocket"):
            for cookie in ("", "pear_view=x", f"other={TOKEN}", "\x00", f"pear_view_1={TOKEN}"):
                assert asked(path, kind=kind, cookie=cookie, token=TOKEN)[0] == 403
        assert asked(path, f"token={TOKEN}", kind="websocket", token=TOKEN)[0] == 403


def test_the_token_of_an_address_becomes_a_cookie():
    status, fields = asked("/person", f"id=a&token={TOKEN}", token=TOKEN)
    assert (status, fields["location"]) == (303, "/person?id=a")
    assert "HttpOnly" in fields["set-cookie"]
    cookie = fields["set-cookie"].partition(";")[0]
    for kind, status in (("http", 200), ("websocket", 101)):
        assert asked(kind=kind, cookie=cookie, token=TOKEN)[0] == status
        assert asked(kind=kind, cookie=cookie, token="another-token-of-16")[0] == 403


def test_a_token_leads_to_no_other_host():
    for path in ("//evil.example", "/\\evil.example", "/\r\nset-cookie: a=b"):
        location = asked(path, f"token={TOKEN}", token=TOKEN)[1]["location"]
        assert not location.startswith(("//", "/\\"))
        assert "\n" not in location


@pytest.mark.parametrize(
    ("host", "origins", "token", "said"),
    [("192.168.0.5", [], None, "--token"), ("0.0.0.0", [], None, "--token"), ("0.0.0.0", [], TOKEN, "--origin"),
     ("127.0.0.1", [], "short", "at least 16"), ("127.0.0.1", ["evil.example"], None, "expected scheme"),
     ("127.0.0.1", ["http://a/b"], None, "expected scheme"), ("127.0.0.1", ["*"], None, "expected scheme"),
     ("127.0.0.1", ["http://a:b"], None, "expected scheme"), ("127.0.0.1", ["http://a@b"], None, "expected scheme"),
     ("::", [], None, "--token"), ("localhost.evil.example", [], None, "--token")],
)  # fmt: skip
def test_what_others_could_reach_is_refused(host, origins, token, said):
    with pytest.raises(ValueError, match=said):
        allowed_origins(host, 8080, origins, token)


def test_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "")))
