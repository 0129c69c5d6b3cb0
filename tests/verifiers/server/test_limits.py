"""The limits before every route, on messages as an ASGI server hands them over."""

import asyncio

import pytest
from rlvr.verifiers.server import limits
from rlvr.verifiers.server.limits import Bodies, Token
from starlette.exceptions import HTTPException


def scope(method="POST", path="/score", content_type="application/json", **headers):
    headers["content_type"] = content_type
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs}


async def read_all(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})


def run(app, scope, *pieces):
    """The status; `None` among the pieces never comes."""
    waiting, statuses = list(pieces), []

    async def receive():
        piece = waiting.pop(0)
        if piece is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    try:
        asyncio.run(app(scope, receive, send))
    except HTTPException as error:
        return error.status_code
    return statuses[0]


def test_a_body_that_does_not_come(monkeypatch):
    monkeypatch.setattr(limits, "BODY_S", 0.05)
    app = Bodies(read_all, 100, 1000, lambda: 1)
    assert run(app, scope(), b"{", None) == 408
    assert run(app, scope(), b"{", b"}") == 200


@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 413)])
def test_size_is_counted_as_it_comes(size, status):
    app = Bodies(read_all, 100, 1000, lambda: 1)
    assert run(app, scope(), *[b"x"] * size) == status
    assert run(app, scope(content_length=str(size)), b"x" * size) == status
    assert run(app, scope(content_length="1"), b"x" * size) == status  # it says less than it sends


@pytest.mark.parametrize(
    ("kind", "status"),
    [("application/json", 200), ("application/problem+JSON; charset=utf-8", 200), ("text/plain; json", 415), ("", 415)],
)
def test_the_kind_of_a_body(kind, status):
    assert run(Bodies(read_all, 100, 1000, lambda: 1), scope(content_type=kind), b"{}") == status


def test_what_was_held_is_let_go_of():
    app = Bodies(read_all, 100, 100, lambda: 1)
    for _ in range(10):
        assert run(app, scope(), b"x" * 60, b"x" * 60) == 413
        assert run(app, scope(), b"x" * 100) == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer t", 200), ("bearer  t ", 200), ("Basic cmx2cjp0", 200), ("Basic OnQ=", 200), ("Basic dA==", 401),
        ("Bearer tt", 401), ("Bearer ", 401), ("t", 401), ("Basic \xff", 401), ("Digest t", 401), ("", 401),
    ],
)  # fmt: skip
def test_the_token(header, status):
    assert run(Token(read_all, "t"), scope(authorization=header), b"") == status
    assert run(Token(read_all, "t"), scope("GET", "/health", authorization=header), b"") == 200
    assert run(Token(read_all, None), scope(authorization=header), b"") == 200
