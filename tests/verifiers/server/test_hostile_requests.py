"""Bodies and connections that nobody should send: each costs its sender a 4xx and nobody else anything."""

import json
import socket
from contextlib import suppress

import httpx2
import pytest

BAD_BODIES = {
    "nothing": b"",
    "no JSON": b"completion=4",
    "half of it": b'{"completion": "4"',
    "two of them": b'{"completion": "4"}{"completion": "4"}',
    "a list": b"[1, 2]",
    "a number": b"4",
    "null": b"null",
    "no completion": b'{"answer": "4"}',
    "another type": b'{"completion": 4}',
    "an unknown field": b'{"completion": "4", "anwser": "4"}',
    "items that are none": b'{"items": {"completion": "4"}}',
    "one bad item": b'{"items": [{"completion": "4"}, {"completion": null}]}',
    "no time": b'{"items": [], "deadline_s": 0}',
    "NaN": b'{"completion": "4", "answer": NaN}',
    "NaN far inside": b'{"completion": "4", "tests": {"inputs": [NaN]}}',
    "infinity": b'{"completion": "4", "answer": 1e999}',
    "yes for an answer": b'{"completion": "4", "answer": true}',
    "yes for an id": b'{"completion": "4", "id": true}',
    "infinite time": b'{"items": [], "deadline_s": 1e999}',
    "a long number": b'{"completion": "4", "n_tokens": ' + b"9" * 100_000 + b"}",
    "a negative length": b'{"completion": "4", "n_tokens": -1}',
    "half a surrogate": b'{"completion": "\\ud800"}',
    "no UTF-8": b'{"completion": "\xff\xfe"}',
    "UTF-16": '{"completion": "4"}'.encode("utf-16"),
    "a raw NUL": b'{"completion": "\x00"}',
    "deep nesting": b'{"completion": "4", "tests": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "no message of the assistant": b'{"completion": [{"role": "user", "content": "4"}]}',
    "no messages": b'{"completion": []}',
    "messages without a role": b'{"completion": [{"content": "4"}]}',
}


@pytest.mark.parametrize("route", ["/score", "/explain", "/get_reward", "/remote_rm"])
@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body_is_refused_in_one_line(server, route, name):
    answer = server.post(route, BAD_BODIES[name])
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert detail and "\n" not in detail and len(detail) < 500


def test_the_refusal_names_the_item_and_the_field(server):
    for body, place in {
        b'{"items": [{"completion": "4"}, {"completion": null}]}': "items[1].completion",
        b'{"items": [{"completion": "4"}, {"completion": "4", "anwser": 1}]}': "items[1].anwser",
        b'{"items": [{"completion": []}]}': "items[0].completion",
        b'{"completion": "4", "n_tokens": "many"}': "n_tokens",
    }.items():
        assert server.post("/score", body).json()["detail"].startswith(f"{place}")


def test_no_item_is_judged_when_one_is_refused(server):
    before = server.metric("rlvr_items_total")
    assert server.post("/score", BAD_BODIES["one bad item"]).status_code == 422
    assert server.metric("rlvr_items_total") == before


@pytest.mark.parametrize("number", [4, -3, 0.5, 1e300, 10**400], ids=lambda number: repr(number)[:9])
def test_a_gold_may_be_a_number(server, number):
    row = server.post("/score", {"completion": "yes", "answer": number}).json()
    assert row["extracted"].split("|")[1] == repr(number)


def test_numbers_past_every_bound(server):
    digits = b"9" * 5_000
    assert server.post("/score", b'{"completion": "yes", "answer": %s}' % digits).status_code == 422
    for label in (b"9" * 400, digits, b"[1e999]", b"{}", b'{"a": -1e999}'):
        body = b'{"query": ["yes"], "prompts": [""], "labels": [%s]}' % label
        assert server.post("/get_reward", body).status_code in (200, 422)
    assert server.post("/score", b'{"completion": "yes", "tests": [-1e999]}').status_code == 200


def test_a_body_that_is_too_large(server):
    large = json.dumps({"completion": "x" * 1_100_000}).encode()
    assert server.post("/score", large).status_code == 413

    def pieces():
        yield from (large[i : i + 50_000] for i in range(0, len(large), 50_000))

    headers = {"Content-Type": "application/json"}
    assert server.client.post("/score", content=pieces(), headers=headers).status_code == 413
    assert server.score("yes")[0]["score"] == 1.0


def test_a_body_that_says_it_is_no_json(server):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        refused = server.post("/score", b'{"completion": "yes"}', headers={"Content-Type": kind})
        assert refused.status_code == 415 and "application/json" in refused.json()["detail"]
    for kind in ("application/json; charset=utf-8", "application/ld+json"):
        assert server.post("/score", b'{"completion": "yes"}', headers={"Content-Type": kind}).status_code == 200


def test_routes_and_methods_that_are_none(server):
    assert server.client.get("/score").status_code == 405
    assert server.client.post("/health", json={}).status_code == 405
    assert server.client.post("/nothing", json={}).status_code == 404
    assert server.client.get("/score/../../etc/passwd").status_code == 404


POST = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the begin of TLS
        POST + b"Content-Length: 100\r\n\r\n{",  # a body that never comes
        POST + b"Content-Length: -1\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x00" * 100,
        b"GET /health HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:40]),
)
def test_a_broken_connection_harms_nobody_else(server, sent):
    host, _, port = server.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        with suppress(OSError):  # it has been closed already
            connection.sendall(sent)
        assert server.score("yes")[0]["score"] == 1.0


def test_many_idle_connections(server):
    host, _, port = server.url.removeprefix("http://").partition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(200)]
    try:
        assert server.score("yes")[0]["score"] == 1.0
    finally:
        for connection in idle:
            connection.close()


def test_what_is_held_at_a_time_has_a_limit(serve):
    server = serve("--workers", 1, "--patience", 100, "--timeout", 100, "--max-held", "0.3")
    go = server.file("go")
    held = server.later(server.score, f"wait {go}")
    server.until(server.file("go.begun").exists)
    large = server.later(server.score, "yes " + "x" * 200_000)
    server.until(lambda: server.metric("rlvr_queue_items") == 1)
    refused = server.post("/score", {"completion": "yes " + "x" * 200_000})
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
    go.touch()
    assert held.result()[0]["score"] == large.result()[0]["score"] == 1.0
    assert server.post("/score", {"completion": "yes " + "x" * 200_000}).status_code == 200


def test_it_is_still_the_same_process(server):
    assert server.process.poll() is None
    assert httpx2.get(f"{server.url}/health").status_code == 200
    assert server.metric('rlvr_requests_total{code="500"') == 0
