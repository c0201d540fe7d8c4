"""Who may ask: this machine's own browser, from this program's own pages, or whoever has the token.

A page of another site can make a browser ask a server on the same machine. So each request, of a page, a picture or a
socket, names a known host (a name that was bent to 127.0.0.1 is none), comes from no other origin, and is answered in a
way that no other page may frame or read.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = (
    (b"content-security-policy", b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
     b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
     b"connect-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)  # fmt: skip
"""Of every answer: nothing is loaded from elsewhere, and nobody else frames or embeds it."""
_EVERY = ("0.0.0.0", "::")
"""Every address of this machine."""
MIN_TOKEN = 16
"""Characters."""
_PORTS = {"http": 80, "https": 443}
"""Those that addresses leave out."""


def is_loopback(host: str) -> bool:
    """Whether a host is this machine as it sees itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def allowed_origins(host: str, port: int, others: list[str], token: str | None) -> frozenset[str]:
    """The addresses under which the pages may be opened.

    Args:
        host: That the server listens on.
        port: Likewise.
        others: More, as of a port that is forwarded: ``http://localhost:9000``.
        token: What others than this machine have to show.

    Raises:
        ValueError: A host that others reach without a token, a short one, or an origin that is none.
    """
    if token is not None and len(token) < MIN_TOKEN:
        raise ValueError(f"--token: expected at least {MIN_TOKEN} characters, got {len(token)}")
    if not is_loopback(host) and token is None:
        raise ValueError(
            f"--host {host} can be reached from other machines: say --token with {MIN_TOKEN} characters or more, or "
            "leave the host out and forward the port (ssh -L 8080:127.0.0.1:8080)"
        )
    names = {host, "localhost", "127.0.0.1", "::1"} if is_loopback(host) else {host}
    origins = {origin for name in names for origin in _spellings("http", name, port)}
    for other in others:
        try:
            parts = urlsplit(other)
            is_origin = parts.scheme in _PORTS and parts.hostname and "@" not in parts.netloc
            if not is_origin or parts.path.strip("/") or parts.query:
                raise ValueError
            origins |= _spellings(parts.scheme, parts.hostname or "", parts.port)
        except ValueError:
            message = f"--origin {other}: expected scheme, host and port, such as http://localhost:9000"
            raise ValueError(message) from None
    if host in _EVERY and not others:
        raise ValueError(
            f"--host {host} is every address of this machine: say by --origin http://NAME:{port} which one"
        )
    return frozenset(origins)


def page_address(host: str, port: int, others: list[str], token: str | None) -> str:
    """Where the pages are, with the token that is asked for; of every address of the machine, the one that is named."""
    base = others[0].rstrip("/") if host in _EVERY else f"http://{_bracketed(host)}:{port}"
    return f"{base}/" + (f"?token={quote(token, safe='')}" if token else "")


def _spellings(scheme: str, host: str, port: int | None) -> set[str]:
    """An origin as requests name it: in small letters, by browsers without the port that goes with the scheme."""
    bare = f"{scheme}://{_bracketed(host.lower())}"
    return {bare, f"{bare}:{_PORTS[scheme]}"} if port in (None, _PORTS[scheme]) else {f"{bare}:{port}"}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Guard:
    """An ASGI application that passes on what may be asked, and refuses the rest in a sentence."""

    def __init__(self, app: App, *, origins: frozenset[str], token: str | None = None) -> None:
        self._app, self._origins, self._token = app, origins, token
        self._hosts = {urlsplit(origin).netloc for origin in origins}
        # Browsers do not tell ports apart in cookies, so its name does.
        self._cookie = f"pear_view_{hashlib.sha256(' '.join(sorted(self._hosts)).encode()).hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        if refusal := self._refusal(headers):
            await _refuse(scope, send, 400, refusal)
        elif self._token is not None and not self._has_cookie(headers):
            await self._admit(scope, send)
        else:
            await self._app(scope, receive, _guarded(send))

    def _refusal(self, headers: list[tuple[str, str]]) -> str:
        def all_of(name: str) -> list[str]:
            return [value for own, value in headers if own == name]

        hosts = [host.lower() for host in all_of("host")]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return "This is another host's name; open the address that pear view printed, or name it by --origin."
        if any(origin.lower() not in self._origins for origin in all_of("origin")):
            return "Pages of other origins get no answer; an address of your own is named by --origin."
        is_foreign = any(site not in ("same-origin", "none") for site in all_of("sec-fetch-site"))
        if is_foreign and all_of("sec-fetch-mode") != ["navigate"]:
            return "Pages of other sites get no answer."
        return ""

    def _has_cookie(self, headers: list[tuple[str, str]]) -> bool:
        for name, value in headers:
            if name == "cookie":
                try:
                    cookies = SimpleCookie(value)
                except CookieError:
                    continue
                if self._cookie in cookies and self._is_token(cookies[self._cookie].value):
                    return True
        return False

    def _is_token(self, text: str) -> bool:
        return self._token is not None and hmac.compare_digest(text.encode(), self._token.encode())

    async def _admit(self, scope: Scope, send: Send) -> None:
        """Takes the token of an address into a cookie, and leads to the address without it."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in pairs if name == "token"]
        if scope["type"] != "http" or len(given) != 1 or not self._is_token(given[0]):
            await _refuse(scope, send, 403, "A token is needed: open the address that pear view printed.")
            return
        cookie: SimpleCookie = SimpleCookie({self._cookie: given[0]})
        cookie[self._cookie] |= {"path": "/", "httponly": True, "samesite": "Lax"}
        rest = urlencode([pair for pair in pairs if pair[0] != "token"])
        # Two slashes would lead to another host.
        place = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        answer = [(b"location", place.encode()), (b"set-cookie", cookie.output(header="").strip().encode()), *_HEADERS]
        await send({"type": "http.response.start", "status": 303, "headers": answer})
        await send({"type": "http.response.body", "body": b""})


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in _HEADERS}
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
            message = {**message, "headers": [*kept, *_HEADERS]}
        await send(message)

    return guarded


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":  # Before it is accepted: the server answers 403.
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})
        return
    answer = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": answer})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})
