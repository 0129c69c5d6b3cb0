"""What stands before every route: the token, the kind and size of a body, and how much may be held at a time."""

import asyncio
import base64
import hmac
from binascii import Error as NotBase64
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_ROUTES = frozenset({"/health", "/docs", "/openapi.json"})
"""What anybody may see: whether the service is there, and how it is spoken to."""
DOCS_FILES = "/docs-files"
"""The script and style of the page of documentation, which anybody may see too."""
BODY_S = 60.0
"""Seconds in which a body must have arrived."""


class Token:
    """401 without the token, as `Authorization: Bearer TOKEN`, or as the password of a URL
    (`http://rlvr:TOKEN@host:8700/get_reward`) for trainers whose clients send no headers."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or self._token is None or _is_open(scope["path"]) or self._fits(scope):
            await self.app(scope, receive, send)
            return
        text = "a token is needed: the header `Authorization: Bearer TOKEN`"
        await JSONResponse({"detail": text}, 401, {"WWW-Authenticate": 'Bearer realm="rlvr"'})(scope, receive, send)

    def _fits(self, scope: Scope) -> bool:
        assert self._token is not None
        kind, _, given = (_header(scope, b"authorization") or b"").partition(b" ")
        given = given.strip()
        if kind.lower() == b"basic":
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except (NotBase64, ValueError):
                return False
        elif kind.lower() != b"bearer":
            return False
        return hmac.compare_digest(given, self._token)


def _is_open(path: str) -> bool:
    return path in OPEN_ROUTES or path.startswith(f"{DOCS_FILES}/")


class Bodies:
    """415 for a body that does not say that it is JSON, 413 for one over `most` bytes, also when it comes in pieces,
    408 for one that does not come, and 429 while the bodies of all requests under way hold `hold` bytes."""

    def __init__(self, app: ASGIApp, most: int, hold: int, retry_after: Callable[[], int]) -> None:
        self.app = app
        self._most, self._hold, self._retry_after = most, hold, retry_after
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        if (refusal := self._at_once(scope)) is not None:
            await refusal(scope, receive, send)
            return
        body = _Body(self, receive)
        try:
            await self.app(scope, body.receive, send)
        finally:
            self._held -= body.size

    def _at_once(self, scope: Scope) -> JSONResponse | None:
        kind = _header(scope, b"content-type") or b""
        if b"json" not in kind.partition(b";")[0].lower():  # nor will a browser send JSON for any page
            return JSONResponse({"detail": "the body must be JSON: `Content-Type: application/json`"}, 415)
        length = _header(scope, b"content-length")
        if length is not None and length.isdigit() and int(length[:20]) > self._most:
            return JSONResponse({"detail": self._too_large()}, 413, {"Connection": "close"})
        return None

    def _too_large(self) -> str:
        return f"the body is larger than {self._most:,} bytes; send fewer items at a time, or raise --max-body"

    def take(self, size: int, total: int) -> None:
        """Count what arrived. Raises HTTPException."""
        self._held += size
        if total > self._most:
            raise HTTPException(413, self._too_large(), {"Connection": "close"})
        if self._held > self._hold:
            headers = {"Retry-After": str(self._retry_after()), "Connection": "close"}
            raise HTTPException(429, "the service holds as many bytes of requests as it may", headers)


class _Body:
    """The body of one request, counted as it comes."""

    def __init__(self, bodies: Bodies, receive: Receive) -> None:
        self._bodies, self._receive = bodies, receive
        self._complete = False
        self._until = asyncio.get_running_loop().time() + BODY_S
        self.size = 0

    async def receive(self) -> Message:
        """ASGI."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):  # for all of its pieces together
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not arrive within {BODY_S:g} s", {"Connection": "close"}) from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.size += size
            self._bodies.take(size, self.size)
            self._complete = not message.get("more_body", False)
        return message


def _header(scope: Scope, name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)
