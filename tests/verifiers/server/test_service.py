"""The service as trainers see it: a real process, real connections, and a reward that does as it is told."""

import json
import os
import random
import signal
import socket
from itertools import islice
from pathlib import Path

import httpx2
import pytest
from rlvr.verifiers import Completion, Problem
from rlvr.verifiers.pool import judge
from rlvr.verifiers.rewards import r1_zero_math
from rlvr.verifiers.rows import verdict_row

CASES = Path(__file__).parents[2] / "cases" / "hostile_math.jsonl"


def test_one_item_and_many(serve):
    server = serve("--workers", 1)
    one = server.post("/score", {"completion": "yes", "answer": 4, "id": "x"}).json()
    assert one == {
        "id": "x", "score": 1.0, "status": "correct", "reason": "same_text", "extracted": "x|4|yes", "parts": {}
    }  # fmt: skip
    many = [{"completion": f"text {i}"} for i in range(50)]
    results = server.post("/score", {"items": many}).json()["results"]
    assert [row["extracted"] for row in results] == [f"{i}|None|text {i}" for i in range(50)]
    assert server.post("/score", {"items": []}).json() == {"results": []}


def test_what_an_item_may_hold(serve):
    server = serve("--workers", 1)
    chat = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": [{"type": "text", "text": "four"}]}]
    row = server.post("/score", {"completion": chat, "prompt": chat[:1], "tests": {"inputs": []}, "n_tokens": 3}).json()
    assert row["extracted"] == "0|None|four"
    assert server.score("nul \0 and \N{SNOWMAN}")[0]["extracted"] == "0|None|nul \0 and \N{SNOWMAN}"
    long = "x" * 3_000_000  # many times what a pipe holds
    assert len(server.score(long, long)[1]["extracted"]) > 3_000_000


def test_what_a_reward_cannot_judge_is_one_result(serve):
    server = serve("--workers", 1, "--memory", 1000)
    rows = server.score("yes", "raise", "unjudged", "wrong", "eat", "yes")
    assert [row["score"] for row in rows] == [1.0, None, None, 0.0, None, 1.0]
    assert [row["reason"] for row in rows[1:3]] == ["verifier_raised", "gold_unreadable"]
    assert rows[4]["detail"].startswith("MemoryError")


def test_explain(serve):
    server = serve("--workers", 1, reward="math")
    why = server.post("/explain", {"gold": "(2,\\infty)", "text": "so \\boxed{x > 2}."}).json()
    assert (why["status"], why["rung"], why["given"]["is_a"]) == ("correct", "kind and exact algebra", "completion")
    assert why["answer"]["kind"] == "inequality"
    assert server.post("/explain", {"gold": "4"}).status_code == 422


def test_openrlhf(serve):
    server = serve("--workers", 1, reward="rewards:parts")
    asked = {
        "query": ["<s>Q: a\n1", "Q: b\nwrong</s>", "Q: c\nshut<|im_end|>"],
        "prompts": ["Q: a\n", "Q: b\n", "Q: c\n"],
        "labels": ["4", None, 7],
    }
    assert server.post("/get_reward", asked).json() == {
        "rewards": [2.0, 0.0, 0.0],
        "scores": [1.0, 0.0, 0.0],
        "extra_logs": {
            "acc": [1.0, 0.0, 0.0],
            "judged": [1.0, 1.0, 1.0],
            "gate": [1.0, 1.0, 0.0],
            "then/correct": [1.0, 0.0, 0.0],
        },
    }
    short = server.post("/get_reward", {**asked, "labels": []})
    assert short.status_code == 422 and "one length" in short.json()["detail"]
    stranger = server.post("/get_reward", {"query": ["something else"], "prompts": ["Q: a\n"], "labels": [""]})
    assert stranger.status_code == 422 and stranger.json()["detail"].startswith("query[0]")


def test_slime(serve):
    server = serve("--workers", 1)
    sample = {"prompt": [{"role": "user", "content": "Q"}], "response": "yes<|im_end|>", "label": "4", "metadata": {}}
    assert server.post("/remote_rm", sample).json() == 1.0
    row = server.post("/remote_rm?reply=row", sample).json()
    assert (row["score"], row["extracted"]) == (1.0, "0|4|yes")
    assert server.post("/remote_rm?reply=all", sample).status_code == 422


def test_not_judged_is_never_zero_in_a_protocol_without_null(serve):
    server = serve("--workers", 1)
    asked = {"query": ["yes", "unjudged"], "prompts": ["", ""], "labels": ["", ""]}
    refused = server.post("/get_reward", asked)
    assert refused.status_code == 503
    assert refused.json()["detail"].startswith(
        "query[1] could not be judged (gold_unreadable: the gold makes no sense)"
    )
    assert server.post("/remote_rm", {"response": "unjudged"}).status_code == 503


def test_unless_the_service_was_told_what_to_pay(serve):
    server = serve("--workers", 1, "--unjudged", "-0.5")
    asked = {"query": ["yes", "unjudged"], "prompts": ["", ""], "labels": ["", ""]}
    reply = server.post("/get_reward", asked).json()
    assert reply["rewards"] == [1.0, -0.5] and reply["extra_logs"]["judged"] == [1.0, 0.0]
    assert server.post("/remote_rm", {"response": "unjudged"}).json() == -0.5
    assert server.score("unjudged")[0]["score"] is None
    assert server.metric("rlvr_unjudged_paid_total") == 2
    assert any("-0.5" in line for line in server.said)


def test_a_hanging_item_times_out_and_the_others_do_not(serve):
    server = serve("--workers", 1, "--timeout", 0.3, "--patience", 0.1)
    rows = server.score("yes", "hang", "yes", "yes")
    assert [row["status"] for row in rows] == ["correct", "timeout", "correct", "correct"]
    assert (rows[1]["score"], rows[1]["reason"]) == (0.0, "deadline")
    assert server.metric("rlvr_timeouts_total") == 2


def test_slow_items_hold_up_nobody(serve):
    server = serve("--workers", 1, "--patience", 0.1, "--timeout", 100)
    slow = [server.later(server.score, f"wait {server.file('go')}") for _ in range(4)]
    for _ in range(3):
        server.until(server.file("go.begun").exists)
        assert server.score("yes")[0]["score"] == 1.0
    assert not any(each.done() for each in slow)
    server.file("go").touch()
    assert [each.result()[0]["score"] for each in slow] == [1.0] * 4  # those that were moved lost nothing


def test_it_says_when_slow_items_are_the_rule(serve, capfd):
    server = serve("--workers", 2, "--patience", 0.05, "--timeout", 100)
    assert [row["score"] for row in server.score(*["sleep 0.2"] * 25)] == [1.0] * 25
    assert server.stop() == 0
    assert capfd.readouterr().err.count("took longer than --patience 0.05 s") == 1


def test_a_large_request_does_not_starve_small_ones(serve):
    server = serve("--workers", 1, "--patience", 100, "--timeout", 100)
    held = server.later(server.score, f"wait {server.file('go')}")
    server.until(server.file("go.begun").exists)
    large = server.later(server.score, *(f"wait {server.file(str(i))}" for i in range(20)))
    server.until(lambda: server.metric("rlvr_queue_items") == 20)
    small = server.later(server.score, "yes")
    server.until(lambda: server.metric("rlvr_queue_items") == 21)
    server.file("go").touch()
    server.file("0").touch()
    assert small.result()[0]["score"] == 1.0  # its turn came behind one item of the large request, not behind twenty
    assert not large.done()
    for i in range(20):
        server.file(str(i)).touch()
    assert [row["score"] for row in large.result() + held.result()] == [1.0] * 21


def test_what_cannot_begin_before_the_deadline_is_not_judged(serve):
    server = serve("--workers", 1, "--patience", 100, "--timeout", 100)
    held = server.later(server.score, f"wait {server.file('go')}")
    server.until(server.file("go.begun").exists)
    row = server.score("yes", deadline_s=0.2)[0]
    assert (row["score"], row["status"], row["reason"]) == (None, "error", "overloaded")
    server.file("go").touch()
    assert held.result()[0]["score"] == 1.0


def test_what_had_its_time_at_the_deadline_timed_out(serve):
    server = serve("--workers", 1, "--patience", 0.1, "--timeout", 0.5, "--deadline", 0.9)
    row = server.score("hang")[0]
    assert (row["score"], row["status"], row["reason"]) == (0.0, "timeout", "deadline")


def test_a_full_queue_refuses_whole_requests(serve):
    server = serve("--workers", 1, "--queue", 3, "--patience", 100, "--timeout", 100)
    held = server.later(server.score, f"wait {server.file('go')}")
    server.until(server.file("go.begun").exists)
    waiting = server.later(server.score, "yes", "yes")
    server.until(lambda: server.metric("rlvr_queue_items") == 2)
    refused = server.post("/score", {"items": [{"completion": "yes"}] * 2})
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 100
    last = server.later(server.score, "yes")
    server.until(lambda: server.metric("rlvr_queue_items") == 3)
    assert server.post("/remote_rm", {"response": "yes"}).status_code == 429
    assert server.metric("rlvr_rejected_items_total") == 3
    server.file("go").touch()
    assert [row["score"] for each in (held, waiting, last) for row in each.result()] == [1.0] * 4
    never = server.post("/score", {"items": [{"completion": "yes"}] * 4})
    assert never.status_code == 413 and "--queue" in never.json()["detail"]


def test_a_killed_worker_costs_a_retry_and_no_request(serve):
    server = serve("--workers", 2)
    going = [server.later(server.score, f"wait {server.file(name)}") for name in "ab"]
    for name in "ab":
        server.until(server.file(f"{name}.begun").exists)
        pid = int(server.file(f"{name}.begun").read_text())
        server.file(f"{name}.begun").unlink()
        os.kill(pid, signal.SIGKILL)
    for name in "ab":
        server.until(server.file(f"{name}.begun").exists)
        server.file(name).touch()
    assert [each.result()[0]["score"] for each in going] == [1.0, 1.0]
    assert server.metric("rlvr_worker_restarts_total") >= 2


def test_an_item_that_kills_its_worker_twice_is_not_judged(serve):
    server = serve("--workers", 1)
    rows = server.score("yes", "die", f"die {server.file('once')}", "yes")
    assert [row["score"] for row in rows] == [1.0, None, 1.0, 1.0]
    assert rows[1]["reason"] == "verifier_crashed"


def test_a_stopped_worker_is_replaced(serve):
    server = serve("--workers", 1, "--timeout", 1)
    for pid in server.workers():
        os.kill(pid, signal.SIGSTOP)
    assert server.score("yes " + "x" * 1_000_000)[0]["score"] == 1.0
    assert server.stop() == 0  # killed, it would leave the others stopped for ever


def test_a_client_that_hangs_up_costs_nothing(serve):
    server = serve("--workers", 1, "--patience", 0.1, "--timeout", 100)
    host, _, port = server.url.removeprefix("http://").partition(":")
    body = json.dumps({"items": [{"completion": f"wait {server.file('never')}"}] * 5}).encode()
    kind = "Content-Type: application/json"
    head = f"POST /score HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + body)
        server.until(server.file("never.begun").exists)
    server.until(lambda: server.metric("rlvr_hang_ups_total") == 1)
    assert server.metric("rlvr_queue_items") == 0
    server.until(lambda: server.metric('rlvr_items_under_way{lane="slow"}') == 0)
    assert server.score("yes")[0]["score"] == 1.0
    server.until(lambda: server.metric("rlvr_items_under_way") == 0)


def test_the_token(serve):
    server = serve("--workers", 1, RLVR_TOKEN="s3cret")
    item = {"completion": "yes"}
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"}, {"Authorization": "Basic ???"}):
        refused = server.post("/score", item, headers=headers)
        assert refused.status_code == 401 and refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert server.post("/score", item, headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert server.client.get("/metrics").status_code == 401
    assert server.client.get("/health").status_code == 200
    in_url = server.url.replace("//", "//rlvr:s3cret@") + "/get_reward"  # what a trainer without headers is given
    assert httpx2.post(in_url, json={"query": ["yes"], "prompts": [""], "labels": [""]}).json()["rewards"] == [1.0]
    assert server.stop() == 0
    server.close()
    assert not any("s3cret" in line for line in server.said)


def test_the_page_teaches_every_route(serve):
    server = serve("--workers", 1)
    schema = server.client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/score", "/explain", "/get_reward", "/remote_rm", "/health", "/metrics"}
    text = json.dumps(schema)
    for name in ("Item", "Items", "Result", "ExplainRequest", "OpenRlhfRequest", "SlimeRequest", "Refusal"):
        assert name in schema["components"]["schemas"]
    assert "$defs" not in text
    for route in ("/score", "/explain", "/get_reward", "/remote_rm"):
        post = schema["paths"][route]["post"]
        assert len(post["description"]) > 80 and "429" in post["responses"] and post["requestBody"]["content"]
    for reference in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert reference in schema["components"]["schemas"]


@pytest.mark.browser
@pytest.mark.parametrize("token", [[], ["--token", "s3cret"]], ids=["open", "token"])
def test_the_page_needs_no_network(serve, browser, token):
    server = serve("--workers", 1, *token)
    page = browser.new_page()
    asked, broken = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(f"{server.url}/docs")
    page.wait_for_selector("#operations-trainers-get_reward_get_reward_post")
    assert page.locator(".opblock").count() == 6
    page.close()
    assert broken == [] and all(url.startswith((server.url, "data:")) for url in asked)


def test_metrics(serve):
    server = serve("--workers", 1)
    server.score("yes", "wrong", "unjudged")
    server.post("/score", b"{")
    server.client.get("/no-such-route")
    text = server.client.get("/metrics")
    assert text.headers["content-type"].startswith("text/plain")
    for line in (
        'rlvr_items_total{reason="same_text",status="correct"} 1.0',
        'rlvr_items_total{reason="gold_unreadable",status="error"} 1.0',
        'rlvr_requests_total{code="200",route="/score"} 1.0',
        'rlvr_requests_total{code="422",route="/score"} 1.0',
        'rlvr_requests_total{code="404",route="other"} 1.0',
        "rlvr_queue_items 0.0",
        'rlvr_request_seconds_count{route="/score"} 2.0',
    ):
        assert line in text.text.splitlines()


def test_sigterm_finishes_what_was_accepted(serve):
    server = serve("--workers", 1)
    going = [server.later(server.score, f"wait {server.file(name)}", "yes") for name in "abc"]
    server.until(lambda: server.metric("rlvr_items_under_way") + server.metric("rlvr_queue_items") >= 3)
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: refused(server.url))
    assert not any(each.done() for each in going)
    for name in "abc":
        server.file(name).touch()
    assert [[row["score"] for row in each.result()] for each in going] == [[1.0, 1.0]] * 3
    assert server.process.wait(100) == 0


def test_a_second_signal_answers_what_is_left_as_not_judged(serve):
    server = serve("--workers", 1, "--timeout", 1000, "--deadline", 1000)
    going = server.later(server.score, "yes", f"wait {server.file('never')}", "yes")
    server.until(server.file("never.begun").exists)
    server.process.send_signal(signal.SIGTERM)
    server.until(lambda: refused(server.url))
    assert server.stop() == 1
    assert [row["reason"] for row in going.result()][:2] == ["same_text", "overloaded"]


def refused(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_many_at_a_time_are_judged_as_one_by_one(serve):
    """Singles and batches of every size, the hostile cases too, from many connections: the verdicts of this process."""
    server = serve("--workers", 2, reward="r1_zero_math")
    rng = random.Random(7)
    with CASES.open(encoding="utf-8") as lines:
        cases = [json.loads(line) for line in islice(lines, 0, None, 4)]
    pairs = [(str(case["gold"]), f"<think>a</think><answer>{case['answer']}</answer>") for case in cases]
    pairs += [(str(i), f"<think>b</think> It is \\boxed{{{i + i % 2}}}.") for i in range(200)]
    rng.shuffle(pairs)
    asked, results = [], []
    while pairs:
        size = min(rng.choice([1, 1, 1, 2, 7, 30]), len(pairs))
        batch, pairs = pairs[:size], pairs[size:]
        items = [{"id": str(i), "answer": gold, "completion": text} for i, (gold, text) in enumerate(batch)]
        asked.append(batch)
        results.append(server.later(server.post, "/score", {"items": items}))
    for batch, result in zip(asked, results, strict=True):
        for i, ((gold, text), row) in enumerate(zip(batch, result.result().json()["results"], strict=True)):
            verdict = judge(r1_zero_math, Problem(str(i), answer=gold), Completion(text))
            assert row == {"id": str(i), **verdict_row(verdict)}
